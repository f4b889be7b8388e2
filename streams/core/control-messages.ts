/** The values of `format` and `lead` records: proto/tidemark/v1/record.proto, read and written by hand as messages.ts is. FROZEN. */
import { ByteReader, ByteWriter, EMPTY, MALFORMED } from './bytes.ts'
import {
  SIZED,
  VARINT,
  bytesField,
  expectType,
  nextField,
  optionalNumber,
  textField,
} from './message-fields.ts'
import { CHAIN_BYTES, CHECKPOINT_OFFSETS } from './limits.ts'
import { readText } from './text.ts'
import type { Offset } from './types.ts'

/** The value of a barrier that asks the replicas to hash what they hold as of it; any other value of a barrier means nothing. */
export const PROOF = Buffer.from('proof')

export interface RawFormat {
  version: number
  separator: Uint8Array
  valueBytesMax: number
  packingDisabled: boolean
  defaultTtlMs: number
  replication: number
}

/** Field 1 of a format is read even where the rest belongs to a format of the future. @throws MALFORMED */
export function readFormatVersion(value: Uint8Array): number {
  const reader = new ByteReader(value)
  if (reader.byte() !== ((1 << 3) | VARINT)) throw MALFORMED
  return reader.varint()
}

/** @throws MALFORMED */
export function readFormat(value: Uint8Array): RawFormat {
  const reader = new ByteReader(value)
  const raw: RawFormat = {
    version: 0,
    separator: EMPTY,
    valueBytesMax: 0,
    packingDisabled: false,
    defaultTtlMs: 0,
    replication: 0,
  }
  let previous = 0
  while (!reader.done) {
    const { field, type } = nextField(reader, previous, 0)
    previous = field
    expectType(type, field === 2 ? SIZED : VARINT)
    if (field === 1) raw.version = reader.varint()
    else if (field === 2) raw.separator = reader.sized()
    else if (field === 3) raw.valueBytesMax = reader.varint()
    else if (field === 4) raw.packingDisabled = readBoolean(reader)
    else if (field === 5) raw.defaultTtlMs = reader.varint()
    else if (field === 6) raw.replication = reader.varint()
    else throw MALFORMED
  }
  return raw
}

function readBoolean(reader: ByteReader): boolean {
  const value = reader.varint()
  if (value > 1) throw MALFORMED
  return value === 1
}

/** What is left out is as protobuf has it: 0, empty, false. */
export type NewFormat = Pick<RawFormat, 'version'> & Partial<RawFormat>

export function writeFormat(format: NewFormat): Buffer {
  const writer = new ByteWriter(64)
  const {
    version,
    separator = EMPTY,
    valueBytesMax,
    packingDisabled = false,
    defaultTtlMs,
    replication,
  } = format
  optionalNumber(writer, 1, version)
  bytesField(writer, 2, separator)
  if (valueBytesMax !== 0) optionalNumber(writer, 3, valueBytesMax)
  if (packingDisabled) optionalNumber(writer, 4, 1)
  if (defaultTtlMs !== 0) optionalNumber(writer, 5, defaultTtlMs)
  if (replication !== 0) optionalNumber(writer, 6, replication)
  return writer.bytes()
}

export interface Checkpoint {
  /** A multiple of CHECKPOINT_OFFSETS: all records below it are covered. */
  readonly at: Offset
  /** SHA-256 of the chain of effects there. */
  readonly chain: Uint8Array
}

/** @throws MALFORMED */
export function readMark(value: Uint8Array): Checkpoint {
  const reader = new ByteReader(value)
  if (reader.byte() !== ((1 << 3) | VARINT)) throw MALFORMED
  const at = reader.varint() as Offset
  if (at === 0 || at % CHECKPOINT_OFFSETS !== 0) throw MALFORMED
  if (reader.byte() !== ((2 << 3) | SIZED)) throw MALFORMED
  const chain = reader.sized()
  if (chain.length !== CHAIN_BYTES || !reader.done) throw MALFORMED
  return { at, chain }
}

export function writeMark({ at, chain }: Checkpoint): Buffer {
  const writer = new ByteWriter(64)
  optionalNumber(writer, 1, at)
  bytesField(writer, 2, chain)
  return writer.bytes()
}

/** @throws MALFORMED */
export function readLead(value: Uint8Array): { readonly nodeId: string; readonly incarnation: string } {
  const reader = new ByteReader(value)
  const texts = ['', '']
  let previous = 0
  while (!reader.done) {
    const { field, type } = nextField(reader, previous, 0)
    previous = field
    expectType(type, SIZED)
    const text = readText(reader.sized())
    if (text === undefined || text.length > 256 || field > 2) throw MALFORMED
    texts[field - 1] = text
  }
  return { nodeId: texts[0] ?? '', incarnation: texts[1] ?? '' }
}

export function writeLead(nodeId: string, incarnation: string): Buffer {
  const writer = new ByteWriter(64)
  textField(writer, 1, nodeId)
  textField(writer, 2, incarnation)
  return writer.bytes()
}
