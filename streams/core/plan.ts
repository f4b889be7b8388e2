/**
 * The map of the cluster from what its members say of themselves. Pure, total, the same for each order of the members (of two states of
 * one node id the later one counts). It remembers nothing: what must last stands in the members' states.
 *
 * One partition at a time, where replicas are (`placeReplicas`):
 * - `targets` are where it belongs (placement.ts), over the nodes that do not drain.
 * - Build before drop: every live replica is listed until all targets are live; then only they are, and the leader until it has given up.
 * - `warming` are the targets that have none live. If none is live anywhere, the holder that is furthest comes first, target or not: it has
 *   the most rows.
 *
 * All partitions together, who leads (`even-leaders.ts`):
 * - Who leads keeps it, unless it drains, is behind while another is not, holds no target while all targets are live, hands it over, or
 *   leads more than its even share. Then the map names nobody; when the leader has said that it gave up, the next one names another.
 * - A partition that nobody leads goes to the node that leads least of those with a live replica that is not behind. Who is behind says
 *   so: `applied` of two members was said at different times, and one that has just given up would always seem the furthest.
 * - What was handed over stays where it is while both nodes live, and counts as if it had not been: nothing moves in exchange for it.
 * Counts differ by at most one where replicas permit it. Nothing moves that need not.
 */
import { must } from './assert.ts'
import type { ClusterMap, HeldReplica, MapNode, MapPlacement, MapTopic, MemberState } from './cluster-map.ts'
import { evenLeaders, type Lead } from './even-leaders.ts'
import { agreeOnTopics, type AgreedTopic } from './map-topics.ts'
import { targetsOf } from './placement.ts'

export function plan(members: readonly MemberState[], generation: number): ClusterMap {
  const newest = new Map(members.map((member) => [member.nodeId, member]))
  const all = [...newest.values()].sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
  const topics = agreeOnTopics(all)
  const partitions = planPartitions(topics, all)
  const leaders = chooseLeaders(partitions, all)
  const placements = partitions.map((partition, at) => placementOf(partition, leaders[at]))
  let from = 0
  return {
    generation,
    nodes: all.map(nodeOf),
    topics: topics.map(({ needs }): MapTopic => {
      const first = from
      from += needs.partitions
      return { ...needs, placements: placements.slice(first, from) }
    }),
  }
}

const nodeOf = ({ nodeId, incarnation, address, zone, draining }: MemberState): MapNode => ({
  nodeId,
  incarnation,
  address,
  zone,
  draining,
})

// ---- one partition ----------------------------------------------------------------------------------------------

/** A member and the replica that it holds. */
interface Holder {
  readonly nodeId: string
  readonly draining: boolean
  readonly held: HeldReplica
}

/** A leadership that goes to a node whatever is even. */
interface Wish {
  readonly to: string
  /** Node that asked for it. Leadership is even as if that one led still: otherwise another would come to it in exchange. */
  readonly by: string
  /** Incarnation of the node that asked for it. */
  readonly handedBy: string
}

interface PartitionPlan {
  /** Of its topic. */
  readonly group: number
  readonly replicas: readonly string[]
  readonly warming: readonly string[]
  /** Node that leads; undefined when none says so. */
  readonly leader: string | undefined
  /** It may go on. */
  readonly keeps: boolean
  /** Nodes that may take the leadership; empty when no replica is live. */
  readonly options: readonly string[]
  readonly wish: Wish | undefined
}

/** Something that a member says of a partition. */
interface Said<T> {
  readonly member: MemberState
  readonly about: T
}

function byTopic<T extends { readonly topic: string }>(
  members: readonly MemberState[],
  listOf: (member: MemberState) => readonly T[],
): Map<string, Said<T>[]> {
  const topics = new Map<string, Said<T>[]>()
  for (const member of members)
    for (const about of listOf(member)) {
      const list = topics.get(about.topic)
      if (list === undefined) topics.set(about.topic, [{ member, about }])
      else list.push({ member, about })
    }
  return topics
}

function planPartitions(topics: readonly AgreedTopic[], members: readonly MemberState[]): PartitionPlan[] {
  const replicas = byTopic(members, ({ held }) => held)
  const handovers = byTopic(members, (member) => member.handovers)
  const places = members.filter(({ draining }) => !draining)
  const incarnations = new Map(members.map(({ incarnation, nodeId }) => [incarnation, nodeId]))
  return topics.flatMap(({ needs: { topic, partitions, replication }, speakers }, group) => {
    const holders = Array.from({ length: partitions }, () => new Map<string, Holder>())
    for (const { member, about } of replicas.get(topic) ?? [])
      if (speakers.has(member.nodeId))
        holders[about.partition]?.set(member.nodeId, {
          nodeId: member.nodeId,
          draining: member.draining,
          held: about,
        })
    const wishes = Array.from({ length: partitions }, () => new Map<string, Wish>())
    for (const { member, about } of handovers.get(topic) ?? [])
      wishes[about.partition]?.set(member.nodeId, {
        to: about.to,
        by: member.nodeId,
        handedBy: member.incarnation,
      })
    return holders.map((byNode, partition) => {
      const targets = targetsOf(topic, partition, places, replication)
      const held = [...byNode.values()]
      const asked = wishes[partition] ?? new Map<string, Wish>()
      return { group, ...placeReplicas(held, targets), ...planLeader(held, targets, asked, incarnations) }
    })
  })
}

