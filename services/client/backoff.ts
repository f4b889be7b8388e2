/**
 * How long to rest before a retry: "full jitter" (Exponential Backoff And Jitter, AWS Architecture Blog, 2015): a random
 * part of an exponentially growing bound, so that clients which failed together do not come back together.
 */
import { CLIENT_BACKOFF_MS, CLIENT_BACKOFF_MS_MAX } from '../../streams/core/limits.ts'

/** Milliseconds before the retry that follows `failures` failures in a row (1 or more). */
export function backoffMs(failures: number, random: () => number = Math.random): number {
  const bound = Math.min(CLIENT_BACKOFF_MS_MAX, CLIENT_BACKOFF_MS * 2 ** (failures - 1))
  return random() * bound
}

/** Rests; ends at once, without an error, when the signal is aborted. */
export function rest(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done)
  })
}
