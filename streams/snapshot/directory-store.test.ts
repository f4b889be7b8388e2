import { existsSync } from 'node:fs'
import { chmod, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { SNAPSHOT_ORPHAN_MS } from '../core/limits.ts'
import { reasonOf, streamOf } from './copies.fake.ts'
import { openDirectoryStore } from './directory-store.ts'
import { namesOf, snapshotStoreContract } from './snapshot-store.contract.ts'
import { openSnapshotStore } from './snapshot-url.ts'

describe('snapshots in a directory', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'tidemark-snapshots-'))
  })
  afterEach(() => rm(root, { recursive: true, force: true }))

  snapshotStoreContract(async () => openDirectoryStore(join(root, 'made', 'when-needed')))

  it('does not take a file that was never finished for an object', async () => {
    const store = openDirectoryStore(root)
    await writeFile(join(root, '.manifest.json.0011.partial'), 'half')
    expect(await namesOf(store)).to.deep.equal([])
    // Another process may be writing it; a day later nobody is.
    await store.put('a', streamOf([]))
    expect(await readdir(root)).to.have.lengthOf(2)
    const old = new Date(Date.now() - SNAPSHOT_ORPHAN_MS - 1000)
    await utimes(join(root, '.manifest.json.0011.partial'), old, old)
    await openDirectoryStore(root).put('a', streamOf([]))
    expect(await readdir(root)).to.deep.equal(['a'])
  })

  it('leaves no empty folder and no half file behind', async () => {
    const store = openDirectoryStore(root)
    await store.put('a/b/c', streamOf([Buffer.from('x')]))
    await store.put('a/d', streamOf([Buffer.from('x')]))
    await store.delete('a/b/c')
    expect(existsSync(join(root, 'a', 'b'))).to.equal(false)
    await store.delete('a/d')
    expect(await readdir(root)).to.deep.equal([])
  })

  it('says what the place says', async function () {
    if (process.getuid?.() === 0) {
      await writeFile(join(root, 'file'), 'x')
      expect(await reasonOf(openDirectoryStore(join(root, 'file')).put('a', streamOf([])))).to.equal(
        'SNAPSHOT_STORE_UNAVAILABLE',
      )
      return
    }
    await chmod(root, 0o500)
    expect(await reasonOf(openDirectoryStore(root).put('a', streamOf([])))).to.equal(
      'SNAPSHOT_STORE_UNAVAILABLE',
    )
  })

  it('is found by its URL; other URLs are refused', async () => {
    const store = await openSnapshotStore({ url: `file://${root}` })
    await store.put('a', streamOf([Buffer.from('x')]))
    expect(await readdir(root)).to.deep.equal(['a'])
    for (const url of ['', root, 'http://x/y', 's3://', 'file://host/path'])
      expect(await reasonOf(openSnapshotStore({ url })), url).to.equal('CONFIG_INVALID')
  })
})
