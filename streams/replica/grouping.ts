/** Which of the writes that wait for a partition become one record, in the order in which they came. */
import { bytesToText } from '../core/bytes.ts'
import {
  APPEND_BYTES_MAX,
  APPEND_RECORDS_MAX,
  PACK_BYTES_TARGET,
  PACK_MUTATIONS_MAX,
} from '../core/limits.ts'
import type { Item } from './outgoing.ts'

interface Waiting {
  readonly item: Item
  readonly deadline: number
  readonly bytes: number
}

export interface Grouped<W extends Waiting> {
  /** Each list becomes one record. */
  readonly records: readonly (readonly W[])[]
  /** Those that came too late to be appended. */
  readonly late: readonly W[]
  /** How many of those that waited are in `records` or `late`. */
  readonly taken: number
  readonly bytes: number
}

/**
 * Mutations share a pack, unless the keyspace wants none; transactions and control records travel alone; all barriers are one record,
 * the last.
 * @param bytesBefore - in the same append already, of other partitions
 */
export function groupRecords<W extends Waiting>(
  waiting: readonly W[],
  packing: boolean,
  now: number,
  bytesBefore: number,
): Grouped<W> {
  const records: W[][] = []
  const late: W[] = []
  const barriers: W[] = []
  const keys = new Set<string>()
  let pack: W[] = []
  let packBytes = 0
  let bytes = 0
  let taken = 0
  const close = (): void => {
    if (pack.length === 0) return
    records.push(pack)
    pack = []
    packBytes = 0
    keys.clear()
  }
  for (const write of waiting) {
    if (bytesBefore + bytes >= APPEND_BYTES_MAX || records.length >= APPEND_RECORDS_MAX - 1) break
    taken += 1
    if (write.deadline <= now) {
      late.push(write)
      continue
    }
    const { item } = write
    if (item.kind === 'barrier') {
      barriers.push(write)
      continue
    }
    bytes += write.bytes
    if (item.kind === 'control' || item.mutation.kind === 'txn') {
      close()
      records.push([write])
      continue
    }
    const key = bytesToText(item.mutation.key)
    // One mutation for each key of a pack: a row's version is the offset of its record.
    if (keys.has(key) || packBytes + write.bytes > PACK_BYTES_TARGET || pack.length >= PACK_MUTATIONS_MAX)
      close()
    if (!packing && pack.length > 0) close()
    keys.add(key)
    pack.push(write)
    packBytes += write.bytes
  }
  close()
  if (barriers.length > 0) records.push(barriers)
  return { records, late, taken, bytes }
}
