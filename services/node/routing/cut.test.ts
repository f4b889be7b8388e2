/** What a cut promises, on three real nodes under writes: streams/README.md names each promise. */
import { expect } from 'chai'
import { must } from '../../../streams/core/assert.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { Prng } from '../../../streams/core/testing/prng.ts'
import { connect } from '../../client/connect.ts'
import type { Cut, Keyspace, Row, Tidemark, WatchChange } from '../../client/index.ts'
import { parseToken, tokenText } from '../../client/session-token.ts'
import { type RealCluster, keysIn, realCluster } from './real-cluster.fixture.ts'

const PARTITIONS = 4

const refusalOf = async (work: Promise<unknown>): Promise<TidemarkError> => {
  try {
    await work
  } catch (caught) {
    return TidemarkError.from(caught)
  }
  throw new Error('it was not refused')
}

const shown = (row: Row): unknown[] => [
  row.keyText(),
  row.text(),
  row.version,
  row.partition,
  row.expiresAtMs,
]

async function scanned(db: Keyspace, asOf: string, more: { reverse?: boolean } = {}): Promise<unknown[][]> {
  const rows: unknown[][] = []
  for await (const row of db.scan({ asOf, ...more })) rows.push(shown(row))
  return rows
}

describe('a cut through three real nodes', function () {
  this.timeout(60_000)
  let cluster: RealCluster
  /** One for each node, which is asked whatever it holds. */
  let each: Tidemark[]
  beforeEach(async () => {
    cluster = await realCluster({ nodes: 3, partitions: PARTITIONS, replication: 2 })
    each = cluster.members.map(({ door }) => connect({ server: door.address, discover: false }))
  })
  afterEach(async () => {
    for (const db of each) await db.close()
    await cluster.close()
    expect(cluster.bugs).to.deep.equal([])
  })
  const at = (index: number): Tidemark => must(each[index % each.length], 'a client')

  /** Random writes of all kinds through all nodes, until they are stopped. */
  function writing(seed: number): { stop(): Promise<void> } {
    let stopped = false
    const writers = [0, 1, 2].map(async (index) => {
      const prng = new Prng(seed * 10 + index)
      for (let step = 0; !stopped; step += 1) {
        const key = `k${prng.below(60)}`
        const kind = prng.below(10)
        if (kind < 4) await at(index).put(key, `${index}.${step}`)
        else if (kind < 6) await at(index).put(key, 'short', { ttlMs: 1 + prng.below(40) })
        else if (kind < 8) await at(index).delete(key)
        else if (kind < 9) await at(index).increment(`n${prng.below(5)}`)
        else
          await at(index).transact({
            if: [{ key, exists: true }],
            then: [{ delete: key }],
            else: [{ put: key, value: 'txn' }],
          })
      }
    })
    return {
      async stop() {
        stopped = true
        await Promise.all(writers)
      },
    }
  }

  for (const seed of [1, 2])
    it(`shows the rows of its moment on every node, whatever is written later, seed ${seed}`, async () => {
      const changes: WatchChange[] = []
      const watch = at(0).watch({ initialRows: true })
      const watching = (async () => {
        for await (const item of watch) if ('row' in item) changes.push(item)
      })()
      await watch.started
      const work = writing(seed)
      const cuts: Cut[] = []
      for (let number = 0; number < 4; number += 1) {
        const enough = changes.length + 60
        while (changes.length < enough) await new Promise((resolve) => setTimeout(resolve, 5))
        cuts.push(await at(number).keyspaces.cut({ keyspaces: ['default'] }))
      }
      await work.stop()
      // The last write of each partition: what the watcher gets after it is all it gets.
      for (const key of keysIn(cluster, 1)) await at(0).put(key, 'last')
      while (changes.filter(({ row }) => row.text() === 'last').length < PARTITIONS)
        await new Promise((resolve) => setTimeout(resolve, 5))
      await watch.return?.()
      await watching
      for (const cut of cuts) {
        const offsets = new Map(cut.positions.map(({ partition, offset }) => [partition, offset]))
        const model = new Map<string, unknown[]>()
        for (const { type, row } of changes) {
          if (row.version > must(offsets.get(row.partition), 'a position')) continue
          if (type === 'put') model.set(row.keyText(), shown(row))
          else model.delete(row.keyText())
        }
        const wanted = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
        for (const db of each) {
          expect(wanted.length).to.be.greaterThan(0)
          expect(await scanned(db, cut.token)).to.deep.equal(wanted)
          expect(await scanned(db, cut.token, { reverse: true })).to.deep.equal(wanted.toReversed())
          const keys = Array.from({ length: 60 }, (_, number) => `k${number}`)
          const many = await db.getMany(keys, { asOf: cut.token })
          const one = await Promise.all(keys.map((key) => db.get(key, { asOf: cut.token })))
          const rows = keys.map((key) => model.get(key))
          expect(many.map((row) => (row === undefined ? undefined : shown(row)))).to.deep.equal(rows)
          expect(one.map((row) => (row === undefined ? undefined : shown(row)))).to.deep.equal(rows)
        }
      }
    })

  it('and the changes that follow it make the rows as they stand', async () => {
    const work = writing(3)
    await new Promise((resolve) => setTimeout(resolve, 60))
    const { token } = await at(0).keyspaces.cut({ keyspaces: ['default'] })
    await new Promise((resolve) => setTimeout(resolve, 60))
    await work.stop()
    const rows = new Map((await scanned(at(1), token)).map((row) => [row[0], row]))
    const end = await at(2).keyspaces.cut({ keyspaces: ['default'] })
    const offsets = new Map(end.positions.map(({ partition, offset }) => [partition, offset]))
    for (const key of keysIn(cluster, 1)) await at(0).put(key, 'last')
    const watch = at(1).watch({ resume: token })
    const last = new Set<number>()
    for await (const item of watch) {
      if (!('row' in item)) continue
      const { type, row } = item
      if (row.text() === 'last') last.add(row.partition)
      else if (row.version <= must(offsets.get(row.partition), 'a position'))
        if (type === 'put') rows.set(row.keyText(), shown(row))
        else rows.delete(row.keyText())
      if (last.size === PARTITIONS) break
    }
    const wanted = [...rows].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)).map(([, row]) => row)
    expect(await scanned(at(0), end.token)).to.deep.equal(wanted)
  })

  it('has every write that was acknowledged before, and none that began after the answer', async () => {
    const keys = keysIn(cluster, 2)
    const acknowledged = new Map<string, number>()
    const begun = new Map<string, number>()
    let stopped = false
    const writers = keys.map(async (key, index) => {
      for (let number = 1; !stopped; number += 1) {
        begun.set(key, number)
        await at(index).put(key, String(number))
        acknowledged.set(key, number)
      }
    })
    while (acknowledged.size < keys.length) await new Promise((resolve) => setTimeout(resolve, 5))
    for (let times = 0; times < 8; times += 1) {
      const before = new Map(acknowledged)
      const { token } = await at(times).keyspaces.cut({ keyspaces: ['default'] })
      const until = new Map(begun)
      const rows = await at(times + 1).getMany(keys, { asOf: token })
      rows.forEach((row, index) => {
        const key = keys[index] ?? ''
        const number = Number(row?.text())
        expect(number).to.be.within(before.get(key) ?? 0, until.get(key) ?? 0)
      })
    }
    stopped = true
    await Promise.all(writers)
  })

  it('is the same one for the same name, on every node, and told so', async () => {
    const work = writing(7)
    const [first, ...again] = [
      await at(0).keyspaces.cut({ name: 'nightly', keyspaces: ['default'] }),
      ...(await Promise.all(each.map((db) => db.keyspaces.cut({ name: 'nightly', keyspaces: ['default'] })))),
    ]
    expect(first.repeatedName).to.equal(false)
    for (const cut of again) expect(cut).to.deep.equal({ ...first, repeatedName: true })
    expect(first.positions.every(({ timeMs }) => Math.abs(timeMs - Date.now()) < 60_000)).to.equal(true)
    // At once, on all nodes: one of them decides.
    const together = await Promise.all(
      each.map((db) => db.keyspaces.cut({ name: 'b', keyspaces: ['default'] })),
    )
    expect(new Set(together.map(({ token }) => token)).size).to.equal(1)
    await work.stop()
  })

  it('goes through all keyspaces where none is named', async () => {
    await at(0).keyspaces.create('second', { partitions: 2, replication: 1 })
    const { token, positions } = await at(1).keyspaces.cut()
    expect(positions.map(({ keyspace, partition }) => `${keyspace}/${partition}`)).to.deep.equal([
      ...[0, 1, 2, 3].map((partition) => `default/${partition}`),
      'second/0',
      'second/1',
    ])
    await at(0).keyspace('second').put('a', '1')
    expect(await at(2).keyspace('second').get('a', { asOf: token })).to.equal(undefined)
  })

  it('is made and read with a node dead', async () => {
    for (const key of keysIn(cluster, 2)) await at(0).put(key, 'before')
    const { token } = await at(1).keyspaces.cut({ name: 'a', keyspaces: ['default'] })
    for (const key of keysIn(cluster, 2)) await at(0).put(key, 'after')
    cluster.kill(2)
    const rows = await scanned(at(0), token)
    expect(rows.map(([, text]) => text)).to.deep.equal(rows.map(() => 'before'))
    expect(rows.length).to.equal(2 * PARTITIONS)
    expect((await at(0).keyspaces.cut({ name: 'a', keyspaces: ['default'] })).token).to.equal(token)
  })

  it('is refused where it cannot be, and so are reads of what is no point in the past', async () => {
    const db = at(0)
    const reason = async (work: Promise<unknown>): Promise<string> => (await refusalOf(work)).reason
    for (const name of ['x'.repeat(41), 'a/1', ' '])
      expect(await reason(db.keyspaces.cut({ name })), name).to.equal('FIELD_INVALID')
    expect(await reason(db.keyspaces.cut({ keyspaces: ['nowhere'] }))).to.equal('KEYSPACE_NOT_FOUND')
    await db.keyspaces.create('second', { partitions: 2, replication: 1 })
    const { token } = await db.keyspaces.cut({ keyspaces: ['default'] })
    const foreign = await refusalOf(scanned(db.keyspace('second'), token))
    expect(foreign.reason).to.equal('TOKEN_INVALID')
    expect(foreign.message).to.include('keyspace second, only of default')
    const { logIdentity, positions } = parseToken(token)
    const short = tokenText({ logIdentity, positions: positions.slice(1) })
    expect(await reason(scanned(db, short))).to.equal('TOKEN_INVALID')
    const strange = tokenText({ logIdentity: 'another', positions })
    expect(await reason(scanned(db, strange))).to.equal('TOKEN_INVALID')
    const beyond = tokenText({
      logIdentity,
      positions: positions.map((position) => ({ ...position, offset: position.offset + 1000 })),
    })
    expect(await reason(scanned(db, beyond))).to.equal('TOKEN_BEYOND_LOG')
    expect(await reason(db.get('a', { asOf: beyond }))).to.equal('TOKEN_BEYOND_LOG')
    expect(await reason(db.getMany(['a'], { asOf: strange }))).to.equal('TOKEN_INVALID')
    expect(await reason(db.get('a', { asOf: token, atVersion: 1 }))).to.equal('FIELD_INVALID')
    expect(await reason(db.get('a', { asOf: 'no token!' }))).to.equal('TOKEN_INVALID')
  })
})
