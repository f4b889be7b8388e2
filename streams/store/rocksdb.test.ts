import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'chai'
import { TidemarkError, type Reason } from '../core/errors.ts'
import { openStore, type SyncableStore } from './rocksdb.ts'
import { NEWEST, rowKey, rowsOfBatch, valueOf } from './rocksdb.test.child.ts'
import { storeContract } from './store.contract.ts'
import type { Store } from './store.ts'

const SMALL = { memtableBytes: 1 << 20, cacheBytes: 1 << 20 }
const CHILD = join(import.meta.dirname, 'rocksdb.test.child.js')

async function reasonOf(promise: Promise<unknown>): Promise<Reason | 'no error'> {
  try {
    await promise
  } catch (caught) {
    if (caught instanceof TidemarkError) return caught.reason
    throw caught
  }
  return 'no error'
}

function writeBatch(store: Store, n: number): void {
  const batch = store.batch()
  for (let row = 0; row < rowsOfBatch(n); row += 1) batch.put(rowKey(n, row), valueOf(n))
  batch.put(NEWEST, Buffer.from(String(n)))
  store.write(batch)
}

/** Reads everything; fails unless it is batches 0 to some n, whole. @returns n */
function expectPrefix(store: Store): number {
  const [newest] = store.getMany([NEWEST])
  const last = newest === undefined ? -1 : Number(Buffer.from(newest).toString())
  const cursor = store.cursor({ gte: Buffer.from('row-'), lt: Buffer.from('row.') })
  let batch = 0
  let row = 0
  for (;;) {
    const entries = cursor.next(1000)
    if (entries.length === 0) break
    for (const entry of entries) {
      if (Buffer.compare(entry.key, rowKey(batch, row)) !== 0)
        expect.fail(`${Buffer.from(entry.key).toString()} stands where batch ${batch} row ${row} belongs`)
      if (Buffer.compare(entry.value, valueOf(batch)) !== 0) expect.fail(`batch ${batch} has a wrong value`)
      row += 1
      if (row === rowsOfBatch(batch)) {
        batch += 1
        row = 0
      }
    }
  }
  cursor.close()
  expect(row, 'rows of a batch that is not whole').to.equal(0)
  expect(batch, 'whole batches').to.equal(last + 1)
  return last
}

