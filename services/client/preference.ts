/**
 * Which node is asked first: pure, from the map alone. Order of preference for one partition:
 *
 *   writes, linearizable reads   the leader, then the replicas as for reads
 *   other reads                  replicas of the client's zone, then the others; inside each group every client has an order
 *                                of its own for each partition, so that clients spread over the replicas
 *
 * Nodes that drain come last. Whoever builds a replica does not serve it yet and is not named.
 */
import type { ClusterMap, ClusterNode, ClusterPlacement } from './cluster-types.ts'

export interface Preference {
  /** Ids of nodes, best first. */
  readonly leaderFirst: readonly string[]
  readonly nearestFirst: readonly string[]
}

export interface ClientPlace {
  /** Empty = unknown. */
  readonly zone: string
  /** Another for each client. */
  readonly salt: string
}

/** @param nodes - those that live, by id; a placement may name others still */
export function preferenceOf(
  { leader, replicas }: ClusterPlacement,
  partition: number,
  nodes: ReadonlyMap<string, ClusterNode>,
  place: ClientPlace,
): Preference {
  const living = replicas.flatMap((nodeId) => nodes.get(nodeId) ?? [])
  const nearestFirst = nearest(living, String(partition), place)
  const leads = nearestFirst.includes(leader)
  const leaderFirst = leads ? [leader, ...nearestFirst.filter((nodeId) => nodeId !== leader)] : nearestFirst
  return { leaderFirst, nearestFirst }
}

/** Ids of all nodes, best first, for what any node can do. */
export const anyOrder = (map: ClusterMap, place: ClientPlace): readonly string[] =>
  nearest(map.nodes, '', place)

function nearest(nodes: readonly ClusterNode[], what: string, { zone, salt }: ClientPlace): string[] {
  const far = ({ draining, zone: its }: ClusterNode): number =>
    (draining ? 2 : 0) + (zone !== '' && its !== zone ? 1 : 0)
  return nodes
    .map((node) => ({ node, far: far(node), draw: hash(`${salt}/${what}/${node.nodeId}`) }))
    .sort((one, other) => one.far - other.far || one.draw - other.draw)
    .map(({ node }) => node.nodeId)
}

/** FNV-1a, and a last mix: texts that differ in their last character must come far apart. */
function hash(text: string): number {
  let state = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193)
  state ^= state >>> 16
  state = Math.imul(state, 0x85ebca6b)
  return (state ^ (state >>> 13)) >>> 0
}
