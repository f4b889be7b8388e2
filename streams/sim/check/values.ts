/**
 * Every read shows exactly what the log says at the position that it claims, of each partition: eventual, session and linearizable ones
 * alike, whole scans and reads of the past. Where the client is not told the position, there must be one.
 */
import { must } from '../../core/assert.ts'
import type { RowSeen } from '../history.ts'
import { entriesOf, nameOf } from './evidence.ts'
import type { Checker, Evidence, Operation, Violation } from './evidence.ts'
import { claimsOf, earliestShowing, readOf } from './reading.ts'
import type { Reading } from './reading.ts'
import type { Truth } from './truth.ts'
import { rowOf, sameRow, showRow } from './writes.ts'

export const values: Checker = ({ truth, operations }: Evidence) => {
  const found: Violation[] = []
  for (const operation of operations) {
    const reading = readOf(operation, truth)
    if (reading === undefined) continue
    const wrong = (message: string): number =>
      found.push({
        checker: 'values',
        message: `${nameOf(operation)} ${message}`,
        entries: entriesOf(operation),
      })
    if (reading.call.kind === 'get' && reading.call.at !== undefined)
      for (const line of pastOf(truth, reading, reading.call.at)) wrong(line)
    else for (const line of linesOf(truth, reading, operation)) wrong(line)
  }
  return found
}

function* pastOf(truth: Truth, { rows, partitions }: Reading, at: number): Generator<string> {
  const [place] = partitions
  const { partition, applied } = must(place, 'the partition of a key')
  const key = must(place, 'the partition of a key').keys[0] ?? ''
  if (applied !== undefined && applied < at && at <= truth.of(partition).last)
    yield `shows ${partition}:${applied}, and was asked for what stood at ${at}`
  const expected = rowOf(truth.of(partition), key, at)
  const row = rows[0] ?? null
  if (!sameRow(row, expected))
    yield `at ${partition}:${at}: read ${showRow(row)}, the log says ${showRow(expected)}`
}

function* linesOf(truth: Truth, reading: Reading, operation: Operation): Generator<string> {
  const { partitions, keysOnly } = reading
  for (const { partition, applied } of partitions)
    if (applied !== undefined && applied > truth.of(partition).last) {
      yield `claims ${partition}:${applied}, the log ends at ${truth.of(partition).last}`
      return
    }
  const order = disorderOf(reading)
  if (order !== undefined) yield order
  for (const place of partitions) {
    const { partition, applied } = place
    const claims = claimsOf(truth, reading, place)
    if (applied === undefined) {
      if (earliestShowing(truth.of(partition), claims, -1, keysOnly) === undefined)
        yield `shows rows of partition ${partition} that never stood at one time: ${showClaims(claims)}`
      continue
    }
    for (const [key, row] of claims) {
      const expected = rowOf(truth.of(partition), key, applied)
      if (!sameRow(row, expected, keysOnly))
        yield `at ${partition}:${applied}: read ${showRow(row)}, the log says ${showRow(expected)}`
    }
  }
  if (
    operation.call.call.kind === 'scan' &&
    reading.limit !== undefined &&
    reading.rows.length > reading.limit
  )
    yield `gave ${reading.rows.length} rows, over its limit of ${reading.limit}`
}

/** Of a scan: keys rise (or fall), each once, and lie in the range and the partitions asked for. */
function disorderOf({ call, rows, stray }: Reading): string | undefined {
  if (call.kind !== 'scan') return undefined
  if (stray !== undefined) return `gave the row ${JSON.stringify(stray)}, which it was not asked for`
  for (let at = 1; at < rows.length; at++) {
    const [before = '', after = ''] = [rows[at - 1]?.key, rows[at]?.key]
    if (call.reverse === true ? after >= before : after <= before)
      return `gave ${JSON.stringify(after)} after ${JSON.stringify(before)}`
  }
  return undefined
}

const showClaims = (claims: ReadonlyMap<string, RowSeen | null>): string =>
  [...claims]
    .slice(0, 4)
    .map(([key, row]) => (row === null ? `no ${JSON.stringify(key)}` : showRow(row)))
    .join(', ')
