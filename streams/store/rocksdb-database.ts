/**
 * Opens and closes the RocksDB database of a directory, with the checks that RocksDB leaves out.
 *
 * Options that are not RocksDB's defaults, by the medians of interleaved runs with rows of 115 bytes: `point-lookup` (hash
 * index in blocks, ribbon filter, filter in the memory table) makes reads of hot keys 1.5 times as fast; compression of the
 * write-ahead log off makes batches of one row 3 times as fast, and changes nothing for synced ones. Level compaction, because
 * the largest merge of the universal one needs room on disk for a second copy of the data; it wrote 6 % slower.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { failpoint } from '../failpoint.ts'
import { MARK_KEYS, Marks, newestMark } from './continuity.ts'
import { rocksdb, type DatabaseHandle } from './rocksdb-binding.ts'
import { refuse } from './rocksdb-errors.ts'
import { damageInside } from './wal-check.ts'

export interface StoreOptions {
  /** Bytes of memory tables. */
  readonly memtableBytes: number
  /** Bytes of the block cache. */
  readonly cacheBytes: number
  /**
   * Every write is synced before the next one begins. Then a write-ahead log that is damaged before its end is refused;
   * otherwise the store opens as it was before the damage.
   */
  readonly synced?: boolean
}

export interface Database {
  readonly handle: DatabaseHandle
  readonly marks: Marks
}

/** The directory exists. Throws what RocksDB threw, or STORE_CORRUPT. */
export async function openDatabase(directory: string, options: StoreOptions): Promise<Database> {
  await checkFiles(directory, options)
  const handle = rocksdb.db_init(directory)
  const settings = {
    createIfMissing: true,
    compaction: 'level',
    memtableMemoryBudget: options.memtableBytes,
    cacheSize: options.cacheBytes,
    optimize: 'point-lookup',
    walCompression: false,
    compression: true,
    parallelism: 2,
  } as const
  await failpoint('store.open', async () =>
    called((done) => {
      rocksdb.db_open(handle, settings, done)
    }),
  )
  try {
    return { handle, marks: readMarks(directory, handle, options) }
  } catch (caught) {
    await closeDatabase(handle)
    throw caught
  }
}

export async function closeDatabase(handle: DatabaseHandle): Promise<void> {
  return failpoint('store.close', async () =>
    called((done) => {
      rocksdb.db_close(handle, done)
    }),
  )
}

async function called(begin: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    begin((error) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
}

async function checkFiles(directory: string, options: StoreOptions): Promise<void> {
  const names = await readdir(directory)
  if (options.synced === true)
    for (const name of names.filter((one) => one.endsWith('.log'))) {
      const damage = damageInside(await readFile(join(directory, name)))
      if (damage !== undefined)
        throw refuse('STORE_CORRUPT', directory, `${name} is damaged at byte ${damage}`)
    }
  // RocksDB would take a directory that lost its file CURRENT for a new one, and delete what it finds there.
  if (names.includes('CURRENT')) return
  // A MANIFEST alone is what an end of the process in the first moment of a new store leaves.
  const orphan = names.find((name) => /\.(sst|log)$/.test(name))
  if (orphan !== undefined)
    throw refuse('STORE_CORRUPT', directory, `it holds ${orphan}, but the file CURRENT is missing`)
}

function readMarks(directory: string, handle: DatabaseHandle, options: StoreOptions): Marks {
  const newest = newestMark(rocksdb.db_get_many_sync(handle, MARK_KEYS, undefined))
  if (newest !== undefined) return new Marks(newest, options.memtableBytes)
  throw refuse('STORE_CORRUPT', directory, 'a file of the write-ahead log or a part of MANIFEST is missing')
}
