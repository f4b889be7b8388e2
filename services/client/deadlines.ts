/**
 * Tells when the earliest of many deadlines has passed. One timer for all: finding the next deadline is the owner's look at
 * everything it has, which comes about once in the length of a deadline, not once for each operation.
 */
export class Deadlines {
  readonly #sweep: (now: number) => number
  #timer: NodeJS.Timeout | undefined
  #at = Infinity

  /** @param sweep - ends what is due and returns the earliest deadline left, Infinity for none; on the clock of performance.now() */
  constructor(sweep: (now: number) => number) {
    this.#sweep = sweep
  }

  watch(deadline: number): void {
    if (deadline >= this.#at) return
    clearTimeout(this.#timer)
    this.#at = deadline
    const ms = Math.min(TIMER_MS_MAX, Math.max(PRECISION_MS, deadline - performance.now()))
    this.#timer = setTimeout(() => {
      this.#at = Infinity
      this.watch(this.#sweep(performance.now()))
    }, ms)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#at = -Infinity
  }
}

/** A sweep costs a look at everything: not more often than this. */
const PRECISION_MS = 5

/** What a timer of Node can hold; a longer one would fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1
