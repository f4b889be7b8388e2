/** What a read claims, partition by partition: for each key that it speaks of the row, or that there is none. */
import type { ReadCall, RowSeen, ScanCall } from '../history.ts'
import { answerOf } from './evidence.ts'
import type { Operation } from './evidence.ts'
import { inRange, toSeen } from './truth.ts'
import type { PartitionTruth, Truth } from './truth.ts'
import { sameRow } from './writes.ts'

export interface ReadPlace {
  readonly partition: number
  /** Undefined where the client is not told. */
  readonly applied: number | undefined
  /** Asked for; of a scan those that it gave. */
  readonly keys: readonly string[]
  readonly rows: readonly (RowSeen | null)[]
}

export interface Reading {
  readonly call: ReadCall
  readonly rows: readonly (RowSeen | null)[]
  readonly partitions: readonly ReadPlace[]
  readonly keysOnly: boolean
  readonly limit: number | undefined
  /** A key that a scan gave and was not asked for. */
  readonly stray: string | undefined
}

/** Undefined for what is no read, or was not answered. */
export function readOf(operation: Operation, truth: Truth): Reading | undefined {
  const { call } = operation.call
  const answer = answerOf(operation)
  if (answer?.kind !== 'rows' || (call.kind !== 'get' && call.kind !== 'getMany' && call.kind !== 'scan'))
    return undefined
  const { rows } = answer
  const keys =
    call.kind === 'get' ? [call.key] : call.kind === 'getMany' ? call.keys : rows.map((row) => row?.key ?? '')
  const groups = new Map<number, { readonly keys: string[]; readonly rows: (RowSeen | null)[] }>()
  if (call.kind === 'scan')
    for (const partition of call.partitions ?? truth.partitions.keys())
      groups.set(partition, { keys: [], rows: [] })
  let stray: string | undefined
  for (const [index, key] of keys.entries()) {
    const partition = truth.partitionOf(key)
    let group = groups.get(partition)
    if (call.kind === 'scan' && (group === undefined || !inRange(key, call))) stray ??= key
    if (group === undefined) groups.set(partition, (group = { keys: [], rows: [] }))
    group.keys.push(key)
    group.rows.push(rows[index] ?? null)
  }
  const partitions = [...groups].map(([partition, group]): ReadPlace => ({
    partition,
    applied: answer.shown.find((shown) => shown.partition === partition)?.applied,
    ...group,
  }))
  const { keysOnly = false, limit } = call.kind === 'scan' ? call : {}
  return { call, rows, partitions, keysOnly, limit, stray }
}

/** A scan speaks of every key of its range, up to its last row where it stopped at its limit. */
export function claimsOf(
  truth: Truth,
  { call, rows, limit }: Reading,
  { partition, keys, rows: given }: ReadPlace,
): ReadonlyMap<string, RowSeen | null> {
  const claims = new Map<string, RowSeen | null>()
  if (call.kind === 'scan') {
    const last = limit !== undefined && rows.length >= limit ? rows.at(-1)?.key : undefined
    for (const key of truth.of(partition).keysIn(call)) if (isWithin(key, last, call)) claims.set(key, null)
  }
  keys.forEach((key, index) => claims.set(key, given[index] ?? null))
  return claims
}

function isWithin(key: string, last: string | undefined, { reverse, limit }: ScanCall): boolean {
  if (limit === 0) return false
  if (last === undefined) return true
  return reverse === true ? key >= last : key <= last
}

/** The first offset at or after `from` at which the partition shows all of them together; undefined = there is none. */
export function earliestShowing(
  partition: PartitionTruth,
  claims: ReadonlyMap<string, RowSeen | null>,
  from: number,
  keysOnly: boolean,
): number | undefined {
  for (const [key, row] of claims) if (row !== null && !stood(partition, key, row, keysOnly)) return undefined
  let at = from
  for (let settled = false; !settled;) {
    settled = true
    for (const [key, row] of claims) {
      const shows = partition.firstShowing(key, row?.version, at)
      if (shows === undefined || shows > Math.max(partition.last, from)) return undefined
      if (shows > at) settled = false
      at = shows
    }
  }
  return at
}

/** Whether there ever was just this row. */
function stood(partition: PartitionTruth, key: string, row: RowSeen, keysOnly: boolean): boolean {
  const standing = partition.standingAt(key, row.version)
  return standing?.version === row.version && sameRow(row, toSeen(key, standing), keysOnly)
}
