/** What a writer is told, in the turn in which its record was applied. */
import type { Row } from './core/mutation.ts'
import type { TransactionReads, WriteResult } from './face.ts'
import { getRowAt, getRowBefore } from './replica/read.ts'
import type { Replica } from './replica/replica.ts'
import type { Written } from './replica/writer.ts'

const NO_ROWS: readonly (Row | undefined)[] = []

export const withoutReads = (replica: Replica, { offset, outcome }: Written): WriteResult => ({
  partition: replica.state.partition,
  offset,
  outcome,
  reads: NO_ROWS,
  logEnd: replica.logEnd,
  logEndAgeMs: replica.logEndAgeMs,
})

/** With the rows that the transaction's branch asks for, before or after its record. */
export function withReads(replica: Replica, written: Written, reads: TransactionReads): WriteResult {
  const { outcome } = written
  if (outcome?.status !== 'applied') return withoutReads(replica, written)
  const wanted = outcome.succeeded === true ? reads.thenReads : reads.elseReads
  const rows = wanted.map(({ key, when }) =>
    (when === 'before' ? getRowBefore : getRowAt)(replica, key, outcome.offset),
  )
  return { ...withoutReads(replica, written), reads: rows }
}