describe('RocksDB store', () => {
  let root: string
  let directories = 0

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-store-'))
  })

  after(async () => {
    await rm(root, { recursive: true, force: true })
  })

  const newDirectory = (): string => {
    directories += 1
    return join(root, `store-${directories}`)
  }

  storeContract('rocksdb', {
    open: async () => openStore(newDirectory()),
    reopen: async (store) => {
      await store.close()
      return openStore(join(root, `store-${directories}`))
    },
  })

  describe('opening', () => {
    it('is refused with STORE_LOCKED while this process has the directory open', async () => {
      const directory = newDirectory()
      const store = await openStore(directory)
      expect(await reasonOf(openStore(directory))).to.equal('STORE_LOCKED')
      await store.close()
      await (await openStore(directory)).close()
    })

    it('is refused with STORE_LOCKED while another process has it open', async () => {
      const directory = newDirectory()
      const child = fork(CHILD, ['write', directory, '0'])
      await once(child, 'message')
      expect(await reasonOf(openStore(directory))).to.equal('STORE_LOCKED')
      await kill(child)
      await (await openStore(directory)).close()
    })

    it('is refused with STORE_UNWRITABLE where a file stands in the way', async () => {
      const file = newDirectory()
      await writeFile(file, '')
      expect(await reasonOf(openStore(file))).to.equal('STORE_UNWRITABLE')
      expect(await reasonOf(openStore(join(file, 'below')))).to.equal('STORE_UNWRITABLE')
    })

    it('is refused with STORE_UNWRITABLE on a file system that is read-only', async function () {
      const mounted = mountTmpfs(this, newDirectory(), '8m')
      try {
        await (await openStore(join(mounted, 'store'), SMALL)).close()
        expect(run('mount', '-o', 'remount,ro', mounted)).to.equal(true)
        expect(await reasonOf(openStore(join(mounted, 'store'), SMALL))).to.equal('STORE_UNWRITABLE')
      } finally {
        run('umount', mounted)
      }
    })

    it('takes a directory that a process left in the first moment of a new store', async () => {
      const directory = newDirectory()
      await mkdir(directory)
      await writeFile(join(directory, 'MANIFEST-000001'), '')
      await (await openStore(directory)).close()
    })
  })

  describe('on a full disk', () => {
    it('refuses writes with DISK_FULL, writes nothing of them, reads on, and resumes when there is room', async function () {
      this.timeout(120_000)
      const mounted = mountTmpfs(this, newDirectory(), '24m')
      const ballast = join(mounted, 'ballast')
      let store: SyncableStore | undefined
      try {
        store = await openStore(join(mounted, 'store'), SMALL)
        await writeFile(ballast, Buffer.alloc(12 << 20))
        const value = Uint8Array.from({ length: 100_000 }, () => Math.floor(Math.random() * 256))
        const put = (n: number): void => {
          const batch = store?.batch()
          batch?.put(rowKey(n, 0), value)
          batch?.put(NEWEST, Buffer.from(String(n)))
          if (batch !== undefined) store?.write(batch)
        }
        const attempt = async (n: number): Promise<Reason | 'no error'> =>
          reasonOf(
            Promise.resolve().then(() => {
              put(n)
            }),
          )
        let count = 0
        let reason: string
        while ((reason = await attempt(count)) === 'no error') count += 1
        expect(reason).to.equal('DISK_FULL')
        expect(count).to.be.at.least(10)
        const read = (): unknown => {
          const [newest, last, refused] =
            store?.getMany([NEWEST, rowKey(count - 1, 0), rowKey(count, 0)]) ?? []
          return [Number(Buffer.from(newest ?? []).toString()), last?.length, refused]
        }
        expect(read()).to.deep.equal([count - 1, value.length, undefined])
        expect(await attempt(count)).to.equal('DISK_FULL')

        await rm(ballast)
        while ((reason = await attempt(count)) === 'DISK_FULL')
          await new Promise((resolve) => setTimeout(resolve, 50))
        expect(reason).to.equal('no error')
        count += 1
        expect(read()).to.deep.equal([count - 1, value.length, undefined])
        await store.close()
        store = await openStore(join(mounted, 'store'), SMALL)
        expect(read()).to.deep.equal([count - 1, value.length, undefined])
      } finally {
        await store?.close()
        run('umount', mounted)
      }
    })

    it('cannot be opened, and is whole when there is room again', async function () {
      const mounted = mountTmpfs(this, newDirectory(), '8m')
      const directory = join(mounted, 'store')
      try {
        const store = await openStore(directory, SMALL)
        for (let n = 1; n < 40; n += 1) writeBatch(store, n)
        await store.close()
        for (;;)
          try {
            appendFileSync(join(mounted, 'ballast'), Buffer.alloc(4096))
          } catch {
            break
          }
        expect(await reasonOf(openStore(directory, SMALL))).to.equal('DISK_FULL')
        await rm(join(mounted, 'ballast'))
        const again = await openStore(directory, SMALL)
        expect(Buffer.from(again.getMany([NEWEST])[0] ?? []).toString()).to.equal('39')
        await again.close()
      } finally {
        run('umount', mounted)
      }
    })
  })

  describe('damaged files', () => {
    /** A store with table files and two files of the write-ahead log that both count, as a killed process would leave it. */
    let intact: string
    let names: readonly string[]
    let newest = -1

    before(async () => {
      intact = newDirectory()
      const source = newDirectory()
      const count = (pattern: RegExp): number => names.filter((name) => pattern.test(name)).length
      for (let starts = 0; starts < 4; starts += 1) {
        const store = await openStore(source, SMALL)
        for (let n = 0; n < 60; n += 1) writeBatch(store, (newest += 1))
        if (starts === 3) {
          // One memory table that is full, and one that is being filled: RocksDB flushes two at a time. A flush or a compaction
          // that is still at work moves files: then it is written and copied again.
          do {
            do {
              writeBatch(store, (newest += 1))
              names = await readdir(source)
            } while (count(/\.log$/) < 2)
            await rm(intact, { recursive: true, force: true })
            await cp(source, intact, { recursive: true }).catch(() => {})
            names = await readdir(intact)
          } while (count(/\.log$/) !== 2 || !isDeepStrictEqual(names, await readdir(source)))
        }
        await store.close()
      }
      expect(count(/\.sst$/), 'table files').to.be.at.least(1)
    })

    /** Opens and reads a damaged copy: what is there must be right, or the damage must be told. */
    async function outcome(damage: (directory: string) => Promise<unknown>): Promise<string> {
      const directory = newDirectory()
      await cp(intact, directory, { recursive: true })
      await damage(directory)
      let store: Store | undefined
      try {
        store = await openStore(directory, SMALL)
        const last = expectPrefix(store)
        return last === newest ? 'whole' : 'a prefix'
      } catch (caught) {
        if (caught instanceof TidemarkError) return caught.reason
        throw caught
      } finally {
        await store?.close()
        await rm(directory, { recursive: true })
      }
    }

    const first = (pattern: RegExp): string => {
      const name = [...names].sort().find((one) => pattern.test(one))
      if (name === undefined) throw new Error(`no file ${String(pattern)}`)
      return name
    }

    it('are found where a file is missing', async () => {
      expect(await outcome(async () => Promise.resolve())).to.equal('whole')
      for (const pattern of [/\.sst$/, /^MANIFEST/, /^CURRENT$/, /\.log$/])
        expect(
          await outcome(async (directory) => rm(join(directory, first(pattern)))),
          String(pattern),
        ).to.equal('STORE_CORRUPT')
    })

    it('are found where a file is empty or cut in half', async () => {
      for (const pattern of [/\.sst$/, /^CURRENT$/, /\.log$/])
        for (const part of [0, 0.5]) {
          const found = await outcome(async (directory) => {
            const file = join(directory, first(pattern))
            await truncate(file, Math.floor((await stat(file)).size * part))
          })
          // A file of the write-ahead log that ends inside a record ends the past there: the files after it are left out.
          expect(found, `${String(pattern)} ${part}`).to.be.oneOf(
            pattern.source.includes('log') ? ['STORE_CORRUPT', 'a prefix'] : ['STORE_CORRUPT'],
          )
        }
    })

    it('are found by reads of single keys too, in this thread and in the other', async () => {
      const directory = newDirectory()
      await cp(intact, directory, { recursive: true })
      const file = join(directory, first(/\.sst$/))
      const content = await readFile(file)
      // In the first blocks, which hold rows: what stands behind them is read when the store is opened.
      content[1000] = (content[1000] ?? 0) ^ 16
      await writeFile(file, content)
      const store = await openStore(directory, SMALL)
      const seen = new Set<string>()
      for (let n = 0; n <= newest; n += 1) {
        const keys = Array.from({ length: rowsOfBatch(n) }, (_, row) => rowKey(n, row))
        const reads = [store.getManyAsync(keys), Promise.resolve().then(() => store.getMany(keys))]
        const outcomes = await Promise.all(
          reads.map(async (read) =>
            read.then(
              (values) =>
                values.every((value) => value !== undefined && Buffer.compare(value, valueOf(n)) === 0),
              (caught: unknown) => TidemarkError.from(caught).reason,
            ),
          ),
        )
        expect(outcomes[0]).to.equal(outcomes[1])
        seen.add(String(outcomes[0]))
      }
      await store.close()
      expect(seen).to.deep.equal(new Set(['STORE_CORRUPT', 'true']))
    })

    it('never give a wrong value, whichever bit is flipped and wherever a file is cut', async function () {
      this.timeout(60_000)
      let seed = 7
      const random = (below: number): number => {
        seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
        return Math.floor((seed / 0x8000_0000) * below)
      }
      const files = names.filter((name) => !/^(LOCK|IDENTITY|OPTIONS-.*)$/.test(name)).sort()
      const seen = new Map<string, number>()
      for (let round = 0; round < 30; round += 1) {
        const name = files[random(files.length)] ?? ''
        const flip = random(3) > 0
        const found = await outcome(async (directory) => {
          const content = await readFile(join(directory, name))
          const at = random(content.length)
          if (flip) content[at] = (content[at] ?? 0) ^ (1 << random(8))
          await writeFile(join(directory, name), flip ? content : content.subarray(0, at))
        })
        expect(found, `${name}, round ${round}`).to.be.oneOf(['STORE_CORRUPT', 'a prefix', 'whole'])
        seen.set(found, (seen.get(found) ?? 0) + 1)
      }
      expect(seen.get('STORE_CORRUPT'), 'damages found').to.be.at.least(10)
    })
  })

  describe('killed with SIGKILL while it writes', () => {
    it('holds a prefix of the batches, each of them whole, time after time', async function () {
      this.timeout(60_000)
      let directory = ''
      let next = 0
      let batches = 0
      // A slow machine writes less between two kills.
      for (let round = 0; round < 12 || batches < 1000; round += 1) {
        if (round % 3 === 0) {
          directory = newDirectory()
          next = 0
        }
        const child = fork(CHILD, ['write', directory, String(next)])
        await once(child, 'message')
        await new Promise((resolve) => setTimeout(resolve, (round * 37) % 100))
        await kill(child)
        const store = await openStore(directory, SMALL)
        const last = expectPrefix(store)
        expect(last).to.be.at.least(next - 1)
        batches += last + 1 - next
        next = last + 1
        await store.close()
      }
    })
  })

  describe('sync', () => {
    it('resolves over changes of the log file, and is refused after close', async () => {
      const store = await openStore(newDirectory(), { memtableBytes: 1 << 18, cacheBytes: 1 << 20 })
      for (let n = 0; n < 400; n += 1) {
        writeBatch(store, n)
        if (n % 10 === 0) await Promise.all([store.sync(), store.sync()])
      }
      await store.sync()
      expect(expectPrefix(store)).to.equal(399)
      const last = store.sync()
      await store.close()
      expect(await reasonOf(last)).to.equal('no error')
      expect(await reasonOf(store.sync())).to.equal('NODE_DRAINING')
    })
  })
})

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

const run = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args).status === 0

/** A small file system of its own; skips the test, loudly, where none can be made. */
function mountTmpfs(context: Mocha.Context, directory: string, size: string): string {
  if (!run('mkdir', directory) || !run('mount', '-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory)) {
    console.warn(
      `SKIPPED for want of the right to mount a tmpfs (root on Linux): ${context.test?.title ?? ''}`,
    )
    context.skip()
  }
  return directory
}
