/**
 * The Store in memory: for unit tests and the simulator. Small and plainly right rather than fast.
 *
 * Entries stand in sorted chunks. A write replaces the chunks that it touches and the list of chunks, and never changes
 * one that was published: a cursor holds the list that stood when it was opened, and that is its snapshot.
 */
import { assert, must } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import { SCAN_CHUNK_BYTES } from '../core/limits.ts'
import type { Batch, Cursor, Entry, Range, Store } from './store.ts'

/** Entries of one chunk before it is cut in two: small, because a write copies the chunks that it touches. */
const CHUNK_ENTRIES_MAX = 128

/** Sorted by key, never empty, and not changed once it stands in a published list. */
export type Chunk = readonly Entry[]

/** What outlives a store that was opened on it. Chunks are never changed: whoever keeps a list has the store as it was then. */
export interface MemoryDisk {
  chunks: readonly Chunk[]
  bytes: number
  /** Entries that cannot be read any more, as when their checksum is wrong. */
  readonly damaged: WeakSet<Entry>
}

/** What whoever reads a damaged entry hears. */
export const DAMAGE = 'a checksum of the store is wrong'

export const emptyDisk = (): MemoryDisk => ({ chunks: [], bytes: 0, damaged: new WeakSet() })

export function openMemoryStore(disk: MemoryDisk = emptyDisk()): Store {
  let closed = false

  const checkOpen = (): void => {
    if (closed) throw new TidemarkError('NODE_DRAINING', 'the store is closed')
  }

  const getMany = (keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[] => {
    checkOpen()
    return keys.map((key) => {
      const found = find(disk.chunks, key)
      return found === undefined ? undefined : readable(disk, found).value.slice()
    })
  }

  const publish = (next: readonly Chunk[], byteChange: number): void => {
    disk.chunks = next
    disk.bytes += byteChange
  }

  return {
    getMany,
    getManyAsync: async (keys) => Promise.resolve(getMany(keys)),
    cursor(range) {
      checkOpen()
      const cursor = openCursor(disk, range)
      return {
        next(rows) {
          checkOpen()
          return cursor.next(rows)
        },
        rewind() {
          checkOpen()
          cursor.rewind()
        },
        close: cursor.close,
      }
    },
    batch: () => new MemoryBatch(),
    write(batch) {
      checkOpen()
      assert(batch instanceof MemoryBatch, 'a batch of another store was written')
      const { next, byteChange } = merge(disk.chunks, batch.take())
      publish(next, byteChange)
    },
    drop(range) {
      checkOpen()
      const kept: Chunk[] = []
      let dropped = 0
      for (const chunk of disk.chunks) {
        const rest = chunk.filter((entry) => !inside(entry.key, range))
        if (rest.length > 0) kept.push(rest)
        for (const entry of chunk) if (inside(entry.key, range)) dropped += entryBytes(entry)
      }
      publish(kept, -dropped)
    },
    approximateBytes: () => disk.bytes,
    measures: () => ({}),
    close: async () => {
      closed = true
      return Promise.resolve()
    },
  }
}

/** An undefined value deletes. */
interface Change {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

class MemoryBatch implements Batch {
  private changes: Change[] | undefined = []

  put(key: Uint8Array, value: Uint8Array): void {
    this.open().push({ key: Uint8Array.from(key), value: Uint8Array.from(value) })
  }

  delete(key: Uint8Array): void {
    this.open().push({ key: Uint8Array.from(key), value: undefined })
  }

  get size(): number {
    return this.open().length
  }

  take(): readonly Change[] {
    const changes = this.open()
    this.changes = undefined
    return changes
  }

  private open(): Change[] {
    assert(this.changes !== undefined, 'a batch was used after it was written')
    return this.changes
  }
}

function merge(
  chunks: readonly Chunk[],
  changes: readonly Change[],
): { readonly next: readonly Chunk[]; readonly byteChange: number } {
  const next: Chunk[] = [...chunks]
  // The chunks made by this batch: no cursor has seen them, so they may be changed in place.
  const own = new Map<Chunk, Entry[]>()
  let byteChange = 0
  for (const change of changes) {
    const at = chunkOf(next, change.key)
    const old = next[at] ?? []
    const place = lowerBound(old, change.key)
    const present = old[place]
    const replaces = present !== undefined && Buffer.compare(present.key, change.key) === 0
    if (!replaces && change.value === undefined) continue
    const chunk = own.get(old) ?? [...old]
    own.delete(old)
    const entry = change.value === undefined ? [] : [{ key: change.key, value: change.value }]
    chunk.splice(place, replaces ? 1 : 0, ...entry)
    byteChange += (entry[0] === undefined ? 0 : entryBytes(entry[0])) - (replaces ? entryBytes(present) : 0)
    const pieces =
      chunk.length === 0
        ? []
        : chunk.length <= CHUNK_ENTRIES_MAX
          ? [chunk]
          : [chunk.slice(0, chunk.length >> 1), chunk.slice(chunk.length >> 1)]
    for (const piece of pieces) own.set(piece, piece)
    next.splice(at, 1, ...pieces)
  }
  return { next, byteChange }
}

function openCursor(disk: MemoryDisk, range: Range): Cursor {
  const { chunks } = disk
  const reverse = range.reverse === true
  const step = reverse ? -1 : 1
  let snapshot: readonly Chunk[] | undefined = chunks
  // The place of the entry that is read next: the first one at or past `gte`, or the last one before `lt`.
  const bound = reverse ? range.lt : range.gte
  let at = 0
  let place = 0
  const begin = (): void => {
    at = chunkOf(chunks, bound)
    place = lowerBound(chunks[at] ?? [], bound) + (reverse ? -1 : 0)
  }
  begin()

  const current = (): Entry | undefined => {
    for (;;) {
      const chunk = must(snapshot, 'the open cursor’s snapshot')[at]
      if (chunk === undefined) return undefined
      const entry = chunk[place]
      if (entry !== undefined) return inside(entry.key, range) ? entry : undefined
      at += step
      place = reverse ? (chunks[at]?.length ?? 0) - 1 : 0
    }
  }

  return {
    next(rows) {
      assert(rows > 0, 'a cursor was asked for no rows')
      if (snapshot === undefined) throw new TidemarkError('NODE_DRAINING', 'the cursor is closed')
      const entries: Entry[] = []
      let read = 0
      while (entries.length < rows && read < SCAN_CHUNK_BYTES) {
        const entry = current()
        if (entry === undefined) break
        readable(disk, entry)
        const value = range.values === false ? new Uint8Array(0) : entry.value.slice()
        entries.push({ key: entry.key.slice(), value })
        read += entry.key.length + value.length
        place += step
      }
      return entries
    },
    rewind() {
      assert(!reverse, 'a cursor was wound back that goes in reverse')
      if (snapshot === undefined) throw new TidemarkError('NODE_DRAINING', 'the cursor is closed')
      begin()
    },
    close() {
      snapshot = undefined
    },
  }
}

/** @throws STORE_CORRUPT */
function readable(disk: MemoryDisk, entry: Entry): Entry {
  if (disk.damaged.has(entry)) throw new TidemarkError('STORE_CORRUPT', DAMAGE)
  return entry
}

const entryBytes = (entry: Entry): number => entry.key.length + entry.value.length

const inside = (key: Uint8Array, range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): boolean =>
  Buffer.compare(key, range.gte) >= 0 && Buffer.compare(key, range.lt) < 0

function find(chunks: readonly Chunk[], key: Uint8Array): Entry | undefined {
  const chunk = chunks[chunkOf(chunks, key)] ?? []
  const entry = chunk[lowerBound(chunk, key)]
  return entry !== undefined && Buffer.compare(entry.key, key) === 0 ? entry : undefined
}

/** The index of the chunk that holds `key` or would: the last whose first key is not past it, else the first. */
function chunkOf(chunks: readonly Chunk[], key: Uint8Array): number {
  let low = 0
  let high = chunks.length
  while (low < high) {
    const middle = (low + high) >> 1
    const first = must(chunks[middle]?.[0], 'the first entry of a chunk')
    if (Buffer.compare(first.key, key) <= 0) low = middle + 1
    else high = middle
  }
  return Math.max(0, low - 1)
}

/** The index of the first entry whose key is not before `key`. */
function lowerBound(chunk: Chunk, key: Uint8Array): number {
  let low = 0
  let high = chunk.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (Buffer.compare(must(chunk[middle], 'an entry').key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
