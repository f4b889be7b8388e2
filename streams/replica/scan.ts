/** Rows in the order of their keys over several replicas: one snapshot for each, merged as it is read. */
import { compareBytes } from '../core/bytes.ts'
import { keyOfRow, rowSpan } from '../core/keys.ts'
import { PAST_BYTES_MAX, PAST_SCANS_MAX, SCAN_CHUNK_ROWS } from '../core/limits.ts'
import { must } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import type { Row } from '../core/mutation.ts'
import { decodeRow, isLive, toRow } from '../core/row.ts'
import type { Offset } from '../core/types.ts'
import type { KeyRange } from '../face.ts'
import type { Clock } from '../ports.ts'
import type { Cursor } from '../store/store.ts'
import { Past } from './past.ts'
import { checkKept } from './read.ts'
import type { Replica } from './replica.ts'

/** Rows of one replica in the order of their keys, read ahead in chunks. */
interface Source {
  rows: Row[]
  at: number
  done: boolean
  /** Reads the next rows; none are left when it is done. A promise only where it must wait. */
  readonly fill: (source: Source) => Promise<void> | undefined
  readonly close: () => void
}

export interface ScanShape {
  readonly reverse: boolean
  readonly keysOnly: boolean
  readonly limit: number
}

/** Where in the past a scan looks. */
export interface Moment {
  /** One for each replica. */
  readonly offsets: readonly Offset[]
  readonly clock: Clock
  /** Scans of the past that the node has open. */
  readonly open: { count: number }
}

/**
 * Opens all snapshots now; what the iterator gives is what stood at this moment, or at an earlier one. Return the iterator to free them.
 * @throws COMPACTED, OVERLOADED
 */
export function scanRows(
  replicas: readonly Replica[],
  range: KeyRange,
  options: ScanShape,
  moment?: Moment,
): AsyncIterableIterator<readonly Row[]> {
  if (moment === undefined)
    return rowsFrom(
      replicas.map((replica) => present(replica, range, options)),
      options,
    )
  const places = replicas.map((replica, index) => ({
    replica,
    at: must(moment.offsets[index], 'an offset of the scan'),
  }))
  // Before anything is opened that would have to be closed again.
  for (const { replica, at } of places) checkKept(replica, at)
  const { open } = moment
  if (open.count >= PAST_SCANS_MAX)
    throw new TidemarkError(
      'OVERLOADED',
      `the node has ${PAST_SCANS_MAX} scans of the past open, its bound: wait, or ask another node`,
    )
  open.count += 1
  const bytesMax = Math.floor(PAST_BYTES_MAX / replicas.length)
  return rowsFrom(
    places.map(({ replica, at }) =>
      at >= replica.state.next - 1
        ? present(replica, range, options)
        : past(replica, range, options, at, bytesMax, moment.clock),
    ),
    options,
    () => (open.count -= 1),
  )
}

/** The rows of the sources, which are closed with the iterator: also where nothing was ever pulled, which no `finally` would see. */
function rowsFrom(
  sources: readonly Source[],
  options: ScanShape,
  closed: () => void = () => undefined,
): AsyncIterableIterator<readonly Row[]> {
  let open = true
  const close = (): void => {
    if (!open) return
    open = false
    for (const source of sources) source.close()
    closed()
  }
  const rows = merge(sources, options, close)
  let begun = false
  return {
    next() {
      begun = true
      return rows.next()
    },
    return() {
      if (!begun) close()
      return rows.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

const rowsOf = (replica: Replica, range: KeyRange, reverse: boolean): Cursor =>
  replica.store.cursor({ ...rowSpan(replica.prefix, range.start, range.end), reverse })

function present(replica: Replica, range: KeyRange, { reverse }: ScanShape): Source {
  const cursor = rowsOf(replica, range, reverse)
  const { time } = replica.state
  return {
    rows: [],
    at: 0,
    done: false,
    fill(source) {
      source.rows = []
      source.at = 0
      while (source.rows.length === 0 && !source.done) {
        const entries = cursor.next(SCAN_CHUNK_ROWS)
        source.done = entries.length === 0
        for (const { key, value } of entries) {
          const row = decodeRow(value)
          if (isLive(row, time)) source.rows.push(toRow(keyOfRow(key), row))
        }
      }
      return undefined
    },
    close() {
      cursor.close()
    },
  }
}

function past(
  replica: Replica,
  range: KeyRange,
  { reverse }: ScanShape,
  at: Offset,
  bytesMax: number,
  clock: Clock,
): Source {
  const cursor = rowsOf(replica, range, reverse)
  const before = new Past(replica, at, { range, reverse }, bytesMax, clock)
  return {
    rows: [],
    at: 0,
    done: false,
    async fill(source) {
      source.rows = []
      source.at = 0
      while (source.rows.length === 0 && !source.done) {
        const entries = cursor.next(SCAN_CHUNK_ROWS)
        source.done = entries.length === 0
        for (const { key, value } of entries) {
          const row = await before.row(keyOfRow(key), decodeRow(value))
          if (isLive(row, before.time)) source.rows.push(toRow(keyOfRow(key), row))
        }
      }
    },
    close() {
      cursor.close()
      before.close()
    },
  }
}

// An async generator: a caller that stops pulling stops the reading, and its `return` runs the `finally`.
async function* merge(
  sources: readonly Source[],
  options: ScanShape,
  close: () => void,
): AsyncGenerator<readonly Row[], undefined> {
  const sign = options.reverse ? -1 : 1
  let left = options.limit
  try {
    while (left > 0) {
      const chunk: Row[] = []
      while (chunk.length < Math.min(SCAN_CHUNK_ROWS, left)) {
        let first: Source | undefined
        for (const source of sources) {
          const waiting = source.at >= source.rows.length && !source.done ? source.fill(source) : undefined
          if (waiting !== undefined) await waiting
          const row = source.rows[source.at]
          if (row === undefined) continue
          const best = first?.rows[first.at]
          if (best === undefined || sign * compareBytes(row.key, best.key) < 0) first = source
        }
        const row = first?.rows[first.at]
        if (first === undefined || row === undefined) break
        first.at += 1
        chunk.push(options.keysOnly ? { ...row, value: new Uint8Array(0) } : row)
      }
      if (chunk.length === 0) return undefined
      left -= chunk.length
      yield chunk
    }
    return undefined
  } finally {
    close()
  }
}
