/** Whether what a member says of itself asks for a new map, and when a replica calls itself behind. */
import { bytesToText } from './bytes.ts'
import type { HeldReplica, MemberState, TopicNeeds } from './cluster-map.ts'
import { LEADER_BEHIND_RECORDS, LEADER_NEAR_RECORDS } from './limits.ts'
import type { Offset } from './types.ts'

/**
 * Whether the difference between two announcements in a row can alter the map. It asks for nothing new when a node
 * - has applied more, or begins to build a replica: the map lists it as warming already;
 * - takes a leadership: the map named it;
 * - is behind and leads nothing, or forgets a handover of what it does not lead any more.
 * All that is told with the next change. Order within lists does not matter.
 */
export function changesMap(before: MemberState, after: MemberState): boolean {
  return (
    before.nodeId !== after.nodeId ||
    before.incarnation !== after.incarnation ||
    before.address !== after.address ||
    before.zone !== after.zone ||
    before.draining !== after.draining ||
    !sameSet(before.topics.map(topicText), after.topics.map(topicText)) ||
    replicasChange(before.held, after.held) ||
    handoversChange(before, after)
  )
}

/**
 * Whether a live replica is too far from the end of the log to lead. It stays what it was between the two bounds, so that it does not
 * change with each look.
 * @param was true at first: what has just become live shows first that it keeps up
 * @param applied offset of the next record to apply
 * @param end offset that the next record of the log gets, as last seen
 */
export const isBehind = (applied: Offset, end: Offset, was: boolean): boolean =>
  end - applied > (was ? LEADER_NEAR_RECORDS : LEADER_BEHIND_RECORDS)

const placeOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${partition}/${topic}`

function topicText({ topic, identity, partitions, replication, settings }: TopicNeeds): string {
  if (settings === undefined) return JSON.stringify([topic, identity, partitions, replication])
  const { partitionBy, valueBytesMax, packing } = settings
  const separator = partitionBy.kind === 'key' ? null : bytesToText(partitionBy.separator)
  return JSON.stringify([topic, identity, partitions, replication, valueBytesMax, packing, separator])
}

function sameSet(left: readonly string[], right: readonly string[]): boolean {
  const set = new Set(left)
  return set.size === new Set(right).size && right.every((text) => set.has(text))
}

function replicasChange(before: readonly HeldReplica[], after: readonly HeldReplica[]): boolean {
  const left = new Map(before.map((held) => [placeOf(held), held]))
  for (const now of after) {
    const then = left.get(placeOf(now))
    left.delete(placeOf(now))
    if (now.live !== (then?.live === true)) return true
    if (then === undefined) continue
    if (then.leading && !now.leading) return true
    const wasBehind = then.behind === true
    const behind = now.behind === true
    if (behind !== wasBehind && (wasBehind || now.leading)) return true
  }
  for (const gone of left.values()) if (gone.live || gone.leading) return true
  return false
}

function handoversChange(before: MemberState, after: MemberState): boolean {
  const text = ({ topic, partition, to }: MemberState['handovers'][number]): string =>
    `${partition}/${topic}/${to}`
  const left = new Set(before.handovers.map(text))
  if (after.handovers.some((handover) => !left.has(text(handover)))) return true
  const now = new Set(after.handovers.map(text))
  const leads = new Set(after.held.filter(({ leading }) => leading).map(placeOf))
  return before.handovers.some((handover) => !now.has(text(handover)) && leads.has(placeOf(handover)))
}
