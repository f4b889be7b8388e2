/**
 * The Store port: one ordered map of bytes to bytes for all replicas of a node. Implementations: `rocksdb`, `memory`
 * (for tests and the simulator). Both pass store.contract.ts. Keys are ordered as unsigned bytes.
 *
 * Ownership: arrays given to the store may be used by it until `write` returns and are not changed; arrays that it returns
 * belong to the caller, but may share memory with their neighbours: copy what is kept for long.
 */

export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** Half open: from `gte` to before `lt`. */
export interface Range {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly reverse?: boolean
  /** False reads keys only; values come back empty. */
  readonly values?: boolean
}

/** Changes that become visible and durable together, or not at all. */
export interface Batch {
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
  /** How many puts and deletes it holds. */
  readonly size: number
}

/** A view of the store at the moment when it was opened; later writes do not show. Close it: it pins memory. */
export interface Cursor {
  /** At most `rows` next entries; an empty array at the end. Synchronous: `rows` bounds the time. */
  next(rows: number): readonly Entry[]
  /** Begins again, in the same view. Not in reverse. */
  rewind(): void
  close(): void
}

/** Numbers of RocksDB of this moment, by the ends of their names in the metric catalogue. */
export const STORE_MEASURES = [
  'keys',
  'live.bytes',
  'files.bytes',
  'files.level0',
  'memtables.bytes',
  'memtables.waiting',
  'flushes.running',
  'compactions.running',
  'compaction.pending.bytes',
  'write.stopped',
  'write.delayed_rate',
  'background_errors',
  'cache.used.bytes',
  'cache.capacity.bytes',
  'readers.bytes',
  'snapshots',
] as const
export type StoreMeasures = Readonly<Partial<Record<(typeof STORE_MEASURES)[number], number>>>

export interface Store {
  /** The values, in the order of the keys; undefined where there is none. Synchronous: for what is likely in memory. */
  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[]
  /** The same off the main thread: for many keys, or keys that are likely on disk. */
  getManyAsync(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]>
  cursor(range: Range): Cursor
  batch(): Batch
  /**
   * Writes the batch, atomically. It survives the end of this process; `sync` makes it survive the loss of power too.
   * Once only for each batch. @throws DISK_FULL (nothing written), STORE_CORRUPT.
   */
  write(batch: Batch, options?: { readonly sync?: boolean }): void
  /** Deletes a range, for a replica that is given up. */
  drop(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): void
  /** Bytes on disk and in memory tables, about. */
  approximateBytes(): number
  /** How it stands, for metrics; cheap. Empty where there is nothing to tell. */
  measures(): StoreMeasures
  close(): Promise<void>
}
