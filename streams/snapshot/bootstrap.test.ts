import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import { COPY_RECORDS_MIN } from '../core/limits.ts'
import type { Offset, Partition } from '../core/types.ts'
import type { CopyOffer, CopyOffers } from '../ports.ts'
import { knownPrefix } from '../replica/catalogue.ts'
import { silent } from '../replica/replica.fake.ts'
import { openMemoryStore } from '../store/memory.ts'
import { bootstrapFrom, bootstrapReplica, wantsCopy } from './bootstrap.ts'
import {
  TOPIC,
  WANTED,
  chunksOf,
  dumpAll,
  randomRecords,
  reasonOf,
  replicaOf,
  sourceOf,
  stateIn,
  streamOf,
} from './copies.fake.ts'

const log = (start: number, end: number) => ({ start: start as Offset, end: end as Offset })

describe('building a replica from a copy', () => {
  it('is wanted where the log begins too late or is long', () => {
    expect(wantsCopy(log(0, 10))).to.equal(false)
    expect(wantsCopy(log(0, 0))).to.equal(false)
    expect(wantsCopy(log(1, 10))).to.equal(true)
    expect(wantsCopy(log(0, COPY_RECORDS_MIN))).to.equal(true)
  })

  it('puts the replica into the store, or leaves it as it is', async () => {
    const { store: source, replica } = await replicaOf(randomRecords(1))
    const asked: string[] = []
    const peers = [{ nodeId: 'n2', incarnation: 'i', address: 'a:1', zone: '', draining: false }]
    const offers: CopyOffers = async function* (topic, partition, from) {
      asked.push(`${topic}/${partition} of ${from.map(({ nodeId }) => nodeId).join()}`)
      yield await Promise.resolve({ from: 'n2', open: () => streamOf(chunksOf(sourceOf(source))) })
    }
    const store = openMemoryStore()
    const bootstrap = bootstrapFrom({
      cluster: 'test',
      logIdentity: 'log-1',
      store,
      offers,
      telemetry: silent,
    })
    const topic = { topic: TOPIC, identity: 'topic-1', partitions: 1, unsafe: [] }
    const { signal } = new AbortController()
    const target = { keyspace: 'default', topic, partition: 0 as Partition, sources: peers, signal }
    await bootstrap({ ...target, offsets: log(0, 10) })
    expect([asked, dumpAll(store)]).to.deep.equal([[], []])
    await bootstrap({ ...target, offsets: log(1_000_000, 1_000_010) })
    expect(knownPrefix(store, TOPIC, 0 as Partition)).to.equal(undefined)
    await bootstrap({ ...target, offsets: log(1, 10) })
    const prefix = must(knownPrefix(store, TOPIC, 0 as Partition), 'the prefix')
    expect(stateIn(store, prefix)).to.deep.equal(replica.state)
    expect(asked).to.deep.equal(['test.default/0 of n2', 'test.default/0 of n2'])
  })

  it('takes the first offer that is good, and says what was wrong with the others', async () => {
    const { store: source } = await replicaOf(randomRecords(1))
    const chunks = chunksOf(sourceOf(source))
    const told: string[] = []
    const telemetry = {
      ...silent,
      trouble: (sentence: string) => void told.push(`trouble ${sentence}`),
      recovered: (sentence: string) => void told.push(`recovered ${sentence}`),
    }
    const offers = async function* (...good: boolean[]): AsyncGenerator<CopyOffer> {
      for (const [at, one] of good.entries())
        yield await Promise.resolve({
          from: `n${at}`,
          open: () => streamOf(one ? chunks : chunks.slice(0, -1)),
        })
    }
    const store = openMemoryStore()
    const { signal } = new AbortController()
    expect(
      await bootstrapReplica({ store, wanted: WANTED, offers: offers(false, false), telemetry, signal }),
    ).to.equal(undefined)
    expect(told).to.have.lengthOf(2)
    const done = await bootstrapReplica({
      store,
      wanted: WANTED,
      offers: offers(false, true, true),
      telemetry,
      signal,
    })
    expect(done?.header.next).to.be.greaterThan(0)
    expect(told[2]).to.contain('n0: SNAPSHOT_CORRUPT')
    expect(told[3]).to.equal('recovered test.default/0 was built from the copy of n1')
  })

  it('ends when it is no longer wanted, or the disk is full', async () => {
    const { store: source } = await replicaOf(randomRecords(1))
    const chunks = chunksOf(sourceOf(source))
    const ending = new AbortController()
    const offers = async function* (error?: TidemarkError): AsyncGenerator<CopyOffer> {
      const open = async function* (): AsyncGenerator<Uint8Array> {
        yield* streamOf(chunks.slice(0, 1))
        if (error !== undefined) throw error
        ending.abort()
        throw new Error('the connection was ended')
      }
      yield await Promise.resolve({ from: 'n1', open })
    }
    const store = openMemoryStore()
    const start = (error?: TidemarkError) =>
      bootstrapReplica({
        store,
        wanted: WANTED,
        offers: offers(error),
        telemetry: silent,
        signal: ending.signal,
      })
    expect(await reasonOf(start(new TidemarkError('DISK_FULL', 'no room')))).to.equal('DISK_FULL')
    expect(await reasonOf(start())).to.equal('CANCELLED')
    expect(dumpAll(store)).to.have.lengthOf(1)
  })
})
