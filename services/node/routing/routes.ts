/** Which nodes can answer for each partition of a keyspace, as one node reads the map. Pure. */
import type { ClusterMap } from '../../../streams/core/cluster-map.ts'
import type { Partition } from '../../../streams/core/types.ts'

export interface Routes {
  /** No other node is known: nothing is ever sent on. */
  readonly alone: boolean
  /** This node serves every partition. */
  readonly allHere: boolean
  /** This node serves the partition; indexed by partition. */
  readonly here: readonly boolean[]
  /** Id of the leading node; indexed by partition. */
  readonly leaders: readonly (string | undefined)[]
  /** Ids of the other nodes that serve it, in the order in which this node asks them; indexed by partition. */
  readonly others: readonly (readonly string[])[]
}

/** A node without others asks itself. */
export const ALONE: Routes = { alone: true, allHere: true, here: [], leaders: [], others: [] }

/** The map does not name the keyspace yet. */
const UNKNOWN: Routes = { alone: false, allHere: false, here: [], leaders: [], others: [] }

export function routesOf({ nodes, topics }: ClusterMap, ownId: string, topic: string): Routes {
  if (nodes.every(({ nodeId }) => nodeId === ownId)) return ALONE
  const placements = topics.find((each) => each.topic === topic)?.placements
  if (placements === undefined) return UNKNOWN
  const draining = new Set(nodes.flatMap((node) => (node.draining ? [node.nodeId] : [])))
  const ownPlace = Math.max(
    0,
    nodes.findIndex(({ nodeId }) => nodeId === ownId),
  )
  const here = placements.map(({ replicas }) => replicas.includes(ownId))
  return {
    alone: false,
    allHere: here.every(Boolean),
    here,
    leaders: placements.map(({ leader }) => leader),
    others: placements.map(({ replicas }, partition) => {
      const others = rotated(
        replicas.filter((nodeId) => nodeId !== ownId),
        ownPlace + partition,
      )
      // Who drains answers still, but not for long.
      return [...others.filter((id) => !draining.has(id)), ...others.filter((id) => draining.has(id))]
    }),
  }
}

/** Nodes that ask, and partitions that are asked for, begin with different replicas: so the load spreads. */
function rotated<T>(list: readonly T[], by: number): readonly T[] {
  const from = list.length === 0 ? 0 : by % list.length
  return [...list.slice(from), ...list.slice(0, from)]
}

/** Ids of the nodes other than this one to ask, best first. */
export function othersFor(
  routes: Routes,
  partition: Partition,
  purpose: 'read' | 'write',
): readonly string[] {
  const others = routes.others[partition] ?? []
  const leader = routes.leaders[partition]
  // One writer for a partition makes the largest packs.
  return purpose === 'write' && leader !== undefined && others.includes(leader)
    ? [leader, ...others.filter((nodeId) => nodeId !== leader)]
    : others
}
