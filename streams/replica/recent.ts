/**
 * The newest effects of a replica, in memory and shared by all watchers: each watcher holds only its place. One that falls
 * behind the ring reads from the history in the store instead, so a slow watcher costs nothing but its own time.
 */
import type { RecordEffects } from '../core/effects.ts'
import type { Offset } from '../core/types.ts'
import { REPLICA_BOUNDS } from './bounds.ts'
import type { ReplicaBounds } from './bounds.ts'

/** Bytes of the objects around one change, about: with small rows they weigh more than the rows. */
const CHANGE_OVERHEAD_BYTES = 400

const bytesOf = (effects: RecordEffects): number =>
  effects.changes.reduce(
    (sum, { key, encoded, previous }) =>
      sum + CHANGE_OVERHEAD_BYTES + key.length + encoded.length + (previous?.value.length ?? 0),
    CHANGE_OVERHEAD_BYTES,
  )

export class RecentEffects {
  /** Rising offsets; the first `#head` were dropped already and wait to be cut off. */
  #records: RecordEffects[] = []
  #head = 0
  #bytes = 0
  /** Every record with changes from here on is in the ring. */
  #start: Offset

  readonly #bounds: ReplicaBounds

  constructor(start: Offset, bounds = REPLICA_BOUNDS) {
    this.#start = start
    this.#bounds = bounds
  }

  get start(): Offset {
    return this.#start
  }

  /** Nobody watches: what comes before `next` need not be kept in memory. */
  skipTo(next: Offset): void {
    this.#start = next
    if (this.#records.length === 0) return
    this.#records = []
    this.#head = 0
    this.#bytes = 0
  }

  add(effects: readonly RecordEffects[]): void {
    const { recentBytes, recentRecords } = this.#bounds
    for (const done of effects) {
      if (done.changes.length === 0) continue
      this.#records.push(done)
      this.#bytes += bytesOf(done)
    }
    while (
      this.#head < this.#records.length &&
      (this.#bytes > recentBytes || this.#records.length - this.#head > recentRecords)
    ) {
      const oldest = this.#records[this.#head]
      if (oldest === undefined) break
      this.#bytes -= bytesOf(oldest)
      this.#start = (oldest.offset + 1) as Offset
      this.#head += 1
    }
    if (this.#head > 1024 && this.#head * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#head)
      this.#head = 0
    }
  }

  /** Records with changes at or after `from`, which must not be before `start`. */
  *since(from: Offset): IterableIterator<RecordEffects> {
    let low = this.#head
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#records[middle]?.offset ?? Infinity) < from) low = middle + 1
      else high = middle
    }
    for (let at = low; at < this.#records.length; at++) {
      const record = this.#records[at]
      if (record !== undefined) yield record
    }
  }
}
