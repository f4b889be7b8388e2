/**
 * Which batches of a fetched run belong to aborted transactions. The broker names, for each run, the aborted transactions
 * that overlap it, in no useful order: sorted by their first offset, a transaction is open from there to the abort
 * marker of its producer, and its batches in between are dropped (as the Java consumer does; kafkajs relies on the
 * broker's order and shows aborted records where transactions interleave).
 */
import type { AbortedTransaction } from './fetch-protocol.ts'
import type { BatchHeader } from './record-batch.ts'

export interface AbortFilter {
  /** True where the batch was aborted. To be asked for each batch of the run, control batches included, in order. */
  drops(header: BatchHeader, abortMarker: boolean): boolean
}

export function createAbortFilter(transactions: readonly AbortedTransaction[]): AbortFilter {
  const byFirstOffset = transactions.toSorted((a, b) => a.firstOffset - b.firstOffset)
  const aborting = new Set<number>()
  let next = 0
  return {
    drops(header, abortMarker) {
      for (;;) {
        const transaction = byFirstOffset[next]
        if (transaction === undefined || transaction.firstOffset >= header.nextOffset) break
        aborting.add(transaction.producerId)
        next++
      }
      if (abortMarker) aborting.delete(header.producerId)
      return header.transactional && !header.control && aborting.has(header.producerId)
    },
  }
}
