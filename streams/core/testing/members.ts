/** Members of clusters for tests: states as text would say them, and fast-check's generators of states and maps. */
import fc from 'fast-check'
import type {
  ClusterMap,
  HeldReplica,
  MapNode,
  MapSettings,
  MemberState,
  TopicNeeds,
} from '../cluster-map.ts'
import type { Offset, Partition } from '../types.ts'

/** Leaves out what is undefined, as exact optional properties ask for. */
function present<T extends object>(record: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, field]) => field !== undefined)) as never
}

export const topicOf = (
  topic: string,
  partitions: number,
  replication: number,
  identity = 'i1',
): TopicNeeds => ({
  topic,
  identity,
  partitions,
  replication,
  settings: undefined,
})

export const replicaOf = (
  topic: string,
  partition: number,
  more: Partial<HeldReplica> = {},
): HeldReplica => ({
  topic,
  partition: partition as Partition,
  applied: 100 as Offset,
  live: true,
  leading: false,
  ...more,
})

export const memberOf = (nodeId: string, more: Partial<MemberState> = {}): MemberState => ({
  nodeId,
  incarnation: `${nodeId}.1`,
  address: `${nodeId}:7400`,
  zone: '',
  draining: false,
  topics: [],
  held: [],
  handovers: [],
  ...more,
})

// ---- generators -------------------------------------------------------------------------------------------------

const nodeIds = fc.constantFrom('a', 'b', 'c', 'd', 'ü "', 'node-12')
const topicNames = fc.constantFrom('t.default', 't.orders', 't.users')
const partition = fc.nat(5).map((value) => value as Partition)
const applied = fc.oneof(fc.nat(30_000), fc.maxSafeNat()).map((value) => value as Offset)
const incarnations = fc.constantFrom('a1', 'a2', 'b1', 'c1')
const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })

const node: fc.Arbitrary<MapNode> = fc.record({
  nodeId: nodeIds,
  incarnation: incarnations,
  address: fc.constantFrom('', 'host:1', '[::1]:7400'),
  zone: fc.constantFrom('', 'z1', 'z2'),
  draining: fc.boolean(),
})

const settings: fc.Arbitrary<MapSettings> = fc.record({
  partitionBy: fc.oneof(
    fc.constant({ kind: 'key' as const }),
    fc.uint8Array({ minLength: 1, maxLength: 16 }).map((bytes) => ({
      kind: 'prefix' as const,
      separator: new Uint8Array(bytes),
    })),
  ),
  valueBytesMax: fc.integer({ min: 1, max: 1 << 24 }),
  packing: fc.boolean(),
  defaultTtlMs: fc.nat(1 << 30),
  replication: fc.nat(8),
})

const needs: fc.Arbitrary<TopicNeeds> = fc.record({
  topic: topicNames,
  identity: fc.constantFrom('', 'i1', 'i2'),
  partitions: fc.integer({ min: 1, max: 6 }),
  replication: fc.integer({ min: 1, max: 4 }),
  settings: optional(settings),
})

const held: fc.Arbitrary<HeldReplica> = fc
  .record({
    topic: topicNames,
    partition,
    applied,
    live: fc.boolean(),
    leading: fc.boolean(),
    behind: optional(fc.constant(true)),
    handedBy: optional(incarnations),
  })
  .map((replica) => present(replica))

/** Anything that can be said, sense or not; each topic and each replica once. */
export const memberStates: fc.Arbitrary<MemberState> = fc
  .record({
    node,
    topics: fc.uniqueArray(needs, { maxLength: 3, selector: ({ topic }) => topic }),
    held: fc.uniqueArray(held, {
      maxLength: 12,
      selector: ({ topic, partition: at }) => `${at}/${topic}`,
    }),
    handovers: fc.array(fc.record({ topic: topicNames, partition, to: nodeIds }), { maxLength: 3 }),
  })
  .map(({ node: who, ...rest }) => ({ ...who, ...rest }))

export const clusterMaps: fc.Arbitrary<ClusterMap> = fc
  .uniqueArray(node, { minLength: 1, maxLength: 5, selector: ({ nodeId }) => nodeId })
  .chain((nodes) => {
    const some = fc.subarray(nodes.map(({ nodeId }) => nodeId))
    const placement = fc
      .record({
        leader: optional(fc.constantFrom(...nodes.map(({ nodeId }) => nodeId))),
        replicas: some,
        warming: some,
        handedBy: optional(incarnations),
      })
      .map(({ handedBy, ...rest }) => ({ ...rest, ...(handedBy === undefined ? {} : { handedBy }) }))
    const topic = needs.chain((one) =>
      fc
        .array(placement, { minLength: one.partitions, maxLength: one.partitions })
        .map((placements) => ({ ...one, placements })),
    )
    return fc.record({
      generation: fc.maxSafeNat(),
      nodes: fc.constant(nodes),
      topics: fc.uniqueArray(topic, { maxLength: 3, selector: (one) => one.topic }),
    })
  })
