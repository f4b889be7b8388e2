/**
 * The rows of the embedded log's database. FROZEN from format 1 on: a change needs a new format number and a reader of
 * the old one, because the log is the only truth.
 *
 * ```
 * row       = format | identity | next | topic | dropped | mark | run
 * format    = 0x00 'format'                        → varint 1
 * identity  = 0x00 'identity'                      → text, a UUID: which log this is
 * next      = 0x00 'next'                          → varint: the number that the next topic gets
 * topic     = 0x01 name                            → varint number, text identity, varint partitions, varint valueBytesMax
 * dropped   = 0x02 number:u32                      → nothing: a deleted topic whose runs are perhaps still there
 * mark      = 0x03 number:u32 partition:u32        → varint start, varint time: what a trim must not forget
 * run       = 0x04 number:u32 partition:u32 offset:u64 → records (run-codec.ts), the first of which has this offset
 * ```
 *
 * Numbers in keys are big-endian, so that runs stand in the order of their offsets. A topic's number is never used again.
 */
import { MALFORMED, ByteReader, ByteWriter, writeUint64, readUint64 } from '../../core/bytes.ts'
import { offset, type Offset, type Partition } from '../../core/types.ts'
import type { TopicIdentity } from '../log.ts'

/** The format of the rows that this code writes, and the newest that it reads. */
export const FORMAT = 1

const TOPIC = 0x01
const DROPPED = 0x02
const MARK = 0x03
const RUN = 0x04

const meta = (name: string): Buffer => Buffer.from(`\0${name}`)

export const FORMAT_KEY = meta('format')
export const IDENTITY_KEY = meta('identity')
export const NEXT_KEY = meta('next')

export interface KeyRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

export const TOPICS: KeyRange = { gte: Uint8Array.of(TOPIC), lt: Uint8Array.of(TOPIC + 1) }
export const DROPS: KeyRange = { gte: Uint8Array.of(DROPPED), lt: Uint8Array.of(DROPPED + 1) }

export const topicKey = (name: string): Buffer => Buffer.from(`\u0001${name}`)
export const topicOfKey = (key: Uint8Array): string => Buffer.from(key.subarray(1)).toString()

export const droppedKey = (number: number): Buffer => numbered(DROPPED, number)
export const numberOfDropped = (key: Uint8Array): number => Buffer.from(key).readUInt32BE(1)

export const markKey = (number: number, partition: Partition): Buffer => numbered(MARK, number, partition)

export function runKey(number: number, partition: Partition, first: Offset): Buffer {
  const key = numbered(RUN, number, partition, 8)
  writeUint64(key, 9, first)
  return key
}
export const offsetOfRun = (key: Uint8Array): Offset => offset(readUint64(key, 9))

/** The runs of one partition. */
export const runsOf = (number: number, partition: Partition): KeyRange => ({
  gte: numbered(RUN, number, partition),
  lt: numbered(RUN, number, partition + 1),
})

/** All marks and runs of a topic. */
export const allOf = (number: number): readonly KeyRange[] =>
  [MARK, RUN].map((kind) => ({ gte: numbered(kind, number), lt: numbered(kind, number + 1) }))

function numbered(kind: number, number: number, partition?: number, room = 0): Buffer {
  const key = Buffer.alloc((partition === undefined ? 5 : 9) + room)
  key[0] = kind
  key.writeUInt32BE(number, 1)
  if (partition !== undefined) key.writeUInt32BE(partition, 5)
  return key
}

export interface TopicRow {
  readonly number: number
  readonly identity: TopicIdentity
  readonly partitions: number
  readonly valueBytesMax: number
}

export function encodeTopic(row: TopicRow): Uint8Array {
  const writer = new ByteWriter()
  writer.varint(row.number)
  writer.text(row.identity)
  writer.varint(row.partitions)
  writer.varint(row.valueBytesMax)
  return writer.bytes()
}

export function decodeTopic(bytes: Uint8Array): TopicRow {
  const reader = new ByteReader(bytes)
  return strict(reader, {
    number: reader.varint(),
    identity: reader.text(),
    partitions: reader.varint(),
    valueBytesMax: reader.varint(),
  })
}

export interface Mark {
  readonly start: number
  readonly time: number
}

export function encodeMark(mark: Mark): Uint8Array {
  const writer = new ByteWriter()
  writer.varint(mark.start)
  writer.varint(mark.time)
  return writer.bytes()
}

export function decodeMark(bytes: Uint8Array): Mark {
  const reader = new ByteReader(bytes)
  return strict(reader, { start: reader.varint(), time: reader.varint() })
}

export function encodeNumber(value: number): Uint8Array {
  const writer = new ByteWriter()
  writer.varint(value)
  return writer.bytes()
}

export function decodeNumber(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes)
  return strict(reader, reader.varint())
}

function strict<T>(reader: ByteReader, value: T): T {
  if (!reader.done) throw MALFORMED
  return value
}
