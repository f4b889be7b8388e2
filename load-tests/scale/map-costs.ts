/** What the map of a large cluster costs, by the very functions that make it: how long the plan takes, how long the words are. */
import { randomUUID } from 'node:crypto'
import type { ClusterMap, MemberState } from '../../streams/core/cluster-map.ts'
import { plan } from '../../streams/core/plan.ts'
import type { Offset, Partition } from '../../streams/core/types.ts'
import { encodeGift, encodeWords } from '../../streams/membership/kafka/words.ts'

export interface MapCosts {
  readonly nodes: number
  readonly partitions: number
  /** Milliseconds of one plan, by the group's leader, for each change of the cluster. */
  readonly planMs: number
  /** Bytes of the map with its seats, as each member gets it. */
  readonly giftBytes: number
  /** Bytes of what one member says of itself, on average. */
  readonly wordsBytes: number
  /** What the broker keeps as one record: all words, and a gift for each member. */
  readonly groupRecordBytes: number
}

const REPLICATION = 3
const TIMES = 3
/** Of each node, on average. */
const PARTITIONS_EACH = 4
/** Up to so many nodes it is measured; past it, it goes on as it grew up to there. */
const MEASURED_NODES = 128

export function mapCostsOf(nodes: number): MapCosts {
  if (nodes <= MEASURED_NODES) return mapCosts(nodes, PARTITIONS_EACH)
  const [half, whole] = [
    mapCosts(MEASURED_NODES / 2, PARTITIONS_EACH),
    mapCosts(MEASURED_NODES, PARTITIONS_EACH),
  ]
  const doublings = Math.log2(nodes / MEASURED_NODES)
  const grown = (of: (costs: MapCosts) => number): number => of(whole) * (of(whole) / of(half)) ** doublings
  return {
    nodes,
    partitions: nodes * PARTITIONS_EACH,
    planMs: grown(({ planMs }) => planMs),
    giftBytes: grown(({ giftBytes }) => giftBytes),
    wordsBytes: grown(({ wordsBytes }) => wordsBytes),
    groupRecordBytes: grown(({ groupRecordBytes }) => groupRecordBytes),
  }
}

export function mapCosts(nodes: number, partitionsOfEach: number): MapCosts {
  const partitions = nodes * partitionsOfEach
  const empty = Array.from({ length: nodes }, (_, at) => memberOf(at, partitions))
  const members = settled(empty, plan(empty, 1))
  plan(members, 2)
  const began = performance.now()
  for (let at = 0; at < TIMES; at += 1) plan(members, 3)
  const planMs = (performance.now() - began) / TIMES
  const map = plan(members, 4)
  const seated = members.map(({ nodeId, incarnation }) => ({
    ...{ memberId: `tidemark-${nodeId}-${randomUUID()}`, nodeId, incarnation, since: 1 },
  }))
  const giftBytes = encodeGift({ seated, map }).length
  const words = members.map((state) => encodeWords({ since: 1, nonce: 1, state }).length)
  const allWords = words.reduce((sum, bytes) => sum + bytes, 0)
  return {
    ...{ nodes, partitions, planMs, giftBytes },
    wordsBytes: allWords / nodes,
    groupRecordBytes: allWords + nodes * giftBytes,
  }
}

const memberOf = (at: number, partitions: number): MemberState => ({
  nodeId: `tidemark-${at}`,
  incarnation: randomUUID(),
  address: `tidemark-${at}.tidemark-headless.store.svc.cluster.local:7400`,
  zone: `zone-${at % 3}`,
  draining: false,
  topics: [
    {
      topic: 'tidemark.default',
      identity: 'c8Gf2aY4QpmXw1v6n3kZrA',
      partitions,
      replication: REPLICATION,
      settings: undefined,
    },
  ],
  held: [],
  handovers: [],
})

/** As the map wants it: every replica live, every leader leading. */
function settled(members: readonly MemberState[], { topics }: ClusterMap): MemberState[] {
  const held = new Map(members.map(({ nodeId }) => [nodeId, [] as MemberState['held'][number][]]))
  for (const { topic, placements } of topics)
    placements.forEach(({ replicas, warming }, partition) => {
      ;[...replicas, ...warming].forEach((nodeId, at) =>
        held.get(nodeId)?.push({
          ...{ topic, partition: partition as Partition, live: true, leading: at === 0 },
          applied: (1_000_000_000 + partition) as Offset,
        }),
      )
    })
  return members.map((member) => ({ ...member, held: held.get(member.nodeId) ?? [] }))
}
