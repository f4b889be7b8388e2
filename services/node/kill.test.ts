import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { survivesKills } from './kill.fixture.ts'

describe('a node on the embedded log that is killed', () => {
  let directory: string
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'tidemark-kill-'))))
  afterEach(() => rm(directory, { recursive: true, force: true }))

  it('loses no acknowledged write and applies none twice', async function () {
    this.timeout(120_000)
    await survivesKills({ TIDEMARK_DATA_DIR: directory, TIDEMARK_PARTITIONS: '4' })
  })
})
