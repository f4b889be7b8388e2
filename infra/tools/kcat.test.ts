import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { findKcat } from './kcat.ts'

describe('findKcat', () => {
  const { PATH, CI } = process.env
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tidemark-path-'))
    process.env['PATH'] = folder
    delete process.env['CI']
  })
  afterEach(async () => {
    process.env['PATH'] = PATH
    if (CI !== undefined) process.env['CI'] = CI
    await rm(folder, { recursive: true })
  })

  it('finds kcat, and kafkacat as Debian once called it', async () => {
    await writeFile(join(folder, 'kafkacat'), '')
    expect(await findKcat(), 'not executable').to.equal(undefined)
    await chmod(join(folder, 'kafkacat'), 0o755)
    expect(await findKcat()).to.equal(join(folder, 'kafkacat'))
    await writeFile(join(folder, 'kcat'), '', { mode: 0o755 })
    expect(await findKcat()).to.equal(join(folder, 'kcat'))
  })

  it('reports it missing where nothing may be installed', async () => {
    expect(await findKcat()).to.equal(undefined)
  })
})
