import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { WalSync } from './wal-sync.ts'

describe('sync of the write-ahead log', () => {
  let directory: string

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tidemark-sync-'))
  })

  afterEach(async () => {
    await rm(directory, { recursive: true, force: true })
  })

  it('follows the log from file to file, and stands files that go away', async () => {
    let generation = 1
    const wal = new WalSync(directory, () => String(generation))
    await wal.sync()
    for (let n = 1; n < 10; n += 1) {
      await writeFile(join(directory, `00000${n}.log`), 'x')
      if (n > 3) await rm(join(directory, `00000${n - 3}.log`))
      generation += 1
      await Promise.all([wal.sync(), appendFile(join(directory, `00000${n}.log`), 'y'), wal.sync()])
    }
    await wal.close()
  })

  it('fails for ever once it failed: nobody knows what is on disk', async () => {
    let generation = 1
    const wal = new WalSync(directory, () => String(generation))
    await writeFile(join(directory, '000001.log'), 'x')
    await wal.sync()
    await rm(directory, { recursive: true })
    generation += 1
    const failure = await wal.sync().catch((caught: unknown) => caught)
    expect(failure).to.have.property('code', 'ENOENT')
    await writeFile(directory, '')
    generation += 1
    expect(await wal.sync().catch((caught: unknown) => caught)).to.equal(failure)
    await wal.close()
  })
})
