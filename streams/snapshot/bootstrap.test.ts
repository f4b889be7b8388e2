import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { COPY_RECORDS_MIN } from '../core/limits.ts'
import type { Offset } from '../core/types.ts'
import type { CopyOffer } from '../ports.ts'
import { silent } from '../replica/replica.fake.ts'
import { openMemoryStore } from '../store/memory.ts'
import { bootstrapReplica, copyNeed, turns } from './bootstrap.ts'
import {
  WANTED,
  chunksOf,
  dumpAll,
  randomRecords,
  reasonOf,
  replicaOf,
  sourceOf,
  streamOf,
} from './copies.fake.ts'

const log = (start: number, end: number) => ({ start: start as Offset, end: end as Offset })

describe('building a replica from a copy', () => {
  it('is needed where the log begins too late, better where it is long, and nothing else', () => {
    expect(copyNeed(undefined, log(0, 10))).to.equal('none')
    expect(copyNeed(undefined, log(1, 10))).to.equal('must')
    expect(copyNeed(undefined, log(0, COPY_RECORDS_MIN))).to.equal('better')
    expect(copyNeed(5 as Offset, log(5, COPY_RECORDS_MIN + 4))).to.equal('none')
    expect(copyNeed(5 as Offset, log(6, 10))).to.equal('must')
    expect(copyNeed(5 as Offset, log(0, COPY_RECORDS_MIN + 5))).to.equal('better')
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

  it('goes on for few replicas at a time, in their order', async () => {
    const turn = turns(2)
    const order: string[] = []
    const ends: (() => void)[] = []
    const work = Array.from({ length: 5 }, (_, at) =>
      turn(async () => {
        order.push(`begin ${at}`)
        await new Promise<void>((resolve) => ends.push(resolve))
        if (at === 1) throw new Error('failed')
        order.push(`end ${at}`)
      }).catch(() => order.push(`fail ${at}`)),
    )
    for (let at = 0; at < 5; at++) {
      while (ends.length <= at) await new Promise((resolve) => setImmediate(resolve))
      expect(ends.length - at).to.be.at.most(2)
      ends[at]?.()
    }
    await Promise.all(work)
    expect(order.filter((line) => line.startsWith('begin'))).to.deep.equal(
      [0, 1, 2, 3, 4].map((at) => `begin ${at}`),
    )
    expect(order).to.include('fail 1')
  })
})
