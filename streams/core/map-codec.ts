/**
 * What members tell each other in the group's metadata, as bytes: a member's state and the map. JSON with short names, so that Kafka's
 * tools show it; past MAP_PLAIN_BYTES the same as gzip, which its first byte tells. Placements are text with indexes into the nodes.
 *
 *   member = { v, n: node, t: [topic…], h: [[topic name, [partition, applied, flags]…]…], b: [[topic name, partition, handedBy]…],
 *              o: [[topic name, partition, to]…] }                                flags: 1 live, 2 leading, 4 behind
 *   map    = { v, g: generation, n: [node…], t: [[…topic, placements, [[partition, handedBy]…]]…] }
 *   node   = [id, incarnation, address, zone, 0 | 1 draining]
 *   topic  = [name, identity, partitions, replication, null | [valueBytesMax, 0 | 1 packing, separator as base64 | absent]]
 *   placements = "leader:replicas:warming" for each partition with ";" between; indexes with "." between
 *
 * Nodes of several versions talk during an upgrade: names and places at the end of lists may be added, readers pass over what they do
 * not know. What an old reader would misunderstand gets another `v`, in a release that still writes this one.
 *
 * Decoding is total: whatever is no member or no map becomes undefined. Encoding does not refuse: who sends compares with MAP_BYTES_MAX.
 */
import { gunzipSync, gzipSync } from 'node:zlib'
import { must } from './assert.ts'
import { asBuffer, MALFORMED } from './bytes.ts'
import type {
  ClusterMap,
  Handover,
  HeldReplica,
  MapNode,
  MapPlacement,
  MapSettings,
  MapTopic,
  MemberState,
  TopicNeeds,
} from './cluster-map.ts'
import {
  KEYSPACES_MAX,
  MAP_BYTES_MAX,
  MAP_INFLATED_BYTES_MAX,
  MAP_PLAIN_BYTES,
  MAP_TEXT_MAX,
  NODES_MAX,
  PARTITIONS_MAX,
} from './limits.ts'
import type { Offset, Partition } from './types.ts'

const VERSION = 1
const GZIP = 0x1f
const LIVE = 1
const LEADING = 2
const BEHIND = 4

// ---- encode -----------------------------------------------------------------------------------------------------

export function encodeMember(state: MemberState): Uint8Array {
  const held = new Map<string, number[][]>()
  const handed: unknown[] = []
  for (const { topic, partition, applied, live, leading, behind, handedBy } of state.held) {
    const flags = (live ? LIVE : 0) | (leading ? LEADING : 0) | (behind === true ? BEHIND : 0)
    const list = held.get(topic)
    if (list === undefined) held.set(topic, [[partition, applied, flags]])
    else list.push([partition, applied, flags])
    if (handedBy !== undefined) handed.push([topic, partition, handedBy])
  }
  return pack({
    v: VERSION,
    n: nodeOut(state),
    t: state.topics.map(topicOut),
    h: [...held].map(([topic, list]) => [topic, ...list]),
    b: handed,
    o: state.handovers.map(({ topic, partition, to }) => [topic, partition, to]),
  })
}

export function encodeMap(map: ClusterMap): Uint8Array {
  const indexes = new Map(map.nodes.map(({ nodeId }, at) => [nodeId, at]))
  const index = (nodeId: string): number => must(indexes.get(nodeId), `node ${nodeId} of a placement`)
  const placementOut = ({ leader, replicas, warming }: MapPlacement): string =>
    [
      leader === undefined ? '' : index(leader),
      replicas.map(index).join('.'),
      warming.map(index).join('.'),
    ].join(':')
  return pack({
    v: VERSION,
    g: map.generation,
    n: map.nodes.map(nodeOut),
    t: map.topics.map((topic) => [
      ...topicOut(topic),
      topic.placements.map(placementOut).join(';'),
      topic.placements.flatMap(({ handedBy }, at) => (handedBy === undefined ? [] : [[at, handedBy]])),
    ]),
  })
}

const nodeOut = ({ nodeId, incarnation, address, zone, draining }: MapNode): unknown[] => [
  nodeId,
  incarnation,
  address,
  zone,
  draining ? 1 : 0,
]

const topicOut = ({ topic, identity, partitions, replication, settings }: TopicNeeds): unknown[] => [
  topic,
  identity,
  partitions,
  replication,
  settings === undefined ? null : settingsOut(settings),
]

const settingsOut = ({ partitionBy, valueBytesMax, packing }: MapSettings): unknown[] => [
  valueBytesMax,
  packing ? 1 : 0,
  ...(partitionBy.kind === 'key' ? [] : [asBuffer(partitionBy.separator).toString('base64')]),
]

function pack(content: object): Uint8Array {
  const plain = Buffer.from(JSON.stringify(content))
  return plain.length <= MAP_PLAIN_BYTES ? plain : gzipSync(plain)
}

// ---- decode -----------------------------------------------------------------------------------------------------

export const decodeMember = (bytes: Uint8Array): MemberState | undefined => total(bytes, memberIn)
export const decodeMap = (bytes: Uint8Array): ClusterMap | undefined => total(bytes, mapIn)

