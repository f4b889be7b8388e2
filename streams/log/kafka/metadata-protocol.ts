/** Metadata, version 12: brokers, topics with their ids, and who leads which partition since which epoch. */
import { begin, type ApiCall } from './protocol.ts'
import type { WireReader } from './wire.ts'

export interface BrokerAddress {
  readonly nodeId: number
  readonly host: string
  readonly port: number
}

export interface PartitionMetadata {
  readonly partition: number
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
}

export interface TopicMetadata {
  readonly topic: string
  readonly topicId: string
  readonly errorCode: number
  /** In the order of their numbers. */
  readonly partitions: readonly PartitionMetadata[]
}

export interface Metadata {
  readonly clusterId: string
  readonly controller: number
  readonly brokers: readonly BrokerAddress[]
  readonly topics: readonly TopicMetadata[]
}

const NO_UUID = '00000000-0000-0000-0000-000000000000'

/** `undefined` asks for all topics. Never creates one. */
export function metadataCall(topics: readonly string[] | undefined): ApiCall<Metadata> {
  const writer = begin()
  if (topics === undefined) writer.unsignedVarint(0)
  else writer.array(topics, (topic) => writer.uuid(NO_UUID).string(topic).tags())
  writer.int8(0).int8(0).tags()
  return { apiKey: 3, apiVersion: 12, apiName: 'Metadata', body: writer.written, decode: decodeMetadata }
}

function decodeMetadata(reader: WireReader): Metadata {
  reader.int32() // throttle
  const brokers = reader.array((r) => {
    const broker = { nodeId: r.int32(), host: r.string() ?? '', port: r.int32() }
    r.string() // rack
    r.tags()
    return broker
  })
  const clusterId = reader.string() ?? ''
  const controller = reader.int32()
  const topics = reader.array(decodeTopic)
  return { brokers, clusterId, controller, topics }
}

function decodeTopic(reader: WireReader): TopicMetadata {
  const errorCode = reader.int16()
  const topic = reader.string() ?? ''
  const topicId = reader.uuid()
  reader.int8() // internal
  const partitions = reader.array((r) => {
    r.int16() // the leader is -1 where there is an error that matters
    const partition = {
      partition: r.int32(),
      leader: r.int32(),
      leaderEpoch: r.int32(),
      replicas: r.array((replica) => replica.int32()),
    }
    r.array((isr) => isr.int32())
    r.array((offline) => offline.int32())
    r.tags()
    return partition
  })
  reader.int32() // authorized operations
  reader.tags()
  return { errorCode, topic, topicId, partitions: partitions.sort((a, b) => a.partition - b.partition) }
}
