/** The answer to a write: what became of its record, and for a transaction the rows that its branch asks for. */
import { TidemarkError } from './core/errors.ts'
import type { Row } from './core/mutation.ts'
import type { TransactionReads, WriteResult } from './face.ts'
import { getRowAt, getRowBefore } from './replica/read.ts'
import type { Replica } from './replica/replica.ts'
import type { Written } from './replica/writer.ts'

const NO_ROWS: readonly (Row | undefined)[] = []

/** Made in the turn in which the record was applied. */
export function writeResult(
  replica: Replica,
  written: Written,
  reads: TransactionReads | undefined,
): WriteResult | TidemarkError {
  if (reads === undefined) return withRows(replica, written, NO_ROWS)
  try {
    return withRows(replica, written, rowsOf(replica, written, reads))
  } catch (caught) {
    return TidemarkError.from(caught)
  }
}

const withRows = (
  replica: Replica,
  { offset, outcome }: Written,
  rows: readonly (Row | undefined)[],
): WriteResult => ({
  partition: replica.state.partition,
  offset,
  outcome,
  reads: rows,
  logEnd: replica.logEnd,
  logEndAgeMs: replica.logEndAgeMs,
})

/** Before or after the record, as each was asked for. */
function rowsOf(
  replica: Replica,
  { outcome }: Written,
  reads: TransactionReads,
): readonly (Row | undefined)[] {
  if (outcome?.status !== 'applied') return NO_ROWS
  const wanted = outcome.succeeded === true ? reads.thenReads : reads.elseReads
  return wanted.map(({ key, when }) =>
    (when === 'before' ? getRowBefore : getRowAt)(replica, key, outcome.offset),
  )
}
