import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { replicaSpan, rowKey } from '../core/keys.ts'
import type { Partition } from '../core/types.ts'
import { openMemoryStore } from '../store/memory.ts'
import { claimStore, prefixOf, releaseReplica, storedReplicas, sweepBuilds } from './catalogue.ts'

const owner = { cluster: 'tidemark', nodeId: 'n1', logIdentity: 'log-1' }
const refusal = (act: () => void): TidemarkError | undefined => {
  try {
    act()
    return undefined
  } catch (caught) {
    return TidemarkError.from(caught)
  }
}
const mark = Buffer.concat([Buffer.alloc(4), Buffer.from('i')])

describe('catalogue of a data directory', () => {
  it('is marked with its owner, and opened by it again', () => {
    const store = openMemoryStore()
    claimStore(store, owner)
    expect(refusal(() => claimStore(store, owner))).to.equal(undefined)
  })

  for (const [name, other] of Object.entries({ cluster: 'x', nodeId: 'n2', logIdentity: 'log-2' }))
    it(`refuses another ${name}, and says what to do`, () => {
      const store = openMemoryStore()
      claimStore(store, owner)
      const error = refusal(() => claimStore(store, { ...owner, [name]: other }))
      expect(error?.reason).to.equal('STORE_FOREIGN')
      expect(error?.message).to.include(other).and.to.include('TIDEMARK_DATA_DIR')
      expect(error?.metadata['field']).to.equal(name)
    })

  it('refuses another layout, and a mark that is damaged', () => {
    const spoil = (content: string): string | undefined => {
      const store = openMemoryStore()
      const batch = store.batch()
      batch.put(mark, Buffer.from(content))
      store.write(batch)
      return refusal(() => claimStore(store, owner))?.reason
    }
    for (const layout of [1, 3]) expect(spoil(JSON.stringify({ layout, ...owner }))).to.equal('STORE_FOREIGN')
    for (const damaged of ['', '{', 'null', '"x"', '{}'])
      expect(spoil(damaged), damaged).to.equal('STORE_CORRUPT')
  })

  it('gives each replica a prefix of its own, for ever', () => {
    const store = openMemoryStore()
    const names = [
      ['a', 0],
      ['a', 1],
      ['a.b', 0],
      ['b', 0],
      ['a', 256],
    ] as const
    const given = names.map(([topic, partition]) =>
      Buffer.from(prefixOf(store, topic, partition as Partition)).toString('hex'),
    )
    expect(new Set(given).size).to.equal(names.length)
    expect(given).to.not.include('00000000')
    const again = [...names]
      .reverse()
      .map(([topic, partition]) =>
        Buffer.from(prefixOf(store, topic, partition as Partition)).toString('hex'),
      )
    expect(again.reverse()).to.deep.equal(given)
  })

  it('lists replicas, and forgets one with all its rows in one step', () => {
    const store = openMemoryStore()
    const places = [
      ['a', 0],
      ['a', 300],
      ['b.c', 7],
    ] as const
    const rowIn = (prefix: Uint8Array): Buffer => rowKey(prefix, Buffer.from('k'))
    for (const [topic, partition] of places) {
      const batch = store.batch()
      batch.put(rowIn(prefixOf(store, topic, partition as Partition)), Buffer.from('v'))
      store.write(batch)
    }
    const listed = (): string[] =>
      storedReplicas(store).map(({ topic, partition, prefix }) => {
        const [row] = store.getMany([rowIn(prefix)])
        return `${topic}/${partition}=${Buffer.from(row ?? []).toString()}`
      })
    expect(listed()).to.deep.equal(['a/0=v', 'a/300=v', 'b.c/7=v'])
    const [, given] = storedReplicas(store)
    releaseReplica(store, 'a', 300 as Partition)
    releaseReplica(store, 'a', 300 as Partition)
    expect(listed()).to.deep.equal(['a/0=v', 'b.c/7=v'])
    expect(store.getMany([rowIn(given?.prefix ?? Buffer.alloc(4))])).to.deep.equal([undefined])
    expect(sweepBuilds(store), 'nothing is left to do').to.equal(0)
    expect(prefixOf(store, 'a', 300 as Partition)).to.not.deep.equal(given?.prefix)
  })

  it('forgets at the next start what an end in between left over', () => {
    const store = openMemoryStore()
    const prefix = prefixOf(store, 'a', 0 as Partition)
    const batch = store.batch()
    batch.put(rowKey(prefix, Buffer.from('k')), Buffer.from('v'))
    store.write(batch)
    const dies = {
      ...store,
      drop: () => {
        throw new Error('the process ends')
      },
    }
    expect(() => {
      releaseReplica(dies, 'a', 0 as Partition)
    }).to.throw('the process ends')
    expect(storedReplicas(store)).to.deep.equal([])
    expect(sweepBuilds(store)).to.equal(1)
    expect(store.getMany([rowKey(prefix, Buffer.from('k'))])).to.deep.equal([undefined])
  })

  it('lies outside all replicas', () => {
    const span = replicaSpan(Buffer.from('00000001', 'hex'))
    expect(Buffer.compare(mark, span.gte)).to.be.lessThan(0)
  })
})
