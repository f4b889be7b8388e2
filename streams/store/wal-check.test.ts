import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { openStore } from './rocksdb.ts'
import { damageInside } from './wal-check.ts'

describe('check of the write-ahead log', () => {
  /** What RocksDB wrote: batches of one block and of several. */
  let file: Uint8Array

  before(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tidemark-wal-'))
    const store = await openStore(directory)
    for (let n = 0; n < 300; n += 1) {
      const batch = store.batch()
      const value = Buffer.alloc(n % 20 === 0 ? 70_000 : 200, `value ${n} `)
      batch.put(Buffer.from(`key-${n}`), value)
      store.write(batch)
    }
    const name = (await readdir(directory)).find((one) => one.endsWith('.log')) ?? ''
    file = await readFile(join(directory, name))
    await store.close()
    await rm(directory, { recursive: true })
    expect(file.length).to.be.at.least(1_000_000)
  })

  it('finds nothing in a whole file, nor in one that ends anywhere', () => {
    expect(damageInside(file)).to.equal(undefined)
    expect(damageInside(new Uint8Array(0))).to.equal(undefined)
    for (let length = file.length - 1; length > 0; length -= 7_919)
      expect(damageInside(file.subarray(0, length)), `cut at ${length}`).to.equal(undefined)
  })

  it('finds nothing where the last batch is torn in any of its blocks', () => {
    // The last batch of several blocks is number 280: leave out what follows it.
    const behind = Buffer.from(file).indexOf('key-281') - 30
    const whole = file.subarray(0, behind)
    expect(damageInside(whole)).to.equal(undefined)
    for (let back = 1_000; back < 70_000; back += 4_999) {
      const torn = Uint8Array.from(whole)
      torn.fill(0, torn.length - back, torn.length - back + 900)
      expect(damageInside(torn), `torn ${back} before the end`).to.equal(undefined)
    }
  })

  it('finds each flipped bit that has a whole batch behind it', () => {
    for (let at = 0; at < file.length - 100_000; at += 9_973) {
      const damaged = Uint8Array.from(file)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at & 7))
      expect(damageInside(damaged), `bit of byte ${at}`).to.be.at.most(at)
    }
  })
})
