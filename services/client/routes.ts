/**
 * The map, made ready for one question per operation: which nodes may do it, best first? Built anew with each map; the slot of
 * a partition is made when it is first asked for.
 */
import { partitionOf } from '../../streams/core/partitioner.ts'
import type { PartitionBy } from '../../streams/core/types.ts'
import type { ClusterMap, ClusterNode, ClusterPlacement } from './cluster-types.ts'
import type { NodeLink } from './node-link.ts'
import { anyOrder, preferenceOf, type ClientPlace } from './preference.ts'

/** One row, by its key; or one partition. */
export type Place =
  | { readonly keyspace: string; readonly key: Buffer }
  | { readonly keyspace: string; readonly partition: number }

/** One partition: where it is, best first, and what was chosen. */
export interface Slot {
  /** `<keyspace>/<partition>`, the same in every map. */
  readonly name: string
  readonly leaderFirst: Choice
  readonly nearestFirst: Choice
}

export interface Choice {
  readonly addresses: readonly string[]
  /** As of the router's epoch; an older one is where operations still are. */
  link: NodeLink | undefined
  epoch: number
}

interface KeyspaceRoutes {
  readonly name: string
  readonly placements: readonly ClusterPlacement[]
  readonly by: PartitionBy
  readonly slots: (Slot | undefined)[]
}

export class Routes {
  /** Addresses of all nodes, best first for what any node can do. */
  readonly anywhere: readonly string[]
  readonly #nodes: ReadonlyMap<string, ClusterNode>
  readonly #place: ClientPlace
  readonly #keyspaces = new Map<string, KeyspaceRoutes>()

  constructor(map: ClusterMap | undefined, place: ClientPlace) {
    this.#place = place
    this.#nodes = new Map(map?.nodes.map((node) => [node.nodeId, node]))
    this.anywhere = map === undefined ? [] : this.#addresses(anyOrder(map, place))
    for (const { name, placements, partitionByPrefix } of map?.keyspaces ?? []) {
      if (placements.length === 0) continue
      const by: PartitionBy =
        partitionByPrefix.length === 0 ? { kind: 'key' } : { kind: 'prefix', separator: partitionByPrefix }
      this.#keyspaces.set(name, { name, placements, by, slots: [] })
    }
  }

  /** Undefined where the map does not know it. */
  slotOf(place: Place): Slot | undefined {
    const routes = this.#keyspaces.get(place.keyspace)
    if (routes === undefined) return undefined
    const { placements, by, slots } = routes
    const partition = 'key' in place ? partitionOf(place.key, placements.length, by) : place.partition
    return slots[partition] ?? this.#makeSlot(routes, partition)
  }

  partitionOf(keyspace: string, key: Buffer): number | undefined {
    const routes = this.#keyspaces.get(keyspace)
    return routes === undefined ? undefined : partitionOf(key, routes.placements.length, routes.by)
  }

  #makeSlot(routes: KeyspaceRoutes, partition: number): Slot | undefined {
    const placement = routes.placements[partition]
    if (placement === undefined) return undefined
    const { leaderFirst, nearestFirst } = preferenceOf(placement, partition, this.#nodes, this.#place)
    const choice = (nodeIds: readonly string[]): Choice => ({
      addresses: this.#addresses(nodeIds),
      link: undefined,
      epoch: 0,
    })
    const name = `${routes.name}/${partition}`
    const slot: Slot = { name, leaderFirst: choice(leaderFirst), nearestFirst: choice(nearestFirst) }
    routes.slots[partition] = slot
    return slot
  }

  #addresses(nodeIds: readonly string[]): string[] {
    return nodeIds.flatMap((nodeId) => this.#nodes.get(nodeId)?.address ?? [])
  }
}
