/**
 * A row as the store keeps it. FROZEN grammar (numbers big endian):
 *
 *   row := flags:u8 version:u64 [expiresAt:u64] [contentType: length:u16 bytes] value:rest
 *   flags := 1 tombstone | 2 has expiresAt | 4 has contentType | 8 the tombstone came from expiry
 *
 * A tombstone stands for a deleted row while watchers may still ask what changed since; reads see no row.
 */
import type { Row } from './mutation.ts'
import { asBuffer, EMPTY, MALFORMED, readUint64, writeUint64 } from './bytes.ts'
import type { Offset } from './types.ts'

const TOMBSTONE = 1
const HAS_EXPIRY = 2
const HAS_CONTENT_TYPE = 4
const EXPIRED = 8

export interface StoredRow {
  readonly tombstone: 'none' | 'deleted' | 'expired'
  readonly version: Offset
  /** Log time in milliseconds; 0 = never. */
  readonly expiresAt: number
  readonly contentType: string
  readonly value: Uint8Array
}

export function encodeRow(row: StoredRow): Buffer {
  const type = row.contentType === '' ? undefined : Buffer.from(row.contentType, 'utf8')
  const head = 9 + (row.expiresAt === 0 ? 0 : 8) + (type === undefined ? 0 : 2 + type.length)
  const bytes = Buffer.allocUnsafe(head + row.value.length)
  bytes[0] =
    (row.tombstone === 'none' ? 0 : TOMBSTONE) |
    (row.tombstone === 'expired' ? EXPIRED : 0) |
    (row.expiresAt === 0 ? 0 : HAS_EXPIRY) |
    (type === undefined ? 0 : HAS_CONTENT_TYPE)
  writeUint64(bytes, 1, row.version)
  let at = 9
  if (row.expiresAt !== 0) {
    writeUint64(bytes, at, row.expiresAt)
    at += 8
  }
  if (type !== undefined) {
    at = bytes.writeUInt16BE(type.length, at)
    bytes.set(type, at)
    at += type.length
  }
  bytes.set(row.value, at)
  return bytes
}

/** The value is a view of `bytes`. @throws MALFORMED */
export function decodeRow(bytes: Uint8Array): StoredRow {
  const flags = bytes[0]
  if (flags === undefined || flags > 15) throw MALFORMED
  const version = readUint64(bytes, 1) as Offset
  let at = 9
  let expiresAt = 0
  if ((flags & HAS_EXPIRY) !== 0) {
    expiresAt = readUint64(bytes, at)
    at += 8
  }
  let contentType = ''
  if ((flags & HAS_CONTENT_TYPE) !== 0) {
    if (at + 2 > bytes.length) throw MALFORMED
    const length = asBuffer(bytes).readUInt16BE(at)
    at += 2
    if (at + length > bytes.length) throw MALFORMED
    contentType = asBuffer(bytes).toString('utf8', at, at + length)
    at += length
  }
  const tombstone = (flags & TOMBSTONE) === 0 ? 'none' : (flags & EXPIRED) === 0 ? 'deleted' : 'expired'
  return { tombstone, version, expiresAt, contentType, value: bytes.subarray(at) }
}

export const tombstone = (kind: 'deleted' | 'expired', version: Offset): StoredRow => ({
  tombstone: kind,
  version,
  expiresAt: 0,
  contentType: '',
  value: EMPTY,
})

/** Whether readers see the row at a partition time. */
export const isLive = (row: StoredRow | undefined, time: number): row is StoredRow =>
  row?.tombstone === 'none' && (row.expiresAt === 0 || row.expiresAt > time)

export const toRow = (key: Uint8Array, row: StoredRow): Row => ({
  key,
  value: row.value,
  version: row.version,
  expiresAt: row.expiresAt,
  contentType: row.contentType,
})
