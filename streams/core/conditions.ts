/** What a mutation may ask of the row that it finds: the same on every replica, FROZEN. A missing row is `undefined`. */
import { unreachable } from './assert.ts'
import { compareBytes, EMPTY } from './bytes.ts'
import type { Compare, Rejection } from './mutation.ts'
import type { StoredRow } from './row.ts'
import { fitsInt64, readInt64 } from './text.ts'
import type { Offset } from './types.ts'

export function hasVersion(row: StoredRow | undefined, wanted: Offset): boolean {
  return wanted === 0 ? row === undefined : row?.version === wanted
}

export function holds(row: StoredRow | undefined, compare: Compare): boolean {
  if (compare.target === 'value' && row === undefined) return compare.operator === 'not-equal'
  const order =
    compare.target === 'version'
      ? versionOrder(row, compare.version)
      : compareBytes(row?.value ?? EMPTY, compare.value)
  switch (compare.operator) {
    case 'equal':
      return order === 0
    case 'not-equal':
      return order !== 0
    case 'greater':
      return order > 0
    case 'less':
      return order < 0
    default:
      return unreachable(compare.operator)
  }
}

/** A missing row has version 0, and every row that stands has more, also the one that was written at offset 0. */
function versionOrder(row: StoredRow | undefined, version: Offset): number {
  if (row === undefined) return 0 - version
  return row.version === 0 && version === 0 ? 1 : row.version - version
}

export function sum(row: StoredRow | undefined, delta: bigint): bigint | Rejection {
  const before = row === undefined ? 0n : readInt64(row.value)
  if (before === undefined) return 'NOT_A_NUMBER'
  const after = before + delta
  return fitsInt64(after) ? after : 'NUMBER_OVERFLOW'
}
