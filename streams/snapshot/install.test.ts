import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { rowKey } from '../core/keys.ts'
import { COPY_CHUNK_BYTES, COPY_PART_BYTES } from '../core/limits.ts'
import { Prng } from '../core/testing/prng.ts'
import type { Offset, Partition } from '../core/types.ts'
import { TidemarkError } from '../core/errors.ts'
import { knownPrefix, prefixOf, sweepBuilds } from '../replica/catalogue.ts'
import { PREFIX } from '../replica/replica.fake.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { decodeChunk, encodeChunk, encodeHeader } from './chunk.ts'
import {
  TOPIC,
  WANTED,
  chunksOf,
  dump,
  dumpAll,
  goOn,
  randomRecords,
  reasonOf,
  replicaOf,
  sourceOf,
  stateIn,
  streamOf,
} from './copies.fake.ts'
import { openCopy } from './copy-source.ts'
import { installCopy } from './install.ts'
import type { WantedReplica } from './install.ts'

const PARTITION = 0 as Partition

const install = (store: Store, chunks: Iterable<Uint8Array>, wanted: WantedReplica = WANTED) =>
  installCopy({ store, wanted, copy: streamOf(chunks) })

describe('a copy of a replica', () => {
  it('is the replica at its offset, and goes on as the replica does', async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const records = randomRecords(seed)
      const cut = 1 + ((seed * 37) % (records.length - 1))
      const { store, replica } = await replicaOf(records.slice(0, cut))
      const target = openMemoryStore()
      const { header, entries } = await install(target, chunksOf(sourceOf(store)))
      const prefix = must(knownPrefix(target, TOPIC, PARTITION), 'the prefix')
      expect(header.next, `seed ${seed}`).to.equal(replica.state.next)
      expect(dump(target, prefix)).to.deep.equal(dump(store))
      expect(entries).to.equal(dump(store).length)
      expect(stateIn(target, prefix)).to.deep.equal(replica.state)
      const whole = await replicaOf(records)
      const after = await goOn(target, prefix, records)
      expect(Buffer.from(after.chain).toString('hex'), `seed ${seed}`).to.equal(
        Buffer.from(whole.replica.state.chain).toString('hex'),
      )
      await replica.close()
      await whole.replica.close()
    }
  })

  it('is of one offset, however much is written while it is read', async () => {
    const records = randomRecords(3, 300)
    const rig = await replicaOf(records.slice(0, 200))
    const before = dump(rig.store)
    const writer = openCopy(sourceOf(rig.store))
    const chunks = [must(writer.next(), 'the header')]
    rig.script.append(records.slice(200))
    await rig.caughtUp()
    for (let chunk = writer.next(); chunk !== undefined; chunk = writer.next()) chunks.push(chunk)
    const target = openMemoryStore()
    await install(target, chunks)
    expect(dump(target, must(knownPrefix(target, TOPIC, PARTITION), 'the prefix'))).to.deep.equal(before)
    expect(dump(rig.store)).not.to.deep.equal(before)
    await rig.replica.close()
  })

  it('comes in chunks of bounded size; an entry that is larger is split and put together', async () => {
    const { store, replica } = await replicaOf(randomRecords(1, 20))
    const prng = new Prng(7)
    const batch = store.batch()
    for (let at = 0; at < 3000; at++) batch.put(rowKey(PREFIX, Buffer.from(`row ${at}`)), prng.bytes(200))
    batch.put(rowKey(PREFIX, Buffer.from('row 5 large')), Buffer.alloc(2 * COPY_PART_BYTES + 17, 'x'))
    batch.put(rowKey(PREFIX, Buffer.from('z')), Buffer.alloc(COPY_PART_BYTES, 'y'))
    store.write(batch)
    const chunks = chunksOf(sourceOf(store))
    const kinds = chunks.map((chunk) => decodeChunk(chunk).kind)
    expect(kinds.filter((kind) => kind === 'part')).to.have.lengthOf(3)
    for (const chunk of chunks) expect(chunk.length).to.be.at.most(COPY_PART_BYTES + 100)
    const small = chunks.filter(({ length }) => length < 2 * COPY_CHUNK_BYTES)
    expect(small.length).to.be.greaterThan(3)
    const target = openMemoryStore()
    await install(target, chunks)
    expect(dump(target, must(knownPrefix(target, TOPIC, PARTITION), 'the prefix'))).to.deep.equal(dump(store))
    await replica.close()
  })

  describe('that is bad', () => {
    let chunks: Buffer[]
    let store: Store
    before(async () => {
      const rig = await replicaOf(randomRecords(5))
      const batch = rig.store.batch()
      const prng = new Prng(9)
      for (let at = 0; at < 4000; at++) batch.put(rowKey(PREFIX, Buffer.from(`row ${at}`)), prng.bytes(200))
      rig.store.write(batch)
      chunks = chunksOf(sourceOf(rig.store))
      expect(chunks.length).to.be.greaterThan(5)
      await rig.replica.close()
    })
    beforeEach(() => {
      store = openMemoryStore()
    })

    /** It is refused for the reason, nothing of it is left, and the good copy can be installed after it. */
    const refuses = async (bad: readonly Uint8Array[], reason: string, wanted = WANTED): Promise<void> => {
      store = openMemoryStore()
      expect(await reasonOf(install(store, bad, wanted))).to.equal(reason)
      expect(knownPrefix(store, TOPIC, PARTITION)).to.equal(undefined)
      // The count of prefixes given is all that may stay.
      expect(dumpAll(store).length).to.be.at.most(1)
      await install(store, chunks)
    }

    it('is refused at a flipped bit of any part of any chunk', async () => {
      for (const at of [0, 1, chunks.length - 2, chunks.length - 1]) {
        const chunk = must(chunks[at], 'a chunk')
        // Kind, sequence, length, first and last byte of the body, checksum.
        for (const place of [
          0,
          1,
          4,
          5,
          8,
          9,
          chunk.length >> 1,
          chunk.length - 5,
          chunk.length - 4,
          chunk.length - 1,
        ]) {
          const bad = Buffer.from(chunk)
          bad[place] = (bad[place] ?? 0) ^ 0x10
          await refuses(chunks.with(at, bad), 'SNAPSHOT_CORRUPT')
        }
      }
    })

    it('is refused where chunks are missing, doubled, swapped, cut, or too many', async () => {
      for (const bad of [
        [],
        chunks.slice(1),
        chunks.slice(0, -1),
        chunks.slice(0, 1),
        chunks.toSpliced(2, 1),
        chunks.toSpliced(2, 0, must(chunks[2], 'a chunk')),
        [...chunks.slice(0, 2), must(chunks[3], 'a chunk'), must(chunks[2], 'a chunk'), ...chunks.slice(4)],
        [...chunks, must(chunks.at(-1), 'the trailer')],
        [...chunks, must(chunks[1], 'a chunk')],
        chunks.with(1, must(chunks[1], 'a chunk').subarray(0, 100)),
        chunks.with(1, Buffer.alloc(3)),
      ])
        await refuses(bad, 'SNAPSHOT_CORRUPT')
    })

    it('is refused where a chunk was left out and the others were numbered anew', async () => {
      const bad = chunks.toSpliced(2, 1).map((chunk, at) => {
        const { kind, body } = decodeChunk(chunk)
        return encodeChunk(kind, at, body)
      })
      await refuses(bad, 'SNAPSHOT_CORRUPT')
    })

    it('is refused where its header tells of another state', async () => {
      const writer = openCopy(sourceOf((await replicaOf(randomRecords(5))).store))
      const { header } = writer
      writer.close()
      for (const other of [
        { ...header, next: (header.next + 1) as Offset },
        { ...header, rows: header.rows + 1 },
        { ...header, chain: Buffer.alloc(32) },
      ])
        await refuses(chunks.with(0, encodeChunk('header', 0, encodeHeader(other))), 'SNAPSHOT_CORRUPT')
    })

    it('is refused where it is of another replica, topic, log or cluster, or of a newer format', async () => {
      for (const other of [
        { cluster: 'other' },
        { logIdentity: 'log-2' },
        { topic: 'test.other' },
        { topicIdentity: 'topic-2' },
        { partition: 1 as Partition },
        { partitions: 2 },
      ]) {
        expect(await reasonOf(install(store, chunks, { ...WANTED, ...other }))).to.equal('SNAPSHOT_FOREIGN')
        expect(dumpAll(store)).to.deep.equal([])
      }
      const newer = Buffer.from(decodeChunk(must(chunks[0], 'the header')).body)
      newer[0] = 2
      await refuses(chunks.with(0, encodeChunk('header', 0, newer)), 'SNAPSHOT_FOREIGN')
    })

    it('is refused where the log no longer reaches back to it', async () => {
      await refuses(chunks, 'LOG_TRIMMED', { ...WANTED, notBefore: 1_000_000 as Offset })
    })
  })
})

