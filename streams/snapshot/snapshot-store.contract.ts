/** What every SnapshotStore does. */
import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { reasonOf, streamOf } from './copies.fake.ts'
import type { SnapshotStore } from './snapshot-store.ts'

export async function contentOf(store: SnapshotStore, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of store.get(name)) pieces.push(piece)
  return Buffer.concat(pieces)
}

export const namesOf = async (store: SnapshotStore, prefix = ''): Promise<readonly string[]> =>
  (await store.list(prefix)).map(({ name }) => name)

/** @param open - a store without objects, again and again */
export function snapshotStoreContract(open: () => Promise<SnapshotStore>): void {
  let store: SnapshotStore
  beforeEach(async () => {
    store = await open()
  })

  it('gives back what was put, of any size', async () => {
    const prng = new Prng(1)
    // About the bounds of parts and of pieces.
    for (const bytes of [
      0,
      1,
      1000,
      256 * 1024,
      5 * 2 ** 20 - 1,
      5 * 2 ** 20,
      5 * 2 ** 20 + 1,
      11 * 2 ** 20 + 17,
    ]) {
      const content = prng.bytes(Math.min(bytes, 4096))
      const pieces = []
      for (let left = bytes; left > 0; left -= content.length)
        pieces.push(content.subarray(0, Math.min(left, 4096)))
      await store.put(`a/${bytes}`, streamOf(pieces))
      expect((await contentOf(store, `a/${bytes}`)).equals(Buffer.concat(pieces)), `${bytes} bytes`).to.equal(
        true,
      )
      expect(await store.list(`a/${bytes}`)).to.deep.equal([{ name: `a/${bytes}`, size: bytes }])
    }
  })

  it('lists by name what begins with a prefix, and nothing before the first object', async () => {
    expect(await store.list('')).to.deep.equal([])
    for (const name of ['b/2', 'b/10', 'a', 'b-1', 'c/d/e.json'])
      await store.put(name, streamOf([Buffer.from(name)]))
    expect(await namesOf(store)).to.deep.equal(['a', 'b-1', 'b/10', 'b/2', 'c/d/e.json'])
    expect(await namesOf(store, 'b/')).to.deep.equal(['b/10', 'b/2'])
    expect(await namesOf(store, 'b')).to.deep.equal(['b-1', 'b/10', 'b/2'])
    expect(await namesOf(store, 'x/')).to.deep.equal([])
  })

  it('replaces what is put again, and forgets what is deleted', async () => {
    await store.put('x/1', streamOf([Buffer.from('one')]))
    await store.put('x/1', streamOf([Buffer.from('two')]))
    expect((await contentOf(store, 'x/1')).toString()).to.equal('two')
    await store.delete('x/1')
    await store.delete('x/1')
    expect(await store.list('')).to.deep.equal([])
    expect(await reasonOf(contentOf(store, 'x/1'))).to.equal('SNAPSHOT_NOT_FOUND')
  })

  it('shows nothing of an object whose content failed, and keeps what was there', async () => {
    await store.put('x/kept', streamOf([Buffer.from('kept')]))
    for (const bytes of [10, 6 * 2 ** 20])
      for (const name of ['x/kept', 'x/new']) {
        const failing = (async function* () {
          yield await Promise.resolve(Buffer.alloc(bytes))
          throw new Error('the source broke')
        })()
        expect(await reasonOf(store.put(name, failing))).to.equal('Error: the source broke')
      }
    expect(await namesOf(store)).to.deep.equal(['x/kept'])
    expect((await contentOf(store, 'x/kept')).toString()).to.equal('kept')
  })

  it('shows an object only when it is whole', async () => {
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    const putting = store.put(
      'x/slow',
      (async function* () {
        yield Buffer.alloc(6 * 2 ** 20, 'x')
        await held
        yield Buffer.from('end')
      })(),
    )
    expect(await store.list('')).to.deep.equal([])
    expect(await reasonOf(contentOf(store, 'x/slow'))).to.equal('SNAPSHOT_NOT_FOUND')
    release()
    await putting
    expect(await store.list('')).to.deep.equal([{ name: 'x/slow', size: 6 * 2 ** 20 + 3 }])
  })

  it('refuses names that could lead elsewhere', async () => {
    for (const name of ['', '/a', 'a/', '../a', 'a/../b', 'a//b', '.a', 'a b', 'ä', 'x'.repeat(1000)]) {
      expect(await reasonOf(store.put(name, streamOf([])))).to.equal('FIELD_INVALID')
      expect(await reasonOf(contentOf(store, name))).to.equal('FIELD_INVALID')
      expect(await reasonOf(store.delete(name))).to.equal('FIELD_INVALID')
    }
  })
}
