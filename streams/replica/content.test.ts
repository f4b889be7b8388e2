import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { metaKey, replicaSpan, rowKey, tombstoneKey } from '../core/keys.ts'
import { encodeRow, tombstone } from '../core/row.ts'
import { encodeState, newState } from '../core/state.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import type { Offset, Partition } from '../core/types.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { ContentHasher, differences } from './content.ts'
import type { Content } from './content.ts'
import { PREFIX, ScriptedLog, openRig } from './replica.fake.ts'

const TOMBSTONES = 1000

function hashOf(store: Store, next: number, rows: number, prefix = PREFIX): Content {
  const source = { store, prefix, next: next as Offset, rows, tombstoneRecords: TOMBSTONES }
  const hasher = new ContentHasher(source)
  while (hasher.step() > 0);
  const content = hasher.finish()
  hasher.close()
  return content
}

/** A store with these rows, as apply would have left them. */
function storeOf(rows: number, change: (store: Store) => void = () => undefined): Store {
  const store = openMemoryStore()
  const batch = store.batch()
  for (let at = 0; at < rows; at++) {
    const row = encodeRow({
      tombstone: 'none',
      version: at as Offset,
      expiresAt: 0,
      contentType: '',
      value: Buffer.from(`value ${at}`),
    })
    batch.put(rowKey(PREFIX, Buffer.from(`key-${at}`)), row)
  }
  batch.put(metaKey(PREFIX), encodeState({ ...newState(0 as Partition, 1, 'topic'), rows }))
  store.write(batch)
  change(store)
  return store
}

const put = (key: Uint8Array, value: Uint8Array) => (store: Store) => {
  const batch = store.batch()
  batch.put(key, value)
  store.write(batch)
}

describe('the hash of the content', () => {
  it('is the same however the log was cut, and whatever history and garbage a replica has', async () => {
    for (let seed = 1; seed <= 4; seed++) {
      const keys = ['a', 'b', 'c', 'a/1', 'b/1', 'k1', 'k2', 'ä']
      const records = randomLog(new Prng(seed), { records: 300, partition: 0, partitions: 1, keys })
      const contents: Content[] = []
      for (const [batchRecords, historyRecords] of [
        [1, 10],
        [7, 100_000],
        [1000, 50],
      ] as const) {
        const script = new ScriptedLog()
        script.batchRecords = () => batchRecords
        script.append(records)
        const { replica, store, caughtUp } = openRig({
          script,
          bounds: { historyRecords, tombstoneRecords: TOMBSTONES },
        })
        await caughtUp()
        await replica.close()
        contents.push(hashOf(store, replica.state.next, replica.state.rows))
      }
      expect(contents[1], `seed ${seed}`).to.deep.equal(contents[0])
      expect(contents[2], `seed ${seed}`).to.deep.equal(contents[0])
    }
  })

  it('is another for every single byte that is another, in all that must be equal', () => {
    const records = randomLog(new Prng(3), {
      records: 200,
      partition: 0,
      partitions: 1,
      keys: ['a', 'b', 'c', 'd'],
    })
    const script = new ScriptedLog()
    script.append(records)
    const rig = openRig({ script })
    return rig.caughtUp().then(async () => {
      await rig.replica.close()
      const { next, rows } = rig.replica.state
      const { hash } = hashOf(rig.store, next, rows)
      const cursor = rig.store.cursor(replicaSpan(PREFIX))
      const entries = cursor.next(10_000)
      cursor.close()
      const tables = new Set<string>()
      for (const { key, value } of entries) {
        const table = String.fromCharCode(key[4] ?? 0)
        if (!'rxdgt'.includes(table)) continue
        tables.add(table)
        const other = Buffer.from(value)
        if (other.length > 0) other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
        put(key, other.length > 0 ? other : Buffer.from('x'))(rig.store)
        expect(
          hashOf(rig.store, next, rows).hash,
          `${table} ${Buffer.from(key).toString('hex')}`,
        ).not.to.equal(hash)
        put(key, value)(rig.store)
      }
      expect(hashOf(rig.store, next, rows).hash).to.equal(hash)
      expect(tables.size).to.be.greaterThan(2)
    })
  })

  it('names the range in which rows differ, also where one is missing or one more is there', () => {
    const rows = 5000
    const plain = hashOf(storeOf(rows), rows, rows)
    const ranges = plain.parts.filter(({ name }) => name === 'rows')
    expect(ranges.length).to.be.within(20, 256)
    const changes: readonly ((store: Store) => void)[] = [
      put(rowKey(PREFIX, Buffer.from('key-77')), Buffer.from('damage')),
      put(rowKey(PREFIX, Buffer.from('key-77x')), Buffer.from('one more')),
      (store) => {
        const batch = store.batch()
        batch.delete(rowKey(PREFIX, Buffer.from('key-77')))
        store.write(batch)
      },
    ]
    for (const change of changes) {
      const other = hashOf(storeOf(rows, change), rows, rows)
      const found = differences(plain.parts, other.parts)
      expect(found.length, found.join()).to.be.within(1, 2)
      const [name] = found
      expect(name).to.match(/^rows/)
      const range = ranges.find(
        ({ until }) => until === undefined || Buffer.from(until).toString() >= 'key-77',
      )
      expect(name).to.include(Buffer.from(must(range?.until, 'a range with an end')).toString())
    }
    expect(differences(plain.parts, plain.parts)).to.deep.equal([])
  })

  it('does not look at tombstones that each replica drops when it likes', () => {
    const next = 10_000
    const plain = hashOf(storeOf(10), next, 10)
    const buried = (version: number) => (store: Store) => {
      const key = Buffer.from('gone')
      put(rowKey(PREFIX, key), encodeRow(tombstone('deleted', version as Offset)))(store)
      put(tombstoneKey(PREFIX, version as Offset, key), Buffer.alloc(0))(store)
    }
    expect(hashOf(storeOf(10, buried(next - TOMBSTONES - 1)), next, 10).hash).to.equal(plain.hash)
    const young = hashOf(storeOf(10, buried(next - TOMBSTONES)), next, 10)
    expect(differences(plain.parts, young.parts)).to.include.members(['tombstones'])
    expect(differences(plain.parts, young.parts).join()).to.include('rows')
  })

  it('refuses a state that cannot be read', () => {
    const store = storeOf(1, put(metaKey(PREFIX), Buffer.from('damaged')))
    expect(() => hashOf(store, 1, 1)).to.throw('damaged')
  })
})
