/** Rows in the order of their keys over several replicas: one snapshot for each, merged as it is read. */
import { compareBytes } from '../core/bytes.ts'
import { keyOfRow, rowSpan } from '../core/keys.ts'
import { SCAN_CHUNK_ROWS } from '../core/limits.ts'
import type { Row } from '../core/mutation.ts'
import { decodeRow, isLive, toRow } from '../core/row.ts'
import type { KeyRange } from '../face.ts'
import type { Cursor } from '../store/store.ts'
import type { Replica } from './replica.ts'

interface Source {
  readonly cursor: Cursor
  readonly time: number
  rows: Row[]
  at: number
  done: boolean
}

/** Opens all snapshots now; what the iterator gives is what stood at this moment. Return the iterator to free them. */
export function scanRows(
  replicas: readonly Replica[],
  range: KeyRange,
  options: { readonly reverse: boolean; readonly keysOnly: boolean; readonly limit: number },
): AsyncIterableIterator<readonly Row[]> {
  const sources = replicas.map((replica): Source => {
    const cursor = replica.store.cursor({
      ...rowSpan(replica.prefix, range.start, range.end),
      reverse: options.reverse,
    })
    return { cursor, time: replica.state.time, rows: [], at: 0, done: false }
  })
  return merge(sources, options)
}

// An async generator: a caller that stops pulling stops the reading, and its `return` runs the `finally`.
async function* merge(
  sources: readonly Source[],
  options: { readonly reverse: boolean; readonly keysOnly: boolean; readonly limit: number },
): AsyncIterableIterator<readonly Row[]> {
  const sign = options.reverse ? -1 : 1
  let left = options.limit
  try {
    while (left > 0) {
      const chunk: Row[] = []
      while (chunk.length < Math.min(SCAN_CHUNK_ROWS, left)) {
        let first: Source | undefined
        for (const source of sources) {
          const row = head(source)
          if (row === undefined) continue
          const best = first === undefined ? undefined : head(first)
          if (best === undefined || sign * compareBytes(row.key, best.key) < 0) first = source
        }
        if (first === undefined) break
        const row = head(first)
        if (row === undefined) break
        first.at += 1
        chunk.push(options.keysOnly ? { ...row, value: new Uint8Array(0) } : row)
      }
      if (chunk.length === 0) return
      left -= chunk.length
      yield chunk
    }
  } finally {
    for (const source of sources) source.cursor.close()
  }
}

/** The next living row of a source, read ahead in chunks. */
function head(source: Source): Row | undefined {
  while (source.at >= source.rows.length && !source.done) {
    const entries = source.cursor.next(SCAN_CHUNK_ROWS)
    source.done = entries.length === 0
    source.at = 0
    source.rows = []
    for (const { key, value } of entries) {
      const row = decodeRow(value)
      if (isLive(row, source.time)) source.rows.push(toRow(keyOfRow(key), row))
    }
  }
  return source.rows[source.at]
}
