import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { rowKey } from '../core/keys.ts'
import { COPIES_GIVEN_MAX, COPY_IDLE_MS, COPY_STALL_MS, COPY_WINDOW_BYTES } from '../core/limits.ts'
import { Prng } from '../core/testing/prng.ts'
import { HandClock, PREFIX } from '../replica/replica.fake.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { systemClock, systemRandom } from '../system.ts'
import { decodeChunk } from './chunk.ts'
import { WANTED, chunksOf, randomRecords, reasonOf, replicaOf, sourceOf, streamOf } from './copies.fake.ts'
import { CopySessions } from './copy-sessions.ts'
import { installCopy } from './install.ts'
import { pace } from '../pace.ts'

/** A replica of some megabytes, as so many rows of 10 kB. */
async function largeStore(rows: number): Promise<Store> {
  const { store, replica } = await replicaOf(randomRecords(4, 50))
  await replica.close()
  const prng = new Prng(3)
  for (let at = 0; at < rows;) {
    const batch = store.batch()
    for (let end = Math.min(rows, at + 100); at < end; at++)
      batch.put(rowKey(PREFIX, Buffer.from(`row ${at}`)), Buffer.alloc(10_000, prng.bytes(16)))
    store.write(batch)
  }
  return store
}

async function taken(copy: AsyncGenerator<Uint8Array>, count: number): Promise<Buffer[]> {
  const chunks: Buffer[] = []
  while (chunks.length < count) {
    const next = await copy.next()
    if (next.done === true) break
    chunks.push(Buffer.from(next.value))
  }
  return chunks
}

describe('the copies that a node gives', () => {
  const clock = new HandClock()
  const opened: CopySessions[] = []
  const sessions = (bytesPerSecond = Infinity): CopySessions => {
    const made = new CopySessions({ clock, random: systemRandom, bytesPerSecond })
    opened.push(made)
    return made
  }
  afterEach(() => {
    for (const one of opened.splice(0)) one.close()
  })

  it('go on where the connection broke, with the same chunks', async () => {
    const store = await largeStore(300)
    const whole = chunksOf(sourceOf(store))
    const copies = sessions()
    const first = copies.begin(sourceOf(store))
    const head = await taken(first.chunks, 6)
    // Two of them were lost on the way; what was written since does not show.
    const batch = store.batch()
    batch.put(rowKey(PREFIX, Buffer.from('row 5x')), Buffer.from('new'))
    store.write(batch)
    const second = copies.resume({ session: first.session, from: 4 })
    const rest = await taken(second.chunks, Infinity)
    expect(Buffer.concat([...head.slice(0, 4), ...rest]).equals(Buffer.concat(whole))).to.equal(true)
    expect(await reasonOf(first.chunks.next())).to.equal('COPY_EXPIRED')
    // The trailer may have been lost as well.
    const third = copies.resume({ session: first.session, from: whole.length - 1 })
    expect((await taken(third.chunks, Infinity)).map((chunk) => decodeChunk(chunk).kind)).to.deep.equal([
      'trailer',
    ])
  })

  it('cannot go on before what is kept, past what was given, or under another name', async () => {
    const store = await largeStore(COPY_WINDOW_BYTES / 10_000 + 300)
    const copies = sessions()
    const { session, chunks } = copies.begin(sourceOf(store))
    const all = await taken(chunks, Infinity)
    const resume = (from: number, name = session): Promise<unknown> =>
      Promise.resolve().then(() => copies.resume({ session: name, from }))
    expect(await reasonOf(resume(0))).to.equal('COPY_EXPIRED')
    expect(await reasonOf(resume(all.length + 1))).to.equal('COPY_EXPIRED')
    expect(await reasonOf(resume(all.length - 1, 'other'))).to.equal('COPY_EXPIRED')
    expect(await reasonOf(resume(all.length - 10))).to.equal('nothing was refused')
  })

  it('end a while after nobody takes chunks, and free their snapshot', async () => {
    let cursors = 0
    const inner = await largeStore(100)
    const store: Store = {
      ...inner,
      cursor(range) {
        cursors += 1
        const cursor = inner.cursor(range)
        return { ...cursor, next: cursor.next, close: () => void (cursors -= 1) }
      },
    }
    const copies = sessions()
    const { session, chunks } = copies.begin(sourceOf(store))
    await taken(chunks, 2)
    // Somebody has it and is slow.
    clock.advance(COPY_STALL_MS - 20_000)
    await taken(chunks, 1)
    await chunks.return(undefined)
    clock.advance(COPY_IDLE_MS - 10_000)
    const again = copies.resume({ session, from: 3 })
    await taken(again.chunks, 1)
    clock.advance(COPY_STALL_MS - 20_000)
    expect([copies.open, cursors]).to.deep.equal([1, 1])
    await again.chunks.return(undefined)
    clock.advance(COPY_IDLE_MS + 1)
    expect([copies.open, cursors]).to.deep.equal([0, 0])
    expect(await reasonOf(Promise.resolve().then(() => copies.resume({ session, from: 2 })))).to.equal(
      'COPY_EXPIRED',
    )
  })

  it('are few; one that nobody reads makes room', async () => {
    const store = await largeStore(10)
    const copies = sessions()
    const given = Array.from({ length: COPIES_GIVEN_MAX }, () => copies.begin(sourceOf(store)))
    for (const { chunks } of given) await taken(chunks, 1)
    const begin = (): Promise<unknown> => Promise.resolve().then(() => copies.begin(sourceOf(store)))
    expect(await reasonOf(begin())).to.equal('OVERLOADED')
    const gone = must(given[2], 'a copy')
    await gone.chunks.return(undefined)
    expect(await reasonOf(begin())).to.equal('nothing was refused')
    expect(copies.open).to.equal(COPIES_GIVEN_MAX)
    expect(
      await reasonOf(Promise.resolve().then(() => copies.resume({ session: gone.session, from: 1 }))),
    ).to.equal('COPY_EXPIRED')
  })

  it('keep to their rate', async () => {
    const store = await largeStore(100)
    const bytes = Buffer.concat(chunksOf(sourceOf(store))).length
    const copies = new CopySessions({ clock: systemClock, random: systemRandom, bytesPerSecond: bytes * 5 })
    opened.push(copies)
    const began = performance.now()
    await installCopy({
      store: openMemoryStore(),
      wanted: WANTED,
      copy: copies.begin(sourceOf(store)).chunks,
    })
    const took = performance.now() - began
    expect(took).to.be.within(120, 2000)
  })
})