describe('an install', () => {
  it('replaces the replica that was there, and drops that one', async () => {
    const { store: source } = await replicaOf(randomRecords(2))
    const store = openMemoryStore()
    const old = prefixOf(store, TOPIC, PARTITION)
    const batch = store.batch()
    batch.put(rowKey(old, Buffer.from('old')), Buffer.from('row'))
    store.write(batch)
    await install(store, chunksOf(sourceOf(source)))
    const prefix = prefixOf(store, TOPIC, PARTITION)
    expect(prefix).not.to.deep.equal(old)
    expect(dump(store, prefix)).to.deep.equal(dump(source))
    expect(dump(store, old)).to.deep.equal([])
    expect(sweepBuilds(store)).to.equal(0)
  })

  it('that was interrupted is not there, and is swept at the next start', async () => {
    const { store: source } = await replicaOf(randomRecords(2))
    const chunks = chunksOf(sourceOf(source))
    const store = openMemoryStore()
    const broken: Store = {
      ...store,
      drop: () => {
        throw new TidemarkError('DISK_FULL', 'no room')
      },
    }
    expect(await reasonOf(install(broken, chunks.slice(0, -1)))).to.equal('SNAPSHOT_CORRUPT')
    expect(knownPrefix(store, TOPIC, PARTITION)).to.equal(undefined)
    expect(dumpAll(store).length).to.be.greaterThan(10)
    expect(sweepBuilds(store)).to.equal(1)
    expect(dumpAll(store)).to.have.lengthOf(1)
    await install(store, chunks)
  })

  it('that failed leaves the replica that was there, and room for the next one', async () => {
    const { store: source } = await replicaOf(randomRecords(2))
    const chunks = chunksOf(sourceOf(source))
    const store = openMemoryStore()
    await install(store, chunks)
    const before = dumpAll(store)
    let writes = 0
    const full: Store = {
      ...store,
      write(batch) {
        writes += 1
        if (writes > 1) throw new TidemarkError('DISK_FULL', 'no room')
        store.write(batch)
      },
    }
    expect(await reasonOf(install(full, chunks))).to.equal('DISK_FULL')
    // The mark of the failed one stands; the next install of the replica sweeps it.
    await install(store, chunks)
    expect(sweepBuilds(store)).to.equal(0)
    expect(dumpAll(store)).to.have.lengthOf(before.length)
  })

  it('ends when it is told to', async () => {
    const { store: source } = await replicaOf(randomRecords(2))
    const store = openMemoryStore()
    const ending = new AbortController()
    const copy = streamOf(chunksOf(sourceOf(source)))
    const installing = installCopy({
      store,
      wanted: WANTED,
      copy,
      signal: ending.signal,
      onProgress: () => ending.abort(),
    })
    expect(await reasonOf(installing)).to.equal('CANCELLED')
    expect(dumpAll(store)).to.have.lengthOf(1)
  })
})
