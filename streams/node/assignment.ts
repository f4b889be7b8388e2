/**
 * What a node does next about one partition, from what the map says and what it has. Pure.
 *
 *   the map names it       nothing here              → open
 *   (replicas, warming)    damaged, others are live  → rebuild: the rows here are worth nothing, those elsewhere are right
 *                          the same, nobody is live, the log is whole → rebuild: it was found wrong by a replay of that log
 *                          of a topic that was replaced on purpose → rebuild from the new one
 *   the map names others   something here            → close, once enough of them are live and none is being built
 *
 * The last live replica is never given up: with nobody in the lead nobody is known to be live, and then nothing is dropped.
 * Closing can wait (hosted-keyspace.ts): the map may count on a node that is dead already.
 */
import type { ClusterMap, MapPlacement } from '../core/cluster-map.ts'
import type { Reason } from '../core/errors.ts'

/** What the node has of a partition. */
export type Here =
  | { readonly state: 'none' }
  | { readonly state: 'running' }
  /** `rebuildable`: the log holds all that made it, so that nobody else is needed. */
  | { readonly state: 'stopped'; readonly reason: Reason; readonly rebuildable?: boolean }
  /** Built from a topic that was deleted; `replaced` when the new one was created on purpose. */
  | { readonly state: 'old'; readonly replaced: boolean }

export type Step = 'keep' | 'open' | 'rebuild' | 'close'

/** What another replica, or the log as it stands, can make good. The other reasons are for people to look at. */
const REBUILT: ReadonlySet<Reason> = new Set([
  'STORE_CORRUPT',
  'REPLICA_DIVERGED',
  'TOPIC_RECREATED',
  'LOG_TRIMMED',
])

/** @param copies - live replicas that must be elsewhere before the one here is given up */
export function nextStep(here: Here, nodeId: string, placement: MapPlacement, copies: number): Step {
  const { leader, replicas, warming } = placement
  const named = replicas.includes(nodeId) || warming.includes(nodeId)
  if (here.state === 'none') return named ? 'open' : 'keep'
  const elsewhere =
    leader === undefined || leader === nodeId ? 0 : replicas.filter((id) => id !== nodeId).length
  if (named && here.state === 'old') return here.replaced ? 'rebuild' : 'keep'
  if (named) {
    if (here.state !== 'stopped' || !REBUILT.has(here.reason)) return 'keep'
    return elsewhere > 0 || here.rebuildable === true ? 'rebuild' : 'keep'
  }
  return elsewhere >= copies && warming.length === 0 ? 'close' : 'keep'
}

/** As many as the keyspace asks for, as far as there are nodes that stay. */
export function copiesElsewhere(map: ClusterMap, nodeId: string, replication: number): number {
  const others = map.nodes.filter((node) => node.nodeId !== nodeId && !node.draining).length
  return Math.max(1, Math.min(replication, others))
}

/** Whether others lead whatever they can lead, so that the node may leave without a gap. */
export function handedOver(map: ClusterMap, nodeId: string): boolean {
  const able = othersThatStay(map, nodeId)
  return map.topics.every(({ placements }) =>
    placements.every(({ leader, replicas }) =>
      leader === undefined || leader === nodeId ? !replicas.some((id) => able.has(id)) : true,
    ),
  )
}

/** Ids of the nodes beside this one that do not drain. */
export const othersThatStay = ({ nodes }: ClusterMap, nodeId: string): ReadonlySet<string> =>
  new Set(nodes.filter((node) => node.nodeId !== nodeId && !node.draining).map((node) => node.nodeId))