describe('pace', () => {
  it('waits as long as the bytes take, and not at all after a rest', async () => {
    let now = 0
    const slept: number[] = []
    const clock = {
      now: () => 0,
      elapsed: () => now,
      every: () => () => undefined,
      sleep: (ms: number) => Promise.resolve(void slept.push(ms)),
    }
    const wait = pace(1000, clock)
    await wait(100)
    expect(slept).to.deep.equal([100])
    now = 100
    await wait(500)
    expect(slept).to.deep.equal([100, 500])
    now = 10_000
    await wait(20)
    expect(slept).to.deep.equal([100, 500])
    await wait(1000)
    expect(slept).to.deep.equal([100, 500, 970])
    await pace(Infinity, clock)(1e12)
    expect(slept).to.have.lengthOf(3)
  })
})

describe('a stream of chunks', () => {
  it('is put together however it was cut', async () => {
    const { chunksFrom } = await import('./chunk-stream.ts')
    const chunks = chunksOf(sourceOf(await largeStore(30)))
    const bytes = Buffer.concat(chunks)
    for (const size of [1000, 4096, 65_536, bytes.length]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      )
      const found = await taken(chunksFrom(streamOf(pieces)), Infinity)
      expect(found.map(({ length }) => length)).to.deep.equal(chunks.map(({ length }) => length))
      expect(Buffer.concat(found).equals(bytes)).to.equal(true)
    }
    expect(await reasonOf(taken(chunksFrom(streamOf([bytes.subarray(0, -1)])), Infinity))).to.equal(
      'SNAPSHOT_CORRUPT',
    )
    expect(await reasonOf(taken(chunksFrom(streamOf([Buffer.alloc(100, 0xff)])), Infinity))).to.equal(
      'SNAPSHOT_CORRUPT',
    )
  })
})
