import { expect } from 'chai'
import { must } from '../streams/core/assert.ts'
import { TidemarkError } from '../streams/core/errors.ts'
import { rowKey } from '../streams/core/keys.ts'
import { COPIES_GIVEN_MAX } from '../streams/core/limits.ts'
import { Prng } from '../streams/core/testing/prng.ts'
import type { Partition } from '../streams/core/types.ts'
import { startProxy, type Proxy } from '../streams/log/kafka/proxy.fake.ts'
import { knownPrefix } from '../streams/replica/catalogue.ts'
import { PREFIX } from '../streams/replica/replica.fake.ts'
import {
  TOPIC,
  WANTED,
  dump,
  randomRecords,
  reasonOf,
  replicaOf,
  sourceOf,
} from '../streams/snapshot/copies.fake.ts'
import { CopySessions } from '../streams/snapshot/copy-sessions.ts'
import { installCopy } from '../streams/snapshot/install.ts'
import { openMemoryStore } from '../streams/store/memory.ts'
import type { Store } from '../streams/store/store.ts'
import { systemClock, systemRandom } from '../streams/system.ts'
import { copyOffers } from './node/copy-offers.ts'
import { type Served, serveFake } from './node/served.fake.ts'
import { peerCopy } from './snapshot-calls.ts'

const PARTITION = 0 as Partition

describe('a copy from a peer', () => {
  let served: Served
  let proxy: Proxy
  let source: Store
  let copies: CopySessions
  /** Where each copy that was asked for began; -1 for a new one. */
  const asked: number[] = []
  const { signal } = new AbortController()

  before(async () => {
    const rig = await replicaOf(randomRecords(8))
    await rig.replica.close()
    source = rig.store
    const prng = new Prng(2)
    const batch = source.batch()
    for (let at = 0; at < 3000; at++)
      batch.put(rowKey(PREFIX, Buffer.from(`row ${at}`)), Buffer.alloc(10_000, prng.bytes(8)))
    source.write(batch)
    served = await serveFake()
    proxy = await startProxy(() => Number(served.address.split(':')[1]))
  })
  beforeEach(() => {
    asked.length = 0
    copies = new CopySessions({ clock: systemClock, random: systemRandom, bytesPerSecond: Infinity })
    served.node.copies = {
      give(keyspace, partition, resume) {
        expect([keyspace, partition]).to.deep.equal(['default', 0])
        asked.push(resume?.from ?? -1)
        return resume === undefined ? copies.begin(sourceOf(source)) : copies.resume(resume)
      },
      trim: () => Promise.reject(new Error('not asked for')),
    }
  })
  afterEach(() => {
    copies.close()
    expect(served.bugs).to.deep.equal([])
  })
  after(async () => {
    proxy.close()
    await served.close()
  })

  const peer = (address = served.address) => ({ address, keyspace: 'default', partition: 0 })
  const proxied = (): string => `127.0.0.1:${proxy.port}`

  it('is the peer’s replica', async () => {
    const store = openMemoryStore()
    await installCopy({ store, wanted: WANTED, copy: peerCopy(peer(), systemClock, signal) })
    expect(dump(store, must(knownPrefix(store, TOPIC, PARTITION), 'the prefix'))).to.deep.equal(dump(source))
    expect(asked).to.deep.equal([-1])
  })

  it('goes on where the connection broke, again and again', async () => {
    const store = openMemoryStore()
    const copy = (async function* () {
      let count = 0
      for await (const chunk of peerCopy(peer(proxied()), systemClock, signal)) {
        yield chunk
        count += 1
        if (count % 40 !== 20) continue
        proxy.refuse(true)
        setTimeout(() => proxy.refuse(false), 50)
      }
    })()
    await installCopy({ store, wanted: WANTED, copy })
    expect(dump(store, must(knownPrefix(store, TOPIC, PARTITION), 'the prefix'))).to.deep.equal(dump(source))
    expect(asked.length).to.be.greaterThan(2)
    expect(asked[0]).to.equal(-1)
    expect(asked.slice(1)).to.deep.equal(asked.slice(1).toSorted((a, b) => a - b))
    expect(asked[1]).to.be.at.least(20)
  })

  it('fails where the peer has forgotten it, refuses, or is gone', async () => {
    const taking = peerCopy(peer(proxied()), systemClock, signal)
    await taking.next()
    proxy.refuse(true)
    copies.close()
    setTimeout(() => proxy.refuse(false), 50)
    const drained = (async () => {
      for await (const _ of taking) continue
    })()
    expect(await reasonOf(drained)).to.equal('COPY_EXPIRED')
    served.node.copies = {
      ...served.node.copies,
      give: () => {
        throw new TidemarkError('PARTITION_STOPPED', 'it is stopped')
      },
    }
    expect(await reasonOf(peerCopy(peer(), systemClock, signal).next())).to.equal('PARTITION_STOPPED')
    expect(await reasonOf(peerCopy(peer('127.0.0.1:1'), systemClock, signal).next())).to.equal(
      'NODE_UNREACHABLE',
    )
  })

  it('is given up on both sides when it is no longer wanted', async () => {
    const ending = new AbortController()
    const taking = peerCopy(peer(), systemClock, ending.signal)
    await taking.next()
    ending.abort()
    const rest = (async () => {
      for await (const _ of taking) continue
    })()
    expect(await reasonOf(rest)).to.equal('CANCELLED')
    const left = peerCopy(peer(), systemClock, signal)
    await left.next()
    await left.return(undefined)
    // Copies that nobody reads make room for others.
    for (let at = 0; at < 2 * COPIES_GIVEN_MAX; at++) {
      const one = peerCopy(peer(), systemClock, signal)
      for (let tries = 0; ; tries++) {
        const reason = await reasonOf(one.next())
        if (reason === 'nothing was refused') break
        expect(reason, `after ${tries} tries`).to.equal('OVERLOADED')
      }
      await one.return(undefined)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })

  it('ends when the peer drains', async () => {
    const other = await serveFake()
    other.node.copies = served.node.copies
    const taking = peerCopy(peer(other.address), systemClock, signal)
    await taking.next()
    const rest = (async () => {
      for await (const _ of taking) continue
    })()
    other.draining.abort()
    expect(await reasonOf(rest)).to.equal('NODE_DRAINING')
    await other.close()
  })

  it('is asked of the own zone first, of those that leave last', async () => {
    const node = (nodeId: string, zone: string, draining = false) => ({
      nodeId,
      zone,
      draining,
      incarnation: 'i',
      address: `${nodeId}:1`,
    })
    const offers = copyOffers({ cluster: 'test', zone: 'b', snapshots: undefined, clock: systemClock })
    const from: string[] = []
    for await (const offer of offers(TOPIC, PARTITION, [
      node('n1', 'b', true),
      node('n2', 'a'),
      node('n3', 'b'),
    ]))
      from.push(offer.from)
    expect(from).to.deep.equal(['node n3', 'node n2', 'node n1'])
  })
})
