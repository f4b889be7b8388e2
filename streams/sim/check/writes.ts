/**
 * The answer to every write is what the log says at its position: outcome, reason, version, number, branch, rows of a transaction. A
 * record that is not there at all is the matter of delivery.ts.
 */
import type { OutcomeSeen, ReturnEntry, RowSeen, TransactionCall } from '../history.ts'
import { isWrite } from '../history.ts'
import type { Outcome } from '../../core/mutation.ts'
import { contentOf } from './asked.ts'
import { entriesOf, indexIn, nameOf, placeOf } from './evidence.ts'
import type { Checker, Evidence, Operation, Violation } from './evidence.ts'
import { toSeen } from './truth.ts'
import type { PartitionTruth, Told } from './truth.ts'

export const writes: Checker = ({ truth, operations }: Evidence) => {
  const found: Violation[] = []
  for (const operation of operations) {
    const { call } = operation.call
    const placed = placeOf(operation)
    if (!isWrite(call) || placed === undefined || placed.outcome === undefined) continue
    const partition = truth.of(placed.partition)
    const told = partition.record(placed.offset)
    const at =
      told === undefined ? -1 : indexIn(told, { requestId: call.requestId, content: contentOf(call) })
    if (told === undefined || at < 0) continue
    const wrong = (message: string): number =>
      found.push({
        checker: 'writes',
        message: `${nameOf(operation)} at ${placed.partition}:${placed.offset}: ${message}`,
        entries: entriesOf(operation),
      })
    const expected = outcomeOf(partition, told, at)
    if (expected === undefined) {
      wrong('its record was rejected as a whole, yet it was answered')
      continue
    }
    const difference = differenceOf(placed.outcome, expected)
    if (difference !== undefined) wrong(difference)
    else if (call.kind === 'txn' && expected.status === 'applied')
      for (const line of readsOf(partition, call, expected, operation.answered)) wrong(line)
  }
  return found
}

/** Of one mutation; that of the first record where this one is its repetition. */
function outcomeOf(partition: PartitionTruth, told: Told, at: number): Outcome | undefined {
  if (told.outcomes.length === told.wanted.length) return told.outcomes[at]
  const [only] = told.outcomes
  if (only?.duplicate !== true) return undefined
  const first = partition.record(only.offset)?.outcomes[at]
  return first === undefined ? undefined : { ...first, duplicate: true }
}

/** The offset is compared where the client is told it, everything else always. */
export function differenceOf(seen: OutcomeSeen, expected: Outcome): string | undefined {
  const lines: string[] = []
  const compare = (what: string, answered: unknown, true_: unknown): void => {
    if (answered !== true_) lines.push(`${what}: answered ${String(answered)}, the log says ${String(true_)}`)
  }
  compare('applied', seen.applied, expected.status === 'applied')
  compare('reason', seen.reason, expected.status === 'rejected' ? expected.reason : undefined)
  compare('version', seen.version, expected.version)
  compare('duplicate', seen.duplicate, expected.duplicate)
  const { number, succeeded } = { number: undefined, succeeded: undefined, ...expected }
  compare('number', seen.number, number === undefined ? undefined : String(number))
  compare('succeeded', seen.succeeded, succeeded)
  if (seen.offset !== undefined) compare('deciding offset', seen.offset, expected.offset)
  return lines.length === 0 ? undefined : lines.join('; ')
}

function* readsOf(
  partition: PartitionTruth,
  { thenReads, elseReads }: TransactionCall,
  outcome: Outcome & { readonly status: 'applied' },
  answered: Operation['answered'],
): Generator<string> {
  const rows = rowsOf(answered)
  const wanted = outcome.succeeded === true ? thenReads : elseReads
  if (rows.length !== wanted.length) yield `${rows.length} rows read, ${wanted.length} asked for`
  for (const [index, { key, when }] of wanted.entries()) {
    const expected =
      when === 'after' ? rowOf(partition, key, outcome.offset) : rowBefore(partition, key, outcome.offset)
    const row = rows[index] ?? null
    if (!sameRow(row, expected))
      yield `the row ${when} it, read ${showRow(row)}, the log says ${showRow(expected)}`
  }
}

function rowsOf(answered: ReturnEntry | undefined): readonly (RowSeen | null)[] {
  const result = answered?.result
  return result?.status === 'ok' && result.answer.kind === 'written' ? result.answer.reads : []
}

export function rowOf(partition: PartitionTruth, key: string, offset: number): RowSeen | null {
  const row = partition.rowAt(key, offset)
  return row === undefined ? null : toSeen(key, row)
}

/** As the record at `offset` saw it: partition time has moved with it already. */
function rowBefore(partition: PartitionTruth, key: string, offset: number): RowSeen | null {
  const told = partition.record(offset)
  const change = told?.changes.find((one) => one.key === key)
  if (told === undefined || change === undefined) return rowOf(partition, key, offset)
  const { previous } = change
  const isDue = previous !== undefined && previous.expiresAt !== 0 && previous.expiresAt <= told.time
  return previous === undefined || isDue ? null : toSeen(key, previous)
}

/** @param keysOnly - the value was not asked for */
export function sameRow(seen: RowSeen | null, expected: RowSeen | null, keysOnly = false): boolean {
  if (seen === null || expected === null) return seen === expected
  return (
    seen.key === expected.key &&
    seen.value === (keysOnly ? '' : expected.value) &&
    seen.version === expected.version &&
    seen.expiresAt === expected.expiresAt &&
    seen.contentType === expected.contentType
  )
}

export const showRow = (row: RowSeen | null): string =>
  row === null
    ? 'no row'
    : `${JSON.stringify(row.key)}=${JSON.stringify(row.value.slice(0, 40))} v${row.version}` +
      (row.expiresAt === 0 ? '' : ` until ${row.expiresAt}`)