function total<T>(bytes: Uint8Array, read: (content: Readonly<Record<string, unknown>>) => T): T | undefined {
  if (bytes.length > MAP_BYTES_MAX) return undefined
  try {
    const plain = bytes[0] === GZIP ? gunzipSync(bytes, { maxOutputLength: MAP_INFLATED_BYTES_MAX }) : bytes
    const content: unknown = JSON.parse(asBuffer(plain).toString('utf8'))
    if (typeof content !== 'object' || content === null) return undefined
    const fields = content as Readonly<Record<string, unknown>>
    return fields['v'] === VERSION ? read(fields) : undefined
  } catch {
    // No gzip, no JSON, or MALFORMED: all of it is somebody else's bytes.
    return undefined
  }
}

function memberIn(content: Readonly<Record<string, unknown>>): MemberState {
  const handed = new Map(
    list(content['b']).map((entry) => {
      const [topic, at, by] = list(entry)
      return [`${partitionIn(at)}/${name(topic)}`, name(by)]
    }),
  )
  const held = list(content['h']).flatMap((entry): HeldReplica[] => {
    const [topicName, ...replicas] = list(entry)
    const topic = name(topicName)
    return replicas.map((replica) => {
      const [at, next, flagBits] = list(replica)
      const partition = partitionIn(at)
      const flags = natural(flagBits, Number.MAX_SAFE_INTEGER)
      const handedBy = handed.get(`${partition}/${topic}`)
      return {
        topic,
        partition,
        applied: natural(next, Number.MAX_SAFE_INTEGER) as Offset,
        live: (flags & LIVE) !== 0,
        leading: (flags & LEADING) !== 0,
        ...((flags & BEHIND) === 0 ? {} : { behind: true }),
        ...(handedBy === undefined ? {} : { handedBy }),
      }
    })
  })
  return {
    ...nodeIn(content['n']),
    topics: list(content['t'], KEYSPACES_MAX).map((topic) => topicIn(list(topic))),
    held,
    handovers: list(content['o']).map((entry): Handover => {
      const [topic, at, to] = list(entry)
      return { topic: name(topic), partition: partitionIn(at), to: name(to) }
    }),
  }
}

function mapIn(content: Readonly<Record<string, unknown>>): ClusterMap {
  const nodes = list(content['n'], NODES_MAX).map(nodeIn)
  return {
    generation: natural(content['g'], Number.MAX_SAFE_INTEGER),
    nodes,
    topics: list(content['t'], KEYSPACES_MAX).map((entry) => mapTopicIn(list(entry), nodes)),
  }
}

function mapTopicIn(fields: readonly unknown[], nodes: readonly MapNode[]): MapTopic {
  const needs = topicIn(fields)
  const handed = new Map(
    list(fields[6]).map((entry) => {
      const [at, by] = list(entry)
      return [partitionIn(at), name(by)]
    }),
  )
  const node = (digits: string): string => {
    const found = /^\d{1,3}$/.test(digits) ? nodes[Number(digits)] : undefined
    if (found === undefined) throw MALFORMED
    return found.nodeId
  }
  const some = (digits: string): string[] => (digits === '' ? [] : digits.split('.').map(node))
  const placements = text(fields[5], Infinity)
    .split(';')
    .map((placement, at): MapPlacement => {
      const [leader, replicas, warming] = placement.split(':')
      if (leader === undefined || replicas === undefined || warming === undefined) throw MALFORMED
      const handedBy = handed.get(at as Partition)
      return {
        leader: leader === '' ? undefined : node(leader),
        replicas: some(replicas),
        warming: some(warming),
        ...(handedBy === undefined ? {} : { handedBy }),
      }
    })
  if (placements.length !== needs.partitions) throw MALFORMED
  return { ...needs, placements }
}

function nodeIn(value: unknown): MapNode {
  const [nodeId, incarnation, address, zone, draining] = list(value)
  return {
    nodeId: name(nodeId),
    incarnation: name(incarnation),
    address: text(address),
    zone: text(zone),
    draining: flag(draining),
  }
}

function topicIn([topic, identity, partitions, replication, settings]: readonly unknown[]): TopicNeeds {
  return {
    topic: name(topic),
    identity: text(identity),
    partitions: positive(partitions, PARTITIONS_MAX),
    replication: positive(replication, NODES_MAX),
    settings: settings === null || settings === undefined ? undefined : settingsIn(list(settings)),
  }
}

function settingsIn([valueBytesMax, packing, separator]: readonly unknown[]): MapSettings {
  return {
    partitionBy:
      separator === undefined ? { kind: 'key' } : { kind: 'prefix', separator: separatorIn(separator) },
    valueBytesMax: positive(valueBytesMax, Number.MAX_SAFE_INTEGER),
    packing: flag(packing),
  }
}

function separatorIn(value: unknown): Uint8Array {
  const separator = new Uint8Array(Buffer.from(text(value), 'base64'))
  if (separator.length === 0) throw MALFORMED
  return separator
}

const partitionIn = (value: unknown): Partition => natural(value, PARTITIONS_MAX - 1) as Partition

function list(value: unknown, max = Infinity): readonly unknown[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.length > max) throw MALFORMED
  return value as readonly unknown[]
}

function text(value: unknown, max = MAP_TEXT_MAX): string {
  if (typeof value !== 'string' || value.length > max) throw MALFORMED
  return value
}

function name(value: unknown): string {
  const found = text(value)
  if (found === '') throw MALFORMED
  return found
}

function natural(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > max) throw MALFORMED
  return value
}

function positive(value: unknown, max: number): number {
  const found = natural(value, max)
  if (found === 0) throw MALFORMED
  return found
}

function flag(value: unknown): boolean {
  if (value !== 0 && value !== 1) throw MALFORMED
  return value === 1
}
