/** Callers that wait until a replica has applied an offset. Bounded by the calls that the node accepts; each has a deadline. */
import type { TidemarkError } from '../core/errors.ts'
import type { Offset } from '../core/types.ts'

interface Waiter {
  readonly next: Offset
  /** On the clock of `elapsed()`. */
  readonly deadline: number
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

export class OffsetWaiters {
  /** Rising `next`: a replica that moves on looks at the head only. */
  readonly #waiting: Waiter[] = []
  /** Why the replica will reach nothing any more. */
  #failure: Error | undefined
  #held: TidemarkError | undefined

  get size(): number {
    return this.#waiting.length
  }

  /** Why the replica reaches nothing for now, if it does not. */
  get held(): TidemarkError | undefined {
    return this.#held
  }

  /** Resolves once the replica's next offset is `next` or more. */
  wait(next: Offset, deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const failure = this.#failure ?? this.#held
      if (failure !== undefined) {
        reject(failure)
        return
      }
      let at = this.#waiting.length
      while (at > 0 && (this.#waiting[at - 1]?.next ?? 0) > next) at -= 1
      this.#waiting.splice(at, 0, { next, deadline, resolve, reject })
    })
  }

  reached(next: Offset): void {
    this.#held = undefined
    let count = 0
    while (count < this.#waiting.length && (this.#waiting[count]?.next ?? Infinity) <= next) count += 1
    if (count === 0) return
    for (const waiter of this.#waiting.splice(0, count)) waiter.resolve()
  }

  /** Ends those whose deadline has passed. */
  expire(elapsed: number, error: () => unknown): void {
    for (let at = this.#waiting.length - 1; at >= 0; at--) {
      const waiter = this.#waiting[at]
      if (waiter === undefined || waiter.deadline > elapsed) continue
      this.#waiting.splice(at, 1)
      waiter.reject(error())
    }
  }

  /** Ends all, and whoever comes until the replica moves on: another one may reach it meanwhile. */
  hold(error: TidemarkError): void {
    this.#held = error
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
  }

  /** Ends all, and whoever comes later. */
  fail(error: Error): void {
    this.#failure = error
    for (const waiter of this.#waiting.splice(0)) waiter.reject(error)
  }
}
