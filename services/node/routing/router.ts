/** What all keyspaces of a routed node share: the newest map, the peers, and ids for writes that are sent on. */
import { Subject, firstValueFrom, race, timer } from 'rxjs'
import type { Observable, Subscription } from 'rxjs'
import { type ClusterMap, EMPTY_MAP, type MapPlacement } from '../../../streams/core/cluster-map.ts'
import type { Partition } from '../../../streams/core/types.ts'
import { Tally } from '../../../streams/meters.ts'
import { Peers } from './peers.ts'
import { requestIds } from './request-ids.ts'

export class Router {
  readonly ownId: string
  readonly peers: Peers
  readonly nextRequestId: () => string
  /** The newest; read for every request. */
  map: ClusterMap = EMPTY_MAP
  readonly #changed$ = new Subject<void>()
  readonly #following: Subscription

  /** @param name - of this run of the node: nobody else's, ever */
  constructor(ownId: string, name: string, map$: Observable<ClusterMap>, forwards = new Tally()) {
    this.ownId = ownId
    this.peers = new Peers(ownId, forwards)
    this.nextRequestId = requestIds(name)
    this.#following = map$.subscribe((map) => {
      this.peers.update(map.nodes)
      this.map = map
      this.#changed$.next()
    })
  }

  /** As the map has it; undefined while leadership moves. */
  leaderOf(topic: string, partition: Partition): string | undefined {
    return this.#placement(topic, partition)?.leader
  }

  replicasOf(topic: string, partition: Partition): readonly string[] {
    return this.#placement(topic, partition)?.replicas ?? []
  }

  #placement(topic: string, partition: Partition): MapPlacement | undefined {
    return this.map.topics.find((each) => each.topic === topic)?.placements[partition]
  }

  /** Resolves after so many milliseconds, or with the next map. */
  async rest(ms: number): Promise<void> {
    await firstValueFrom(race(timer(ms), this.#changed$), { defaultValue: undefined })
  }

  close(): void {
    this.#following.unsubscribe()
    this.#changed$.complete()
    this.peers.close()
  }
}
