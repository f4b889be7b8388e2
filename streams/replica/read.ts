/** Reads of one replica as it stands, or as it stood at an earlier offset. Waiting for freshness happens before. */
import { TidemarkError } from '../core/errors.ts'
import type { Change, RecordEffects } from '../core/effects.ts'
import { readPiece, recordAt } from '../core/history.ts'
import { effectsSpan, readEffectsKey, rowKey } from '../core/keys.ts'
import { compareBytes } from '../core/bytes.ts'
import type { Row } from '../core/mutation.ts'
import { decodeRow, isLive, toRow } from '../core/row.ts'
import type { StoredRow } from '../core/row.ts'
import type { Offset } from '../core/types.ts'
import type { Replica } from './replica.ts'

const storedRow = (bytes: Uint8Array | undefined): StoredRow | undefined =>
  bytes === undefined ? undefined : decodeRow(bytes)

export function getRow(replica: Replica, key: Uint8Array): Row | undefined {
  const row = storedRow(replica.store.getMany([rowKey(replica.prefix, key)])[0])
  return isLive(row, replica.state.time) ? toRow(key, row) : undefined
}

/** All at one moment. */
export function getRows(replica: Replica, keys: readonly Uint8Array[]): (Row | undefined)[] {
  const { time } = replica.state
  const stored = replica.store.getMany(keys.map((key) => rowKey(replica.prefix, key)))
  return keys.map((key, at) => {
    const row = storedRow(stored[at])
    return isLive(row, time) ? toRow(key, row) : undefined
  })
}

/** Reads pieces of history; keeps the last one decoded, since neighbouring versions often share it. */
export class HistoryReader {
  readonly #replica: Replica
  #piece:
    { readonly first: Offset; readonly last: Offset; readonly records: readonly RecordEffects[] } | undefined

  constructor(replica: Replica) {
    this.#replica = replica
  }

  /** The records with effects of the first piece that reaches `from` or past it; empty at the end. */
  pieceFrom(from: Offset): readonly RecordEffects[] {
    if (this.#piece !== undefined && this.#piece.first <= from && from <= this.#piece.last)
      return this.#piece.records
    const cursor = this.#replica.store.cursor(effectsSpan(this.#replica.prefix, from))
    const entry = cursor.next(1)[0]
    cursor.close()
    if (entry === undefined) return []
    const { first, last } = readEffectsKey(entry.key)
    this.#piece = { first, last, records: readPiece(entry.value) }
    return this.#piece.records
  }

  /** The records of the last piece that ends before `at`. */
  #pieceBefore(at: Offset): readonly RecordEffects[] {
    const { store, prefix } = this.#replica
    const range = { gte: effectsSpan(prefix, 0).gte, lt: effectsSpan(prefix, at).gte, reverse: true }
    const cursor = store.cursor(range)
    const entry = cursor.next(1)[0]
    cursor.close()
    return entry === undefined ? [] : readPiece(entry.value)
  }

  recordAt(offset: Offset): RecordEffects | undefined {
    return recordAt(this.pieceFrom(offset), offset)
  }

  /** The first change that the record at `offset` made to the row: what stood before is what stood before the record. */
  changeAt(
    offset: Offset,
    key: Uint8Array,
  ): { readonly change: Change; readonly record: RecordEffects } | undefined {
    const record = this.recordAt(offset)
    const change = record?.changes.find((candidate) => compareBytes(candidate.key, key) === 0)
    return record === undefined || change === undefined ? undefined : { change, record }
  }

  /** Partition time after the last record with effects at or before `at`. */
  timeAt(at: Offset): number {
    const { state } = this.#replica
    if (at >= state.next - 1) return state.time
    let time = 0
    const reaching = this.pieceFrom(at)
    for (const record of (reaching[0]?.offset ?? Infinity) > at ? this.#pieceBefore(at) : reaching) {
      if (record.offset > at) break
      time = record.time
    }
    return time
  }
}

export function compacted(replica: Replica, wanted: Offset, earliest: Offset): TidemarkError {
  const { partition, next } = replica.state
  const kept =
    earliest >= next
      ? `keeps no history before offset ${next}, where it stands`
      : `keeps its history from offset ${earliest} on`
  return new TidemarkError(
    'COMPACTED',
    `partition ${partition} of keyspace ${replica.keyspace} ${kept}; ${wanted} is gone`,
    { metadata: { keyspace: replica.keyspace, partition: String(partition), earliest: String(earliest) } },
  )
}

/**
 * Refuses an offset whose past is gone. Just before the history begins, partition time is not known any more, and with it which rows
 * were due and only waited for their turn; without tombstones, which rows there were.
 */
export function checkKept(replica: Replica, at: Offset): void {
  const { historyStart, tombstoneStart, next } = replica.state
  const earliest = Math.max(historyStart, tombstoneStart) as Offset
  if (at < next - 1 && at < earliest) throw compacted(replica, at, earliest)
}

/** The row as all records up to and including `at` left it. @throws COMPACTED */
export function getRowAt(replica: Replica, key: Uint8Array, at: Offset): Row | undefined {
  if (at >= replica.state.next - 1) return getRow(replica, key)
  checkKept(replica, at)
  const history = new HistoryReader(replica)
  let row = storedRow(replica.store.getMany([rowKey(replica.prefix, key)])[0])
  while (row !== undefined && row.version > at) row = history.changeAt(row.version, key)?.change.previous
  return isLive(row, history.timeAt(at)) ? toRow(key, row) : undefined
}

/** The row just before the record at `offset` changed it, as that record saw it. @throws COMPACTED, also where only that record is gone */
export function getRowBefore(replica: Replica, key: Uint8Array, offset: Offset): Row | undefined {
  const { historyStart } = replica.state
  if (offset < historyStart) throw compacted(replica, offset, historyStart)
  const history = new HistoryReader(replica)
  const record = history.recordAt(offset)
  const change = record?.changes.find((candidate) => compareBytes(candidate.key, key) === 0)
  if (record === undefined || change === undefined) return getRowAt(replica, key, offset)
  return isLive(change.previous, record.time) ? toRow(key, change.previous) : undefined
}

/** The kept versions of a row, newest first, at most `limit`. */
export function rowHistory(
  replica: Replica,
  key: Uint8Array,
  limit: number,
): {
  readonly versions: readonly { readonly change: Change; readonly time: number }[]
  readonly complete: boolean
} {
  const history = new HistoryReader(replica)
  const versions: { readonly change: Change; readonly time: number }[] = []
  let row = storedRow(replica.store.getMany([rowKey(replica.prefix, key)])[0])
  while (row !== undefined && versions.length < limit) {
    const version: Offset = row.version
    const record = version < replica.state.historyStart ? undefined : history.recordAt(version)
    const changes = record?.changes.filter((candidate) => compareBytes(candidate.key, key) === 0) ?? []
    const first = changes[0]
    if (record === undefined || first === undefined) {
      // Its record is older than the history: the row itself is known, what was before it is not.
      versions.push({ change: changeOf(key, row), time: 0 })
      return { versions, complete: false }
    }
    for (const change of changes.reverse()) {
      if (versions.length === limit) return { versions, complete: false }
      versions.push({ change, time: record.time })
    }
    row = first.previous
  }
  return { versions, complete: row === undefined && replica.state.historyStart === 0 }
}

const changeOf = (key: Uint8Array, row: StoredRow): Change => ({
  kind: row.tombstone === 'none' ? 'put' : row.tombstone,
  key,
  row,
  encoded: new Uint8Array(0),
  previous: undefined,
  traceparent: undefined,
})
