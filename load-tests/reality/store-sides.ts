/** The two stores that are compared: one on a simulated disk, and RocksDB in a folder. */
import { readdirSync, statSync } from 'node:fs'
import { cp, mkdtemp, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { must } from '../../streams/core/assert.ts'
import type { Prng } from '../../streams/core/testing/prng.ts'
import { SimulatedDisk } from '../../streams/sim/disk.ts'
import { newLife, type Life } from '../../streams/sim/world.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import type { Batch, Store } from '../../streams/store/store.ts'
import type { StoreSide } from './store-trace.ts'

const SMALL = { memtableBytes: 1 << 20, cacheBytes: 1 << 20 }

export function simulatedStoreSide(): StoreSide {
  const disk = new SimulatedDisk()
  let life: Life = newLife('n1#0')
  let store = disk.open(life)
  const next = (): void => {
    life.alive = false
    life = newLife('n1')
    store = disk.open(life)
  }
  return {
    get store() {
      return store
    },
    async reopen() {
      await store.close()
      next()
    },
    kill: async () => {
      next()
      return Promise.resolve()
    },
    losePower: async (left) => {
      const newest = (): number => {
        const [mark] = disk.open(newLife('look')).getMany([Buffer.from('mark')])
        return mark === undefined ? 0 : Buffer.from(mark).readUInt32BE()
      }
      life.alive = false
      // One batch after the other, as long as the disk may lose one, until the same is left.
      while (left !== undefined && newest() > left && disk.loseLast());
      next()
      return Promise.resolve()
    },
  }
}

/** @param random - how much is lost with the power */
export async function rocksStoreSide(random: Prng): Promise<StoreSide & { close(): Promise<void> }> {
  const root = await mkdtemp(join(tmpdir(), 'tidemark-reality-'))
  let lives = 0
  let folder = join(root, '0')
  let store: Store = await openStore(folder, SMALL)
  /** The write-ahead log that is written to. */
  const newestLog = (): { readonly file: string; readonly bytes: number } => {
    const files = readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .sort()
    const file = must(files.at(-1), 'a write-ahead log')
    return { file, bytes: statSync(join(folder, file)).size }
  }

  /** What was synced last: of this file so many bytes. */
  let synced = newestLog()

  /** What stands in the folder is all that is left; who had it open is gone. */
  const onACopy = async (change: (copy: string) => Promise<void>): Promise<void> => {
    const copy = join(root, String(++lives))
    // What RocksDB tidies up by itself meanwhile must not be half in it.
    for (let before = ''; before !== listing(folder);) {
      before = listing(folder)
      await rm(copy, { recursive: true, force: true })
      await cp(folder, copy, { recursive: true, filter: (path) => !path.endsWith('LOCK') }).catch(
        () => (before = ''),
      )
    }
    await store.close()
    await rm(folder, { recursive: true })
    folder = copy
    await change(copy)
    store = await openStore(folder, SMALL)
    synced = newestLog()
  }

  return {
    get store() {
      return {
        ...bound(store),
        write(batch: Batch, options?: { readonly sync?: boolean }) {
          store.write(batch, options)
          if (options?.sync === true) synced = newestLog()
        },
      }
    },
    async reopen() {
      await store.close()
      store = await openStore(folder, SMALL)
      synced = newestLog()
    },
    kill: () => onACopy(async () => Promise.resolve()),
    async losePower() {
      const now = newestLog()
      const from = synced.file === now.file ? synced.bytes : now.bytes
      await onACopy(async (copy) => {
        const kept = from + random.below(now.bytes - from + 1)
        await truncate(join(copy, now.file), kept)
      })
    },
    async close() {
      await store.close()
      await rm(root, { recursive: true, force: true })
    },
  }
}

const listing = (folder: string): string =>
  readdirSync(folder)
    .map((name) => {
      const found = statSync(join(folder, name), { throwIfNoEntry: false })
      return `${name} ${found?.size} ${found?.mtimeMs}`
    })
    .join()

/** Its methods, by themselves. */
const bound = (store: Store): Store => ({
  getMany: (keys) => store.getMany(keys),
  getManyAsync: (keys) => store.getManyAsync(keys),
  cursor: (range) => store.cursor(range),
  batch: () => store.batch(),
  write: (batch, options) => {
    store.write(batch, options)
  },
  drop: (range) => {
    store.drop(range)
  },
  approximateBytes: () => store.approximateBytes(),
  measures: () => store.measures(),
  close: () => store.close(),
})
