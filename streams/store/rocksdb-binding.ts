/**
 * The typed face of @nxtedition/rocksdb, and the only place that loads it.
 *
 * It takes the package's native functions and leaves the abstract-level classes around them: those cost twice the time of a
 * put (option lookups, resource tracking) and keep a reference to each batch and iterator that is closed synchronously.
 * What the native code asks of its caller is written here; it checks none of it and ends the process where it is broken.
 *
 * - Every handle is used only between open and close of its database; iterators are closed before the database.
 * - Iterators need both encodings. They are snapshots (of the moment of `iterator_init`) and read without filling the cache.
 * - Rows and values are copies. (The option `unsafe` hands out pinned blocks instead: a block that is pinned at close
 *   ends the process, and it was no faster.)
 * - `db_get_many`, the asynchronous read, throws a damaged block as an uncaught exception: it is left out.
 */
import { createRequire } from 'node:module'

declare const kind: unique symbol
export type DatabaseHandle = { readonly [kind]: 'database' }
export type BatchHandle = { readonly [kind]: 'batch' }
export type IteratorHandle = { readonly [kind]: 'iterator' }

export interface OpenOptions {
  readonly createIfMissing: boolean
  readonly compaction: 'level' | 'universal'
  /** Bytes; a memory table has a quarter, and up to six of them may wait for their flush. */
  readonly memtableMemoryBudget: number
  /** Bytes of the block cache. */
  readonly cacheSize: number
  readonly optimize: 'point-lookup' | ''
  readonly walCompression: boolean
  readonly compression: boolean
  /** Background threads. */
  readonly parallelism: number
}

export interface IteratorOptions {
  readonly keyEncoding: 'buffer'
  readonly valueEncoding: 'buffer'
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly reverse: boolean
  readonly values: boolean
  /** `iterator_nextv_sync` returns after the row that passes this many bytes. */
  readonly highWaterMarkBytes: number
}

export interface Rows {
  /** Key, value, key, value …; without values they are undefined. */
  readonly rows: readonly (Uint8Array | undefined)[]
  readonly finished: boolean
}

type Callback = (error: Error | null) => void

/** An options argument that is undefined costs nothing; an object costs a lookup for each option that could be in it. */
interface Binding {
  /** By its directory, or by the handle of a database that another thread has open. */
  db_init(location: string | bigint): DatabaseHandle
  db_get_handle(database: DatabaseHandle): bigint
  db_open(database: DatabaseHandle, options: OpenOptions, callback: Callback): void
  db_close(database: DatabaseHandle, callback: Callback): void
  db_get_many_sync(
    database: DatabaseHandle,
    keys: readonly Uint8Array[],
    options: undefined,
  ): readonly (Uint8Array | undefined)[]
  db_clear(database: DatabaseHandle, range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): void
  db_get_property(database: DatabaseHandle, name: string): string
  batch_init(): BatchHandle
  batch_put(batch: BatchHandle, key: Uint8Array, value: Uint8Array, options: undefined): void
  batch_del(batch: BatchHandle, key: Uint8Array, options: undefined): void
  batch_clear(batch: BatchHandle): void
  batch_write(
    database: DatabaseHandle,
    batch: BatchHandle,
    options: { readonly sync: true } | undefined,
  ): void
  iterator_init(database: DatabaseHandle, options: IteratorOptions): IteratorHandle
  iterator_nextv_sync(iterator: IteratorHandle, rows: number): Rows
  /** The target lies within the bounds of the iterator, or nothing is found. */
  iterator_seek(iterator: IteratorHandle, target: Uint8Array): void
  iterator_close(iterator: IteratorHandle): void
}

const load = createRequire(import.meta.url)

export const rocksdb = load('@nxtedition/rocksdb/binding.js') as Binding
