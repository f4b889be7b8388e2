/** Who can answer for the partitions of one keyspace, now: the routes of the newest map, without the peers that are not there. */
import type { Keyspace } from '../../../streams/face.ts'
import type { Partition } from '../../../streams/core/types.ts'
import type { Place } from './failover.ts'
import type { Peer } from './peer.ts'
import { RemoteKeyspace } from './remote-keyspace.ts'
import type { Router } from './router.ts'
import { ALONE, type Routes, othersFor, routesOf } from './routes.ts'

export type Purpose = 'read' | 'write'

export class Places {
  /** This node itself. */
  readonly own: Place
  readonly #local: Keyspace
  readonly #router: Router
  readonly #name: string
  readonly #topic: string
  readonly #remote = new WeakMap<Peer, Place>()
  #routes: Routes = ALONE
  /** The map that the routes were read from. */
  #map: unknown

  constructor(local: Keyspace, router: Router) {
    const { name, topic } = local.info
    this.own = { nodeId: router.ownId, own: true, rows: local }
    this.#local = local
    this.#router = router
    this.#name = name
    this.#topic = topic
  }

  get routes(): Routes {
    const { map } = this.#router
    if (map !== this.#map) {
      this.#map = map
      this.#routes = routesOf(map, this.#router.ownId, this.#topic)
    }
    return this.#routes
  }

  /** Best first; this node itself where nobody is known: it says best what is wrong. */
  of(partition: Partition, purpose: Purpose): readonly Place[] {
    const { routes } = this
    const willing: Place[] = routes.here[partition] === true ? [this.own] : []
    const suspect: Place[] = []
    for (const nodeId of othersFor(routes, partition, purpose)) {
      const peer = this.#router.peers.get(nodeId)
      if (peer === undefined) continue
      if (peer.suspect) suspect.push(this.#at(peer))
      else willing.push(this.#at(peer))
    }
    const places = [...willing, ...suspect]
    return places.length === 0 ? [this.own] : places
  }

  #at(peer: Peer): Place {
    const known = this.#remote.get(peer)
    if (known !== undefined) return known
    const rows = new RemoteKeyspace(peer, this.#name, (key) => this.#local.partitionOf(key))
    const place = { nodeId: peer.nodeId, own: false, rows }
    this.#remote.set(peer, place)
    return place
  }
}
