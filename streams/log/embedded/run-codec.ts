/**
 * A run: records of one partition with offsets that follow each other, stored as one row. FROZEN with format 1 (rows.ts).
 *
 * ```
 * run     = crc:u32le time:u64 count:varint record{count}
 * record  = key:optional value:optional headers:varint header{headers}
 * header  = name:text value:sized
 * optional = 0:varint, for null | length+1:varint bytes
 * sized   = length:varint bytes
 * crc     = CRC-32 (as zlib) of the row's key and then of all that follows the crc
 * ```
 *
 * All records of a run have its time; the n-th has the offset in the row's key plus n. The checksum covers the key, so
 * that a run which stands in the wrong place is found out too.
 */
import { crc32 } from 'node:zlib'
import { ByteReader, MALFORMED, type ByteWriter } from '../../core/bytes.ts'
import {
  logTime,
  NO_HEADERS,
  offset,
  type Headers,
  type LogRecord,
  type LogTime,
  type NewRecord,
  type Offset,
} from '../../core/types.ts'

const CRC_BYTES = 4

export interface Run {
  readonly time: LogTime
  readonly records: readonly LogRecord[]
}

/** The result is valid until the next call with this writer. */
export function encodeRun(
  writer: ByteWriter,
  key: Uint8Array,
  time: LogTime,
  records: readonly NewRecord[],
): Uint8Array {
  writer.reset()
  writer.uint32le(0)
  writer.uint64(time)
  writer.varint(records.length)
  for (const record of records) {
    optional(writer, record.key)
    optional(writer, record.value)
    writer.varint(record.headers.size)
    for (const [name, value] of record.headers) {
      writer.text(name)
      writer.sized(value)
    }
  }
  writer.patchUint32le(0, checksum(key, writer.view(CRC_BYTES)))
  return writer.view()
}

/** The keys, values and header values are views of `bytes`. @throws MALFORMED */
export function decodeRun(key: Uint8Array, first: Offset, bytes: Uint8Array): Run {
  const reader = new ByteReader(bytes)
  if (reader.uint32le() !== checksum(key, bytes.subarray(CRC_BYTES))) throw MALFORMED
  const time = logTime(reader.uint64())
  const count = reader.varint()
  const records: LogRecord[] = []
  for (let n = 0; n < count; n += 1) {
    records.push({
      offset: offset(first + n),
      time,
      key: readOptional(reader),
      value: readOptional(reader),
      headers: readHeaders(reader),
    })
  }
  if (!reader.done || count === 0) throw MALFORMED
  return { time, records }
}

const checksum = (key: Uint8Array, rest: Uint8Array): number => crc32(rest, crc32(key))

function optional(writer: ByteWriter, bytes: Uint8Array | null): void {
  if (bytes === null) {
    writer.varint(0)
    return
  }
  writer.varint(bytes.length + 1)
  writer.raw(bytes)
}

function readOptional(reader: ByteReader): Uint8Array | null {
  const length = reader.varint()
  return length === 0 ? null : reader.raw(length - 1)
}

function readHeaders(reader: ByteReader): Headers {
  const count = reader.varint()
  if (count === 0) return NO_HEADERS
  const headers = new Map<string, Uint8Array>()
  for (let n = 0; n < count; n += 1) headers.set(reader.text(), reader.sized())
  return headers
}
