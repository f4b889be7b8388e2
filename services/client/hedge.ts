/**
 * Hedged reads (Dean and Barroso, The Tail at Scale, 2013): a second replica is asked when the first has not answered after a
 * while; the first answer wins and the other attempt is cancelled. Never for writes.
 */

/** One attempt; it may end early, in any way, once the signal is aborted. */
export type Attempt<T> = (cancelled: AbortSignal) => Promise<T>

/** @param second - undefined: there is no one else to ask. @returns the first answer; @throws what failed first, when all have */
export function hedged<T>(
  afterMs: number,
  first: Attempt<T>,
  second: () => Attempt<T> | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancelled = new AbortController()
    let running = 0
    let failure: Error | undefined
    const run = (attempt: Attempt<T>): void => {
      running += 1
      attempt(cancelled.signal).then(
        (answer) => {
          clearTimeout(timer)
          resolve(answer)
          cancelled.abort()
        },
        (error: unknown) => {
          running -= 1
          failure ??= error instanceof Error ? error : new Error(String(error))
          if (running > 0) return
          clearTimeout(timer)
          reject(failure)
        },
      )
    }
    const timer = setTimeout(() => {
      const attempt = second()
      if (attempt !== undefined) run(attempt)
    }, afterMs)
    run(first)
  })
}