function placeReplicas(
  holders: readonly Holder[],
  targets: readonly string[],
): Pick<PartitionPlan, 'replicas' | 'warming'> {
  const live = holders.filter(({ held }) => held.live)
  if (live.length === 0) {
    const held = furthest(holders)?.nodeId
    const others = sorted(targets.filter((to) => to !== held))
    return { replicas: [], warming: held === undefined ? others : [held, ...others] }
  }
  const has = new Set(live.map(({ nodeId }) => nodeId))
  const kept = isBuilt(targets, has)
    ? live.filter(({ nodeId, held }) => held.leading || targets.includes(nodeId))
    : live
  return { replicas: kept.map(({ nodeId }) => nodeId), warming: sorted(targets.filter((to) => !has.has(to))) }
}

function planLeader(
  holders: readonly Holder[],
  targets: readonly string[],
  wishes: ReadonlyMap<string, Wish>,
  incarnations: ReadonlyMap<string, string>,
): Pick<PartitionPlan, 'leader' | 'keeps' | 'options' | 'wish'> {
  // What is not live leads nothing, whatever it says.
  const live = holders.filter(({ held }) => held.live)
  const built = isBuilt(targets, new Set(live.map(({ nodeId }) => nodeId)))
  const lasting = built ? live.filter(({ nodeId }) => targets.includes(nodeId)) : live
  const fit = firstOf(
    lasting.filter(({ draining, held }) => !draining && held.behind !== true),
    lasting.filter(({ draining }) => !draining),
    lasting,
  )
  const claimants = live.filter(({ held }) => held.leading)
  const leader = furthest(
    firstOf(
      claimants.filter((holder) => fit.includes(holder)),
      claimants,
    ),
  )
  const keeps = leader !== undefined && fit.includes(leader)
  const options = firstOf(
    targets.flatMap((to) => fit.filter(({ nodeId }) => nodeId === to)),
    fit,
  ).map(({ nodeId }) => nodeId)
  const asked = (leader === undefined ? [...wishes.values()] : [wishes.get(leader.nodeId)]).find(
    (wish) => wish !== undefined && options.includes(wish.to),
  )
  const handedBy = keeps ? leader.held.handedBy : undefined
  const by = handedBy === undefined ? undefined : incarnations.get(handedBy)
  const pinned =
    leader === undefined || handedBy === undefined || by === undefined
      ? undefined
      : { to: leader.nodeId, by, handedBy }
  return { leader: leader?.nodeId, keeps, options, wish: asked ?? pinned }
}

const isBuilt = (targets: readonly string[], live: ReadonlySet<string>): boolean =>
  targets.length > 0 && targets.every((to) => live.has(to))

const firstOf = <T>(...lists: readonly (readonly T[])[]): readonly T[] =>
  lists.find(({ length }) => length > 0) ?? []

const sorted = (nodeIds: readonly string[]): string[] => [...nodeIds].sort((a, b) => (a < b ? -1 : 1))

/** The first of those that have applied the most. */
function furthest(holders: readonly Holder[]): Holder | undefined {
  let best: Holder | undefined
  for (const holder of holders)
    if (best === undefined || holder.held.applied > best.held.applied) best = holder
  return best
}

// ---- all partitions ---------------------------------------------------------------------------------------------

/** The node that shall lead each partition, though another may lead it still. */
function chooseLeaders(
  partitions: readonly PartitionPlan[],
  members: readonly MemberState[],
): (string | undefined)[] {
  const indexes = new Map(members.map(({ nodeId }, at) => [nodeId, at]))
  const index = (nodeId: string): number => must(indexes.get(nodeId), 'a member')
  const base = members.map(() => 0)
  for (const { wish } of partitions)
    if (wish !== undefined) base[index(wish.by)] = (base[index(wish.by)] ?? 0) + 1
  const open = partitions.filter(({ options, wish }) => wish === undefined && options.length > 0)
  const leads = open.map(({ group, options, leader, keeps }): Lead => ({
    group,
    options: options.map(index),
    current: keeps && leader !== undefined ? index(leader) : undefined,
  }))
  const chosen = evenLeaders(leads, base)
  const byPartition = new Map(open.map((partition, at) => [partition, members[chosen[at] ?? -1]?.nodeId]))
  return partitions.map((partition) => partition.wish?.to ?? byPartition.get(partition))
}

function placementOf(
  { replicas, warming, leader, wish }: PartitionPlan,
  chosen: string | undefined,
): MapPlacement {
  // In two steps: while another leads, or has not said yet that it gave up, nobody is named.
  const named = leader === undefined || leader === chosen ? chosen : undefined
  const handedBy = named !== undefined && named === wish?.to ? wish.handedBy : undefined
  return { leader: named, replicas, warming, ...(handedBy === undefined ? {} : { handedBy }) }
}
