/**
 * Where things lie in the store. One replica owns one 4-byte prefix; below it one letter for each table. FROZEN grammar
 * (numbers big endian, so that they sort):
 *
 *   prefix 'r' key                       → row (row.ts)
 *   prefix 'x' expiresAt:u64 key         → nothing: rows by the time at which they are due
 *   prefix 'g' version:u64 key           → nothing: tombstones by the offset that made them
 *   prefix 'e' last:u64 first:u64 bytes:u32 → a piece of history: the effects of the records first..last (history.ts)
 *   prefix 'd' length:u8 id              → a session's head (session.ts)
 *   prefix 'd' length:u8 id chunk:u32    → older sequences of the session
 *   prefix 't' arrival:u64               → id of the session that was last renewed then
 *   prefix 'm'                           → the replica's state (state.ts)
 */
import { readUint64, writeUint64 } from './bytes.ts'
import type { Offset } from './types.ts'

export type Prefix = Uint8Array

const ROW = 0x72
const EXPIRY = 0x78
const TOMBSTONE = 0x67
const EFFECTS = 0x65
const DEDUPE = 0x64
const ARRIVAL = 0x74
const META = 0x6d

export interface KeySpan {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

function join(prefix: Prefix, table: number, rest: number): Buffer {
  const key = Buffer.allocUnsafe(5 + rest)
  key.set(prefix, 0)
  key[4] = table
  return key
}

export const replicaPrefix = (id: number): Prefix => {
  const prefix = Buffer.allocUnsafe(4)
  prefix.writeUInt32BE(id)
  return prefix
}

export function rowKey(prefix: Prefix, key: Uint8Array): Buffer {
  const stored = join(prefix, ROW, key.length)
  stored.set(key, 5)
  return stored
}
export const keyOfRow = (stored: Uint8Array): Uint8Array => stored.subarray(5)
export const rowSpan = (prefix: Prefix, start: Uint8Array, end: Uint8Array | undefined): KeySpan => ({
  gte: rowKey(prefix, start),
  lt: end === undefined ? join(prefix, ROW + 1, 0) : rowKey(prefix, end),
})

function numberedKey(prefix: Prefix, table: number, number: number, rest: Uint8Array): Buffer {
  const stored = join(prefix, table, 8 + rest.length)
  writeUint64(stored, 5, number)
  stored.set(rest, 13)
  return stored
}
const NOTHING = new Uint8Array(0)

export const expiryKey = (prefix: Prefix, at: number, key: Uint8Array): Buffer =>
  numberedKey(prefix, EXPIRY, at, key)
/** Rows due at or before `until`. */
export const dueSpan = (prefix: Prefix, until: number): KeySpan => ({
  gte: join(prefix, EXPIRY, 0),
  lt: numberedKey(prefix, EXPIRY, until + 1, NOTHING),
})
export const tombstoneKey = (prefix: Prefix, version: Offset, key: Uint8Array): Buffer =>
  numberedKey(prefix, TOMBSTONE, version, key)
export const tombstoneSpan = (prefix: Prefix, before: number): KeySpan => ({
  gte: join(prefix, TOMBSTONE, 0),
  lt: numberedKey(prefix, TOMBSTONE, before, NOTHING),
})
/** Reads an expiry or tombstone key. */
export const readNumbered = (stored: Uint8Array): { readonly number: number; readonly key: Uint8Array } => ({
  number: readUint64(stored, 5),
  key: stored.subarray(13),
})

export function effectsKey(prefix: Prefix, first: Offset, last: Offset, bytes: number): Buffer {
  const stored = join(prefix, EFFECTS, 20)
  writeUint64(stored, 5, last)
  writeUint64(stored, 13, first)
  stored.writeUInt32BE(bytes, 21)
  return stored
}
/** All pieces that reach `from` or past it. */
export const effectsSpan = (prefix: Prefix, from: number): KeySpan => ({
  gte: numberedKey(prefix, EFFECTS, from, NOTHING),
  lt: join(prefix, EFFECTS + 1, 0),
})
export const readEffectsKey = (
  stored: Uint8Array,
): { readonly last: Offset; readonly first: Offset; readonly bytes: number } => ({
  last: readUint64(stored, 5) as Offset,
  first: readUint64(stored, 13) as Offset,
  bytes: Buffer.from(stored.buffer, stored.byteOffset, stored.length).readUInt32BE(21),
})

/** The length stands first, so that no id is a prefix of another. */
export function sessionKey(prefix: Prefix, id: string): Buffer {
  const text = Buffer.from(id, 'utf8')
  const stored = join(prefix, DEDUPE, 1 + text.length)
  stored[5] = text.length
  stored.set(text, 6)
  return stored
}
export function chunkKey(prefix: Prefix, id: string, chunk: number): Buffer {
  const text = Buffer.from(id, 'utf8')
  const stored = join(prefix, DEDUPE, 1 + text.length + 4)
  stored[5] = text.length
  stored.set(text, 6)
  // A session keeps a few neighbouring chunks only, so their numbers may start anew after 2^32.
  stored.writeUInt32BE(chunk >>> 0, 6 + text.length)
  return stored
}
export const arrivalKey = (prefix: Prefix, arrival: number): Buffer =>
  numberedKey(prefix, ARRIVAL, arrival, NOTHING)
export const arrivalSpan = (prefix: Prefix, until: number): KeySpan => ({
  gte: join(prefix, ARRIVAL, 0),
  lt: arrivalKey(prefix, until + 1),
})
export const readArrival = (stored: Uint8Array): number => readUint64(stored, 5)

export const metaKey = (prefix: Prefix): Buffer => join(prefix, META, 0)

/** Everything of the replica. */
export const replicaSpan = (prefix: Prefix): KeySpan => ({
  gte: join(prefix, 0, 0),
  lt: join(prefix, 0xff, 0),
})
