/**
 * Scans of several nodes as one: rows in key order, the token the union of theirs. Each shows one snapshot of each of its
 * partitions, so a scan whose node is lost in the middle fails: another node would show another moment.
 */
import { must } from '../../../streams/core/assert.ts'
import { compareBytes } from '../../../streams/core/bytes.ts'
import { SCAN_CHUNK_ROWS } from '../../../streams/core/limits.ts'
import type { Row } from '../../../streams/core/mutation.ts'
import type { Scan } from '../../../streams/face.ts'

interface Source {
  readonly rows: AsyncIterator<readonly Row[]>
  chunk: readonly Row[]
  at: number
}

export function mergeScans(
  scans: readonly Scan[],
  { reverse = false, limit = Infinity }: { readonly reverse?: boolean; readonly limit?: number | undefined },
): Scan {
  const first = must(scans[0], 'a scan')
  if (scans.length === 1) return first
  const merging = merge(
    scans.map(({ rows }) => ({ rows, chunk: [], at: 0 })),
    reverse ? -1 : 1,
    limit,
  )
  return {
    token: {
      logIdentity: first.token.logIdentity,
      positions: scans.flatMap(({ token }) => token.positions),
    },
    rows: {
      next: () => merging.next(),
      // Not the generator's own, which would wait for a pull: the peers that it waits for may be gone.
      async return() {
        for (const { rows } of scans) await rows.return?.()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]() {
        return this
      },
    },
  }
}

async function* merge(
  sources: readonly Source[],
  sign: 1 | -1,
  limit: number,
): AsyncGenerator<readonly Row[], undefined> {
  let living = await filled(sources)
  let left = limit
  while (living.length > 0 && left > 0) {
    const merged: Row[] = []
    while (merged.length < Math.min(SCAN_CHUNK_ROWS, left)) {
      const source = least(living, sign)
      merged.push(headOf(source))
      source.at += 1
      if (source.at < source.chunk.length) continue
      // Its next row is not known yet, and may come before those of the others.
      living = await filled(living)
      if (living.length === 0) break
    }
    left -= merged.length
    yield merged
  }
}

const headOf = ({ chunk, at }: Source): Row => must(chunk[at], 'a row')

function least(sources: readonly Source[], sign: 1 | -1): Source {
  let first = must(sources[0], 'a source')
  for (const source of sources)
    if (sign * compareBytes(headOf(source).key, headOf(first).key) < 0) first = source
  return first
}

/** Those that have a row, with it at hand. */
async function filled(sources: readonly Source[]): Promise<Source[]> {
  const some = await Promise.all(sources.map(fill))
  return sources.filter((_, at) => some[at])
}

async function fill(source: Source): Promise<boolean> {
  while (source.at >= source.chunk.length) {
    const result = await source.rows.next()
    if (result.done === true) return false
    source.chunk = result.value
    source.at = 0
  }
  return true
}
