/**
 * Rows that became due within one batch, the earliest first: a binary heap, so that a batch of many random times to live costs
 * n log n. The order is that of expiry: by time, then by key.
 */
import { must } from './assert.ts'
import { compareBytes } from './bytes.ts'

export interface Due {
  /** Log time, milliseconds. */
  readonly at: number
  readonly key: Uint8Array
}

export const dueOrder = (left: Due, right: Due): number =>
  left.at - right.at || compareBytes(left.key, right.key)

export class DueHeap {
  /** The children of `at` stand at 2 at + 1 and 2 at + 2; none comes before its parent. */
  readonly #heap: Due[] = []

  get first(): Due | undefined {
    return this.#heap[0]
  }

  add(due: Due): void {
    const heap = this.#heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const parent = (at - 1) >>> 1
      const above = must(heap[parent], 'a parent in the heap')
      if (dueOrder(above, due) <= 0) break
      heap[at] = above
      at = parent
    }
    heap[at] = due
  }

  removeFirst(): void {
    const heap = this.#heap
    const moved = heap.pop()
    if (moved === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const [left, right] = [heap[child], heap[child + 1]]
      if (left === undefined) break
      let below = left
      if (right !== undefined && dueOrder(right, left) < 0) {
        below = right
        child += 1
      }
      if (dueOrder(moved, below) <= 0) break
      heap[at] = below
      at = child
    }
    heap[at] = moved
  }
}
