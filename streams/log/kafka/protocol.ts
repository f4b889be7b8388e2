/**
 * The requests that this folder writes and reads by itself, because kafkajs does not speak the versions that carry what
 * we need: topic ids and leader epochs in Metadata and Fetch (recreated topics and truncated logs are told by the broker),
 * one result for each partition in Produce, the leader's epoch in ListOffsets. Formats: Kafka's message definitions,
 * all of flexible versions that every broker since 3.1 and no broker before it supports.
 */
import { WireWriter, type WireReader } from './wire.ts'

/** One request, ready to send, and how to read its answer. */
export interface ApiCall<T> {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
  readonly body: Buffer
  readonly decode: (reader: WireReader) => T
}

/** The versions below, which a broker must offer. */
export const VERSIONS_NEEDED: readonly {
  readonly apiKey: number
  readonly apiName: string
  readonly version: number
}[] = [
  { apiKey: 0, apiName: 'Produce', version: 9 },
  { apiKey: 1, apiName: 'Fetch', version: 13 },
  { apiKey: 2, apiName: 'ListOffsets', version: 6 },
  { apiKey: 3, apiName: 'Metadata', version: 12 },
  { apiKey: 22, apiName: 'InitProducerId', version: 2 },
]

/** Request header version 2 ends with tagged fields, which kafkajs does not write: they become the body's first byte. */
const begin = (bytesExpected?: number): WireWriter => new WireWriter(bytesExpected).tags()

// ---- Metadata v12 ---------------------------------------------------------------------------------------------

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

// ---- ListOffsets v6 -------------------------------------------------------------------------------------------

/** What is asked for: the first offset held, or the high watermark. */
export const EARLIEST = -2
export const LATEST = -1

export interface OffsetQuery {
  readonly topic: string
  readonly partition: number
  readonly leaderEpoch: number
}

export interface OffsetAnswer {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly offset: number
}

export function listOffsetsCall(
  queries: readonly OffsetQuery[],
  which: typeof EARLIEST | typeof LATEST,
): ApiCall<OffsetAnswer[]> {
  const writer = begin()
  writer.int32(-1).int8(0) // a client, read uncommitted: LATEST is the high watermark
  writer.array([...grouped(queries)], ([topic, partitions]) => {
    writer.string(topic)
    writer.array(partitions, (query) =>
      writer.int32(query.partition).int32(query.leaderEpoch).int64(which).tags(),
    )
    writer.tags()
  })
  writer.tags()
  return {
    apiKey: 2,
    apiVersion: 6,
    apiName: 'ListOffsets',
    body: writer.written,
    decode: (reader) => {
      reader.int32() // throttle
      return reader
        .array((r) => {
          const topic = r.string() ?? ''
          const partitions = r.array((p) => {
            const partition = p.int32()
            const errorCode = p.int16()
            p.int64() // timestamp
            const offset = p.int64()
            p.int32() // leader epoch
            p.tags()
            return { topic, partition, errorCode, offset }
          })
          r.tags()
          return partitions
        })
        .flat()
    },
  }
}

/** By topic, in the order of the first mention. */
export function grouped<T extends { readonly topic: string }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const group = groups.get(item.topic)
    if (group === undefined) groups.set(item.topic, [item])
    else group.push(item)
  }
  return groups
}

// ---- InitProducerId v2 -----------------------------------------------------------------------------------------

export interface ProducerAnswer {
  readonly errorCode: number
  readonly id: number
  readonly epoch: number
}

/** A new producer without transactions. */
export function initProducerCall(): ApiCall<ProducerAnswer> {
  const body = begin().string(null).int32(-1).tags().written
  const decode = (reader: WireReader): ProducerAnswer => {
    reader.int32() // throttle
    return { errorCode: reader.int16(), id: reader.int64(), epoch: reader.int16() }
  }
  return { apiKey: 22, apiVersion: 2, apiName: 'InitProducerId', body, decode }
}

// ---- Produce v9 -----------------------------------------------------------------------------------------------

export interface ProducePart {
  readonly topic: string
  readonly partition: number
  /** One record batch (record-batch.ts). */
  readonly batch: Uint8Array
}

export interface ProduceAnswer {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset: number
  readonly message: string | null
}

