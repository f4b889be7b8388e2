import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { codeOf, makeDirectory } from './directory.ts'

describe('a folder', () => {
  let folder: string
  beforeEach(async () => (folder = await mkdtemp(join(tmpdir(), 'tidemark-directory-'))))
  afterEach(async () => rm(folder, { recursive: true }))

  const failure = async (path: string): Promise<string> =>
    makeDirectory(path).then(
      () => 'made',
      (caught: unknown) => codeOf(caught),
    )

  it('is made with those above it, and left as it is where it stands', async () => {
    const path = join(folder, 'a', 'b', 'c')
    await makeDirectory(path)
    await writeFile(join(path, 'file'), '')
    await makeDirectory(path)
    expect((await stat(join(path, 'file'))).isFile()).to.equal(true)
  })

  it('is made once by those who make it together', async () => {
    const path = join(folder, 'a', 'b', 'c')
    await Promise.all(Array.from({ length: 8 }, () => makeDirectory(path)))
    expect((await stat(path)).isDirectory()).to.equal(true)
  })

  it('may be a link to one', async () => {
    await mkdir(join(folder, 'real'))
    await symlink(join(folder, 'real'), join(folder, 'link'))
    await makeDirectory(join(folder, 'link', 'below'))
    expect((await stat(join(folder, 'real', 'below'))).isDirectory()).to.equal(true)
  })

  it('is refused where a file, or a link to nothing, stands in its way', async () => {
    await writeFile(join(folder, 'file'), '')
    await symlink(join(folder, 'nothing'), join(folder, 'link'))
    expect(await failure(join(folder, 'file'))).to.equal('EEXIST')
    expect(await failure(join(folder, 'file', 'below'))).to.equal('ENOTDIR')
    expect(await failure(join(folder, 'link'))).to.equal('EEXIST')
  })

  it('is refused at once on a file system that takes none', async function () {
    if (!existsSync('/proc/self')) this.skip()
    expect(await failure('/proc/tidemark/data')).to.equal('ENOENT')
  })
})
