/**
 * Membership of the nodes of a world: the group of membership/simulated.ts in virtual time. A process that stands still hears nothing
 * and is heard no more; the group takes it for dead after a session, and it learns of that when it goes on (a zombie).
 */
import { BehaviorSubject, ReplaySubject } from 'rxjs'
import type { ClusterMap } from '../core/cluster-map.ts'
import type { Membership } from '../membership/membership.ts'
import { simulatedCluster, type SimulatedCluster } from '../membership/simulated.ts'
import type { Life, World } from './world.ts'

export class Group {
  readonly #world: World
  readonly #cluster: SimulatedCluster
  /** The newest process of each node that is a member or wants to be. */
  readonly #newest = new Map<string, Life>()

  constructor(world: World) {
    this.#world = world
    this.#cluster = simulatedCluster(world.random('group'), world)
  }

  get map(): ClusterMap {
    return this.#cluster.map
  }

  /** The membership of one process. */
  member(nodeId: string, life: Life): Membership {
    const inner = this.#cluster.member()
    const map$ = new ReplaySubject<ClusterMap>(1)
    const connected$ = new BehaviorSubject(false)
    const heard = (tell: () => void): void => {
      this.#world.within(life, tell)
    }
    const maps = inner.map$.subscribe((map) => {
      heard(() => {
        map$.next(map)
      })
    })
    const connections = inner.connected$.subscribe((now) => {
      heard(() => {
        if (connected$.value !== now) connected$.next(now)
      })
    })
    return {
      map$,
      connected$,
      announce: (state) => {
        if (!life.alive) return
        inner.announce(state)
        this.#newest.set(nodeId, life)
      },
      close: async () => {
        if (!life.alive) return
        maps.unsubscribe()
        connections.unsubscribe()
        if (this.#newest.get(nodeId) === life) this.#newest.delete(nodeId)
        await inner.close()
        map$.complete()
        connected$.complete()
      },
    }
  }

  /** What the group knows of the node; undefined while it is not a member. */
  incarnationOf(nodeId: string): string | undefined {
    return this.#cluster.members.find((member) => member.nodeId === nodeId)?.incarnation
  }

  /** The session of this incarnation ends, if it is a member still. */
  evict(nodeId: string, incarnation: string | undefined): void {
    if (incarnation !== undefined && this.incarnationOf(nodeId) === incarnation) this.#cluster.evict(nodeId)
  }

  /** It hears nothing and is not heard; a dead process stays so. */
  cut(nodeId: string): void {
    if (this.#newest.has(nodeId)) this.#cluster.cut(nodeId)
  }

  heal(nodeId: string): void {
    if (this.#newest.get(nodeId)?.alive === true) this.#cluster.heal(nodeId)
  }

  /** Maps for the node are held up until `release`. */
  hold(nodeId: string): void {
    if (this.#newest.has(nodeId)) this.#cluster.hold(nodeId)
  }

  release(nodeId: string): void {
    if (this.#newest.has(nodeId)) this.#cluster.release(nodeId)
  }
}
