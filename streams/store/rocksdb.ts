/**
 * The Store on RocksDB: one database for all replicas of a node.
 *
 * - A batch is one record of the write-ahead log: all of it survives the end of the process, or nothing.
 * - Every block and every record of the log has a checksum that is checked on each read, and marks show whether a file is
 *   missing (continuity.ts): damage is STORE_CORRUPT, never a wrong value.
 * - Keys that begin with 16 bytes 0xff are the store's own.
 * - On a full disk RocksDB refuses writes, goes on reading, and resumes by itself within 5 s of room being there again
 *   (it wants a quarter of `memtableBytes`). A refused batch is as if it had not been written, and may be written again.
 */
import { assert } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import { STORE_CACHE_BYTES, STORE_MEMTABLE_BYTES } from '../core/limits.ts'
import { failpoint } from '../failpoint.ts'
import { codeOf, makeDirectory } from './directory.ts'
import { isReserved, RESERVED, type Marks } from './continuity.ts'
import { BatchPool, RocksBatch } from './rocksdb-batch.ts'
import { rocksdb, type DatabaseHandle } from './rocksdb-binding.ts'
import { EMPTY_CURSOR, RocksCursor } from './rocksdb-cursor.ts'
import { closeDatabase, openDatabase, type Database, type StoreOptions } from './rocksdb-database.ts'
import { refuse, storeError } from './rocksdb-errors.ts'
import { RocksReader } from './rocksdb-reader.ts'
import {
  STORE_MEASURES,
  type Batch,
  type Cursor,
  type Range,
  type Store,
  type StoreMeasures,
} from './store.ts'
import { WalSync } from './wal-sync.ts'

/** A store whose writes can be made durable without blocking this thread. */
export interface SyncableStore extends Store {
  /**
   * Resolves when all writes that returned before the call survive a loss of power. Rejects for ever after the first failure:
   * only opening the store again tells what is on disk.
   */
  sync(): Promise<void>
}

const DEFAULTS: StoreOptions = { memtableBytes: STORE_MEMTABLE_BYTES, cacheBytes: STORE_CACHE_BYTES }

const SYNC = { sync: true } as const

/** Each costs a quarter of a microsecond. */
const PROPERTIES: Readonly<Record<(typeof STORE_MEASURES)[number], string>> = {
  keys: 'estimate-num-keys',
  'live.bytes': 'estimate-live-data-size',
  'files.bytes': 'total-sst-files-size',
  'files.level0': 'num-files-at-level0',
  'memtables.bytes': 'size-all-mem-tables',
  'memtables.waiting': 'num-immutable-mem-table',
  'flushes.running': 'num-running-flushes',
  'compactions.running': 'num-running-compactions',
  'compaction.pending.bytes': 'estimate-pending-compaction-bytes',
  'write.stopped': 'is-write-stopped',
  'write.delayed_rate': 'actual-delayed-write-rate',
  background_errors: 'background-errors',
  'cache.used.bytes': 'block-cache-usage',
  'cache.capacity.bytes': 'block-cache-capacity',
  'readers.bytes': 'estimate-table-readers-mem',
  snapshots: 'num-snapshots',
}

/**
 * Opens the store in this directory, and creates it where there is none.
 * @throws STORE_LOCKED, STORE_UNWRITABLE, STORE_CORRUPT, DISK_FULL.
 */
export async function openStore(directory: string, options: StoreOptions = DEFAULTS): Promise<SyncableStore> {
  try {
    await makeDirectory(directory).catch((caught: unknown) => {
      throw codeOf(caught) === 'ENOENT'
        ? refuse('STORE_UNWRITABLE', directory, String(caught), caught)
        : caught
    })
    return new RocksStore(directory, await openDatabase(directory, options))
  } catch (caught) {
    throw storeError(caught, directory)
  }
}

