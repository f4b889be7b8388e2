/**
 * Kafka's record batch, message format 2 (the only one since Kafka 4.0): what stands before the records, how to make one,
 * and the walk over a fetched run of them. Frozen by Kafka:
 *
 *   at  0 baseOffset i64 │  8 length i32 (of what follows it) │ 12 leaderEpoch i32 │ 16 magic i8 │ 17 crc32c u32 (of all that follows)
 *      21 attributes i16 │ 23 lastOffsetDelta i32 │ 27 baseTimestamp i64 │ 35 maxTimestamp i64
 *      43 producerId i64 │ 51 producerEpoch i16 │ 53 baseSequence i32 │ 57 count i32 │ 61 records
 *   record: length varint │ attributes i8 │ timestampDelta varlong │ offsetDelta varint │ key │ value │ headers (count, then name and value)
 */
import { crc32c } from '@node-rs/crc32'
import type { NewRecord } from '../../core/types.ts'
import { readInt64, writeInt64 } from './wire.ts'

const LENGTH_AT = 8
const EPOCH_AT = 12
const MAGIC_AT = 16
const CRC_AT = 17
const ATTRIBUTES_AT = 21
export const RECORDS_AT = 61
const MAGIC = 2

const COMPRESSION_MASK = 0x07
const APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20

export interface BatchHeader {
  /** Where the batch ends in its run. */
  readonly end: number
  readonly baseOffset: number
  /** The offset after the batch. */
  readonly nextOffset: number
  /** Kafka's number of the codec, 0 for none. */
  readonly compression: number
  readonly transactional: boolean
  readonly control: boolean
  readonly producerId: number
  readonly baseTime: number
  /** The time of all its records where the broker stamped them (LogAppendTime). */
  readonly appendTime: number | undefined
  readonly count: number
}

export function readBatchHeader(run: Buffer, at: number): BatchHeader {
  const attributes = run.readInt16BE(at + ATTRIBUTES_AT)
  const baseOffset = readInt64(run, at)
  return {
    end: at + 12 + run.readInt32BE(at + LENGTH_AT),
    baseOffset,
    nextOffset: baseOffset + run.readInt32BE(at + 23) + 1,
    compression: attributes & COMPRESSION_MASK,
    transactional: (attributes & TRANSACTIONAL) !== 0,
    control: (attributes & CONTROL) !== 0,
    producerId: readInt64(run, at + 43),
    baseTime: readInt64(run, at + 27),
    appendTime: (attributes & APPEND_TIME) === 0 ? undefined : readInt64(run, at + 35),
    count: run.readInt32BE(at + 57),
  }
}

export interface Walk {
  /** Bytes of the run that are whole batches: what follows was cut off by the size of the fetch. */
  readonly bytes: number
  /** The offset after them; `from` when there is none. */
  readonly nextOffset: number
  /** Leader epoch of the last of them, -1 when there is none. */
  readonly leaderEpoch: number
  /** Why the batch at `nextOffset` cannot be used, if so. */
  readonly fault: string | undefined
}

/** Steps over the batches of a run and checks the seal of each. Touches no record. */
export function walkBatches(run: Buffer, from: number): Walk {
  let at = 0
  let nextOffset = from
  let leaderEpoch = -1
  let fault: string | undefined
  while (at + RECORDS_AT <= run.length) {
    const end = at + 12 + run.readInt32BE(at + LENGTH_AT)
    if (end > run.length) break
    const magic = run.readInt8(at + MAGIC_AT)
    if (magic !== MAGIC) fault = `the message format is ${magic}, and only ${MAGIC} is known`
    else if (end < at + RECORDS_AT) fault = 'the batch is shorter than its header'
    else if (crc32c(run.subarray(at + ATTRIBUTES_AT, end)) !== run.readUInt32BE(at + CRC_AT))
      fault = 'the batch fails its checksum'
    if (fault !== undefined) break
    nextOffset = Math.max(nextOffset, readInt64(run, at) + run.readInt32BE(at + 23) + 1)
    leaderEpoch = run.readInt32BE(at + EPOCH_AT)
    at = end
  }
  return { bytes: at, nextOffset, leaderEpoch, fault }
}

// ---- making one -----------------------------------------------------------------------------------------------

/** Who appends: the broker drops a batch that it has already from this producer at this sequence. */
export interface Producer {
  readonly id: number
  readonly epoch: number
}

/** Not compressed. `time` counts only on a topic that does not stamp its records itself. */
export function encodeRecordBatch(
  records: readonly NewRecord[],
  producer: Producer,
  sequence: number,
  time: number,
): Buffer {
  const sizes = records.map(recordBytes)
  let total = RECORDS_AT
  for (const size of sizes) total += varintBytes(size) + size
  const batch = Buffer.allocUnsafe(total)
  writeInt64(batch, 0, 0)
  batch.writeInt32BE(total - 12, LENGTH_AT)
  batch.writeInt32BE(-1, EPOCH_AT)
  batch.writeInt8(MAGIC, MAGIC_AT)
  batch.writeInt16BE(0, ATTRIBUTES_AT)
  batch.writeInt32BE(records.length - 1, 23)
  writeInt64(batch, time, 27)
  writeInt64(batch, time, 35)
  writeInt64(batch, producer.id, 43)
  batch.writeInt16BE(producer.epoch, 51)
  batch.writeInt32BE(sequence, 53)
  batch.writeInt32BE(records.length, 57)
  let at = RECORDS_AT
  records.forEach((record, delta) => {
    at = writeVarint(batch, sizes[delta] ?? 0, at)
    at = writeRecord(batch, record, delta, at)
  })
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT)
  return batch
}

function recordBytes(record: NewRecord, delta: number): number {
  let size =
    2 +
    varintBytes(delta) +
    fieldBytes(record.key) +
    fieldBytes(record.value) +
    varintBytes(record.headers.size)
  for (const [name, value] of record.headers) {
    const length = Buffer.byteLength(name)
    size += varintBytes(length) + length + fieldBytes(value)
  }
  return size
}

function writeRecord(batch: Buffer, record: NewRecord, delta: number, start: number): number {
  let at = start
  batch[at++] = 0 // attributes
  batch[at++] = 0 // timestamp delta
  at = writeVarint(batch, delta, at)
  at = writeField(batch, record.key, at)
  at = writeField(batch, record.value, at)
  at = writeVarint(batch, record.headers.size, at)
  for (const [name, value] of record.headers) {
    at = writeVarint(batch, Buffer.byteLength(name), at)
    at += batch.write(name, at)
    at = writeField(batch, value, at)
  }
  return at
}

const fieldBytes = (field: Uint8Array | null): number =>
  field === null ? 1 : varintBytes(field.length) + field.length

function writeField(batch: Buffer, field: Uint8Array | null, at: number): number {
  if (field === null) return writeVarint(batch, -1, at)
  const start = writeVarint(batch, field.length, at)
  batch.set(field, start)
  return start + field.length
}

/** Zigzag: -1 is 1, 1 is 2. */
function varintBytes(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5
}

function writeVarint(batch: Buffer, value: number, start: number): number {
  let at = start
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  while (rest >= 0x80) {
    batch[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  batch[at++] = rest
  return at
}
