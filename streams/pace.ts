/** Keeps a stream of bytes below a rate: whoever took more than the rate allows waits until it fits again. */
import type { Clock } from './ports.ts'

/** How much may pass at once after a rest, in seconds of the rate. */
const BURST_SECONDS = 0.05

/** @returns what waits after so many bytes; Infinity bytes a second never wait. */
export function pace(bytesPerSecond: number, clock: Clock): (bytes: number) => Promise<void> {
  let dueAt = clock.elapsed()
  return async (bytes) => {
    const now = clock.elapsed()
    dueAt = Math.max(dueAt, now - BURST_SECONDS * 1000) + (bytes * 1000) / bytesPerSecond
    if (dueAt > now + 1) await clock.sleep(Math.ceil(dueAt - now))
  }
}
