/**
 * The appending half of a log, for several callers: a lane takes one append at a time, so whoever finds it busy waits for its
 * turn, in order. The writer is the main user; records that set up a keyspace go the same way.
 *
 * A caller with a listener looks after its partitions itself, and gets its turn as soon as the lane is free; one without waits
 * until all that went before has ended, so that no partition stands in two calls.
 */
import type { AppendListener, Log } from './log.ts'

export type Appender = Pick<Log, 'append' | 'lanes'>

interface Turn {
  /** The lane takes another call. */
  readonly free: Promise<unknown>
  /** This call and all before it have ended. */
  readonly ended: Promise<unknown>
}

export function sharedAppender(log: Log): Appender {
  /** The last turn of each lane; its promises never reject. */
  const last = new Map<number, Turn>()
  return {
    lanes: log.lanes,
    append(lane, parts, listener) {
      const before = last.get(lane)
      let letGo = (): void => undefined
      const freed = new Promise<void>((resolve) => (letGo = resolve))
      const told: AppendListener | undefined =
        listener === undefined
          ? undefined
          : {
              part: (index, result) => {
                listener.part(index, result)
              },
              free: () => {
                letGo()
                listener.free()
              },
            }
      const append =
        before === undefined
          ? log.append(lane, parts, told)
          : (told === undefined ? before.ended : before.free).then(() => log.append(lane, parts, told))
      const done = append.catch(() => undefined)
      const turn: Turn = { free: Promise.race([done, freed]), ended: Promise.all([before?.ended, done]) }
      last.set(lane, turn)
      void turn.ended.then(() => {
        if (last.get(lane) === turn) last.delete(lane)
      })
      return append
    },
  }
}
