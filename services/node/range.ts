/** Ranges of keys: what a scan and a watch select. */
import { compareBytes, prefixEnd } from '../../streams/core/bytes.ts'
import type { KeyRange } from '../../streams/face.ts'
import { checkBound, checkKey, refuseField } from './validate.ts'

const EMPTY = Buffer.alloc(0)

/** The key alone. */
export function rangeOfKey(key: Buffer): KeyRange {
  checkKey(key, 'key')
  return { start: key, end: Buffer.concat([key, Buffer.of(0)]) }
}

export function rangeOfPrefix(prefix: Buffer): KeyRange {
  checkBound(prefix, 'prefix')
  return { start: prefix, end: prefixEnd(prefix) }
}

/** @param end - empty = no end. A range that ends where it begins is empty; one that ends before is a mistake. */
export function rangeOf(start: Buffer, end: Buffer): KeyRange {
  checkBound(start, 'start')
  checkBound(end, 'end')
  if (end.length === 0) return { start, end: undefined }
  if (compareBytes(end, start) < 0) throw refuseField('end', 'the range ends before it begins')
  return { start, end }
}

/** The keys of both. */
export function intersection(left: KeyRange, right: KeyRange): KeyRange {
  const start = compareBytes(left.start, right.start) < 0 ? right.start : left.start
  const end = earlier(left.end, right.end)
  return end !== undefined && compareBytes(end, start) < 0 ? { start: EMPTY, end: EMPTY } : { start, end }
}

function earlier(left: Uint8Array | undefined, right: Uint8Array | undefined): Uint8Array | undefined {
  if (left === undefined || right === undefined) return left ?? right
  return compareBytes(left, right) < 0 ? left : right
}
