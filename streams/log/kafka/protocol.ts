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

/** The versions that are spoken, which a broker must offer. */
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
  // The consumer group, in membership/kafka/group-protocol.ts.
  { apiKey: 10, apiName: 'FindCoordinator', version: 3 },
  { apiKey: 11, apiName: 'JoinGroup', version: 7 },
  { apiKey: 12, apiName: 'Heartbeat', version: 4 },
  { apiKey: 13, apiName: 'LeaveGroup', version: 4 },
  { apiKey: 14, apiName: 'SyncGroup', version: 4 },
  { apiKey: 15, apiName: 'DescribeGroups', version: 5 },
]

/** Request header version 2 ends with tagged fields, which kafkajs does not write: they become the body's first byte. */
export const begin = (bytesExpected?: number): WireWriter => new WireWriter(bytesExpected).tags()

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