/** acks=all. `timeoutMs` is how long the leader waits for the other replicas. */
export function produceCall(parts: readonly ProducePart[], timeoutMs: number): ApiCall<ProduceAnswer[]> {
  const total = parts.reduce((sum, part) => sum + part.batch.length + 64 + part.topic.length * 3, 64)
  const writer = begin(total)
  writer.string(null).int16(-1).int32(timeoutMs)
  writer.array([...grouped(parts)], ([topic, partitions]) => {
    writer.string(topic)
    writer.array(partitions, (part) => writer.int32(part.partition).bytes(part.batch).tags())
    writer.tags()
  })
  writer.tags()
  return {
    apiKey: 0,
    apiVersion: 9,
    apiName: 'Produce',
    body: writer.written,
    decode: (reader) =>
      reader
        .array((r) => {
          const topic = r.string() ?? ''
          const answers = r.array((p) => decodeProduceAnswer(topic, p))
          r.tags()
          return answers
        })
        .flat(),
  }
}

function decodeProduceAnswer(topic: string, reader: WireReader): ProduceAnswer {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const baseOffset = reader.int64()
  reader.int64() // log append time
  reader.int64() // log start offset
  reader.array((r) => {
    r.int32() // index of a record in error
    r.string()
    r.tags()
  })
  const message = reader.string()
  reader.tags()
  return { topic, partition, errorCode, baseOffset, message }
}

// ---- Fetch v13 ------------------------------------------------------------------------------------------------

export interface FetchPart {
  readonly topicId: string
  readonly partition: number
  readonly leaderEpoch: number
  readonly from: number
  /** The leader epoch of the last batch that was read, -1 when none: lets the broker find a diverging log. */
  readonly lastEpoch: number
  readonly bytesMax: number
}

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
}

export interface FetchAnswer {
  readonly topicId: string
  readonly partition: number
  readonly errorCode: number
  readonly highWatermark: number
  readonly abortedTransactions: readonly AbortedTransaction[]
  /** True where the broker's log parts from what was read before: it was truncated. */
  readonly diverged: boolean
  /** Record batches, the last one perhaps cut off. A slice of the response. */
  readonly records: Buffer
}

export interface FetchResult {
  readonly errorCode: number
  readonly answers: readonly FetchAnswer[]
}

/** Read committed, without a fetch session. Each (topic, partition) at most once. */
export function fetchCall(
  parts: readonly FetchPart[],
  waitMs: number,
  bytesMax: number,
): ApiCall<FetchResult> {
  const writer = begin(128 + parts.length * 64)
  writer.int32(-1).int32(waitMs).int32(1).int32(bytesMax).int8(1).int32(0).int32(-1)
  const topics = grouped(parts.map((part) => ({ topic: part.topicId, part })))
  writer.array([...topics], ([topicId, group]) => {
    writer.uuid(topicId)
    writer.array(group, ({ part }) =>
      writer
        .int32(part.partition)
        .int32(part.leaderEpoch)
        .int64(part.from)
        .int32(part.lastEpoch)
        .int64(-1)
        .int32(part.bytesMax)
        .tags(),
    )
    writer.tags()
  })
  writer.array([], () => undefined)
  writer.string('').tags()
  return { apiKey: 1, apiVersion: 13, apiName: 'Fetch', body: writer.written, decode: decodeFetch }
}

function decodeFetch(reader: WireReader): FetchResult {
  reader.int32() // throttle
  const errorCode = reader.int16()
  reader.int32() // session
  const answers = reader
    .array((r) => {
      const topicId = r.uuid()
      const partitions = r.array((p) => decodeFetchAnswer(topicId, p))
      r.tags()
      return partitions
    })
    .flat()
  return { errorCode, answers }
}

function decodeFetchAnswer(topicId: string, reader: WireReader): FetchAnswer {
  const partition = reader.int32()
  const errorCode = reader.int16()
  const highWatermark = reader.int64()
  reader.int64() // last stable offset: the broker serves nothing past it
  reader.int64() // log start offset
  const abortedTransactions = reader.array((r) => {
    const aborted = { producerId: r.int64(), firstOffset: r.int64() }
    r.tags()
    return aborted
  })
  reader.int32() // preferred read replica: none without a rack
  const records = reader.bytes()
  let diverged = false
  reader.tags((tag, r) => {
    if (tag === 0) diverged = r.int32() >= 0 || r.int64() >= 0
  })
  return { topicId, partition, errorCode, highWatermark, abortedTransactions, diverged, records }
}
