/** Fetch, version 13: by topic id and leader epoch, so that the broker itself tells a recreated topic and a diverging log. */
import { begin, grouped, type ApiCall } from './protocol.ts'
import type { WireReader } from './wire.ts'

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
