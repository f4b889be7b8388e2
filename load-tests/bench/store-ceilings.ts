/** What RocksDB and the disk give without anything around them. */
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { measure } from '../../services/cli/measure.ts'
import { source } from '../../services/cli/workload.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import type { Figures } from './figures.ts'
import type { Settings } from './settings.ts'

export const BATCH_ROWS = 1000
export const GET_KEYS = 256
/** As large as the packs that the embedded log appends. */
const SYNC_BYTES = 128 * 1024

export async function storeCeilings(figures: Figures, { keys, valueBytes, ms }: Settings): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'))
  try {
    const store = await openRaw(join(folder, 'store'), { keys, valueBytes })
    const plan = { ms: Infinity, loops: 1, weight: BATCH_ROWS, calls: Math.ceil(keys / BATCH_ROWS) }
    figures.rate('RocksDB put', await measure({ ...plan, name: 'put' }, store.putBatch))
    const gets = { name: 'get', ms, loops: 1, weight: GET_KEYS }
    figures.rate('RocksDB getMany', await measure(gets, store.getMany))
    await store.close()

    const file = await open(join(folder, 'sync'), 'w')
    const bytes = Buffer.alloc(SYNC_BYTES, 1)
    const sync = async (): Promise<void> => {
      await file.write(bytes)
      await file.datasync()
    }
    figures.rate(
      'disk append of 128 KiB, synced',
      await measure({ name: 'sync', ms: ms / 2, loops: 1 }, sync),
    )
    await file.close()
  } finally {
    await rm(folder, { recursive: true })
  }
}

export interface RawStore {
  /** Writes BATCH_ROWS rows in one batch. */
  putBatch(): Promise<void>
  /** Reads GET_KEYS rows. */
  getMany(): Promise<void>
  close(): Promise<void>
}

export async function openRaw(
  folder: string,
  rows: { readonly keys: number; readonly valueBytes: number },
): Promise<RawStore> {
  const store = await openStore(folder)
  const next = source(rows)
  return {
    async putBatch() {
      const batch = store.batch()
      for (let row = 0; row < BATCH_ROWS; row += 1) batch.put(Buffer.from(next.key()), next.value())
      store.write(batch)
    },
    async getMany() {
      store.getMany(next.keys(GET_KEYS).map((key) => Buffer.from(key)))
    },
    close: () => store.close(),
  }
}
