/**
 * The appending half of a log, for several callers: a lane takes one append at a time, so whoever finds it busy waits for its
 * turn, in order. The writer is the main user; records that set up a keyspace go the same way.
 */
import type { Log } from './log.ts'

export type Appender = Pick<Log, 'append' | 'lanes'>

export function sharedAppender(log: Log): Appender {
  /** The last append of each lane; never rejects. */
  const last = new Map<number, Promise<unknown>>()
  return {
    lanes: log.lanes,
    append(lane, parts) {
      const before = last.get(lane)
      const append =
        before === undefined ? log.append(lane, parts) : before.then(() => log.append(lane, parts))
      const done: Promise<unknown> = append
        .catch(() => undefined)
        .then(() => {
          if (last.get(lane) === done) last.delete(lane)
        })
      last.set(lane, done)
      return append
    },
  }
}
