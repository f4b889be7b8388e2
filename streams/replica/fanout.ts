/**
 * What the watchers of a keyspace share. Where many watch, each event costs as often as there are watchers: so they look at what has
 * happened together, a few milliseconds after they did last, and tell of all of it in one message. The first event after a rest goes at
 * once; few watchers never rest.
 */
import type { Offset, Position } from '../core/types.ts'
import type { Clock } from '../ports.ts'
import type { Replica } from './replica.ts'

/** So many watchers rest for one millisecond, twice as many for two: about half of what a message to each of them costs a processor. */
export const WATCHERS_FOR_REST_MS = 20
/** What a rest may add to the age of an event. */
export const WATCH_REST_MS_MAX = 5

/** Where a watcher stands in one partition. */
export interface WatchPlace {
  readonly replica: Replica
  /** The next offset to deliver. */
  readonly next: Offset
}

export class Fanout {
  readonly #clock: Pick<Clock, 'sleep'>
  #watchers = 0
  #resting: Promise<void> | undefined
  #shared: { readonly places: readonly WatchPlace[]; readonly positions: readonly Position[] } | undefined

  constructor(clock: Pick<Clock, 'sleep'>) {
    this.#clock = clock
  }

  /** A watcher more; what this returns takes it back. */
  join(): () => void {
    this.#watchers += 1
    let watching = true
    return () => {
      if (watching) this.#watchers -= 1
      watching = false
    }
  }

  /** Resolves when watchers look again, all in one turn; undefined: at once. */
  rest(): Promise<void> | undefined {
    const ms = Math.min(WATCH_REST_MS_MAX, Math.floor(this.#watchers / WATCHERS_FOR_REST_MS))
    if (ms === 0) return undefined
    return (this.#resting ??= this.#clock.sleep(ms).then(() => {
      this.#resting = undefined
    }))
  }

  /** Watchers that stand at the same places get the same array. */
  positions(places: readonly WatchPlace[]): readonly Position[] {
    if (this.#shared !== undefined && areSame(this.#shared.places, places)) return this.#shared.positions
    const positions = places
      .filter(({ next }) => next > 0)
      .map(({ replica, next }) => ({
        keyspace: replica.keyspace,
        partition: replica.state.partition,
        offset: (next - 1) as Offset,
      }))
    this.#shared = { places: places.map(({ replica, next }) => ({ replica, next })), positions }
    return positions
  }
}

function areSame(some: readonly WatchPlace[], others: readonly WatchPlace[]): boolean {
  if (some.length !== others.length) return false
  return some.every(({ replica, next }, at) => {
    const other = others[at]
    return replica === other?.replica && next === other.next
  })
}