class RocksStore implements SyncableStore {
  private readonly directory: string
  private readonly database: DatabaseHandle
  private readonly marks: Marks
  private readonly wal: WalSync
  private readonly reader: RocksReader
  private readonly batches = new BatchPool()
  private readonly cursors = new Set<RocksCursor>()
  private closing: Promise<void> | undefined

  constructor(directory: string, { handle, marks }: Database) {
    this.directory = directory
    this.database = handle
    this.marks = marks
    this.reader = new RocksReader(handle)
    // Changes with each memory table, and so with each file of the write-ahead log.
    const generation = (): string => rocksdb.db_get_property(handle, 'rocksdb.current-super-version-number')
    this.wal = new WalSync(directory, generation)
  }

  getMany(keys: readonly Uint8Array[]): readonly (Uint8Array | undefined)[] {
    this.checkOpen()
    return this.told(() => rocksdb.db_get_many_sync(this.database, keys, undefined))
  }

  async getManyAsync(keys: readonly Uint8Array[]): Promise<readonly (Uint8Array | undefined)[]> {
    this.checkOpen()
    return this.toldLater(this.reader.getMany(keys))
  }

  cursor(range: Range): Cursor {
    this.checkOpen()
    const lt = beforeReserved(range.lt)
    if (Buffer.compare(range.gte, lt) >= 0) return EMPTY_CURSOR
    const cursor = new RocksCursor(this.directory, this.database, { ...range, lt }, (closed) =>
      this.cursors.delete(closed),
    )
    this.cursors.add(cursor)
    return cursor
  }

  batch(): Batch {
    return this.batches.take()
  }

  write(batch: Batch, options?: { readonly sync?: boolean }): void {
    this.checkOpen()
    assert(batch instanceof RocksBatch, 'a batch of another store was written')
    const { handle, bytes } = batch
    this.told(() => {
      const mark = this.marks.due()
      if (mark !== undefined) rocksdb.batch_put(handle, mark.key, mark.value, undefined)
      failpoint('store.write', () => {
        rocksdb.batch_write(this.database, handle, options?.sync === true ? SYNC : undefined)
      })
    })
    this.marks.written(bytes)
    this.batches.giveBack(batch)
  }

  async sync(): Promise<void> {
    this.checkOpen()
    return this.toldLater(failpoint('store.sync', async () => this.wal.sync()))
  }

  drop(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): void {
    this.checkOpen()
    const { gte } = range
    const lt = beforeReserved(range.lt)
    if (Buffer.compare(gte, lt) >= 0) return
    this.told(() => {
      failpoint('store.drop', () => {
        rocksdb.db_clear(this.database, { gte, lt })
      })
    })
  }

  approximateBytes(): number {
    this.checkOpen()
    return this.property('live-sst-files-size') + this.property('cur-size-all-mem-tables')
  }

  measures(): StoreMeasures {
    if (this.closing !== undefined) return {}
    return Object.fromEntries(STORE_MEASURES.map((name) => [name, this.property(PROPERTIES[name])]))
  }

  private property(name: string): number {
    return Number(rocksdb.db_get_property(this.database, `rocksdb.${name}`))
  }

  async close(): Promise<void> {
    this.closing ??= this.closeAll()
    return this.closing
  }

  private async closeAll(): Promise<void> {
    for (const cursor of this.cursors) cursor.close()
    await this.reader.close()
    await this.wal.close()
    await this.toldLater(closeDatabase(this.database))
  }

  private checkOpen(): void {
    if (this.closing !== undefined) throw new TidemarkError('NODE_DRAINING', 'the store is closed')
  }

  /** Failures in the words of the catalogue. */
  private told<T>(action: () => T): T {
    try {
      return action()
    } catch (caught) {
      throw storeError(caught, this.directory)
    }
  }

  private async toldLater<T>(action: Promise<T>): Promise<T> {
    return action.catch((caught: unknown) => {
      throw storeError(caught, this.directory)
    })
  }
}

const beforeReserved = (lt: Uint8Array): Uint8Array => (isReserved(lt) ? RESERVED : lt)
