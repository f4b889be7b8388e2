/** The real clock and the real source of names. */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock, Random } from './ports.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => Math.floor(performance.now()),
  sleep: (ms) => sleep(ms, undefined, { ref: false }),
  every(ms, callback) {
    const timer = setInterval(callback, ms).unref()
    return () => {
      clearInterval(timer)
    }
  },
}

export const systemRandom: Random = {
  id: (bytes) => randomBytes(bytes).toString('base64url'),
}
