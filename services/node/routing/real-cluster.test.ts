/** Three real nodes, each with some of the partitions: whichever is asked, the answer is the same. */
import { expect } from 'chai'
import { type RealCluster, keysIn, p, realCluster } from './real-cluster.fixture.ts'

describe('three real nodes', function () {
  this.timeout(60_000)
  let cluster: RealCluster
  beforeEach(async () => {
    cluster = await realCluster({ nodes: 3, partitions: 6, replication: 2 })
  })
  afterEach(async () => {
    await cluster.close()
    expect(cluster.bugs).to.deep.equal([])
  })

  it('answer any request on any node, and read what was written on another', async () => {
    const keys = keysIn(cluster, 4)
    const [a, b, c] = cluster.members.map(({ db }) => db)
    if (a === undefined || b === undefined || c === undefined) throw new Error('three nodes')
    await Promise.all(keys.map((key) => a.put(key, `of a: ${key}`)))
    const read = await Promise.all(keys.map((key) => b.get(key)))
    expect(read.map((row) => row?.text())).to.deep.equal(keys.map((key) => `of a: ${key}`))
    const many = await c.getMany(keys)
    expect(many.map((row) => row?.text())).to.deep.equal(keys.map((key) => `of a: ${key}`))
    c.observe(a.token())
    const session = await Promise.all(keys.map((key) => c.get(key, { consistency: 'session' })))
    expect(session.every((row) => row !== undefined)).to.equal(true)
    for (const db of [a, b, c]) {
      const scanned: string[] = []
      for await (const row of db.scan()) scanned.push(row.keyText())
      expect(scanned).to.deep.equal(keys.toSorted())
    }
    for (const [at, db] of [a, b, c].entries()) {
      const key = keys[at] ?? ''
      const { partition, offset = 0 } = await db.put(key, 'again', {
        ifVersion: (await a.get(key))?.version ?? 0,
      })
      for (const other of [a, b, c]) {
        expect((await other.history(key)).versions.map(({ row }) => row.text())).to.deep.equal([
          'again',
          `of a: ${key}`,
        ])
        const { outcomes } = await other.outcome(partition, offset)
        expect(outcomes.map(({ applied }) => applied)).to.include(true)
      }
      const taken = await db.transact({
        if: [{ key, exists: true }],
        then: [{ get: key }, { delete: key }, { get: key }],
      })
      expect(taken.succeeded).to.equal(true)
      expect(taken.rows.map((row) => row?.text())).to.deep.equal(['again', undefined, undefined])
      expect(await a.get(key)).to.equal(undefined)
    }
  })

  it('count every increment once through the death of a node', async () => {
    const keys = keysIn(cluster, 1)
    const { db } = cluster.at(0)
    let stop = false
    let acknowledged = 0
    const counting = keys.map(async (key) => {
      while (!stop) {
        await db.increment(key)
        acknowledged += 1
      }
    })
    while (acknowledged < 50) await new Promise((resolve) => setTimeout(resolve, 5))
    cluster.kill(2)
    const before = acknowledged
    while (acknowledged < before + 200) await new Promise((resolve) => setTimeout(resolve, 5))
    stop = true
    await Promise.all(counting)
    const rows = await cluster.at(1).db.getMany(keys)
    const sum = rows.reduce((total, row) => total + Number(row?.text() ?? 0), 0)
    expect(sum).to.equal(acknowledged)
  })

  it('count every increment once while replicas move, those without a request id too, and tell all to a watch', async () => {
    const keys = keysIn(cluster, 1)
    const { db, node } = cluster.at(0)
    const routed = node.keyspace('default')
    const watch = db.watch({})
    await watch.started
    let stop = false
    let acknowledged = 0
    const counting = keys.flatMap((key) => [
      (async () => {
        for (; !stop; acknowledged += 1) await db.increment(key)
      })(),
      (async () => {
        const mutation = { kind: 'increment', key: Buffer.from(key), delta: 1n } as const
        for (; !stop; acknowledged += 1) {
          await routed.write(mutation, { deadline: Date.now() + 10_000 })
          // An own replica on the memory log answers without a turn of the event loop.
          await new Promise((resolve) => setImmediate(resolve))
        }
      })(),
    ])
    const holders = (): string =>
      JSON.stringify(cluster.membership.map.topics.flatMap(({ placements }) => placements))
    while (acknowledged < 50) await new Promise((resolve) => setTimeout(resolve, 5))
    const before = holders()
    await cluster.grow()
    expect(holders()).not.to.equal(before)
    const moved = acknowledged
    while (acknowledged < moved + 100) await new Promise((resolve) => setTimeout(resolve, 5))
    stop = true
    await Promise.all(counting)
    const rows = await cluster.at(3).db.getMany(keys)
    const sum = rows.reduce((total, row) => total + Number(row?.text() ?? 0), 0)
    expect(sum).to.equal(acknowledged)
    const last = new Map<string, number>()
    let told = 0
    for await (const item of watch) {
      if (item.type === 'restart' || item.type === 'delta-begin') throw new Error('the client noticed')
      if (item.type !== 'put') continue
      told += 1
      const [key, count] = [item.row.keyText(), Number(item.row.text())]
      expect(count, key).to.equal((last.get(key) ?? 0) + 1)
      last.set(key, count)
      if (told === sum) break
    }
  })

  it('keep a watch going through the death of a node behind it', async () => {
    const keys = keysIn(cluster, 2)
    const { db } = cluster.at(0)
    const watch = db.watch({})
    await watch.started
    const seen: string[] = []
    const following = (async () => {
      for await (const item of watch) {
        if (item.type === 'restart') throw new Error('the client noticed')
        if (item.type === 'put') seen.push(`${item.row.keyText()}=${item.row.text()}`)
        if (seen.length === 3 * keys.length) return
      }
    })()
    const writeAll = (value: string): Promise<unknown> => Promise.all(keys.map((key) => db.put(key, value)))
    await writeAll('1')
    cluster.kill(1)
    await writeAll('2')
    await writeAll('3')
    await following
    for (const key of keys)
      expect(seen.filter((event) => event.startsWith(`${key}=`))).to.deep.equal(
        ['1', '2', '3'].map((value) => `${key}=${value}`),
      )
  })

  it('make keyspaces anywhere, and move a leadership from anywhere', async () => {
    await cluster.at(1).db.keyspaces.create('orders', { partitions: 4 })
    const orders = cluster
      .at(2)
      .node.keyspaces()
      .map(({ name }) => name)
    await cluster.until(() => cluster.members.every(({ node }) => node.keyspaces().length === 2))
    expect(orders).to.include('default')
    await cluster.at(0).db.keyspace('orders').put('first', '1')
    expect((await cluster.at(2).db.keyspace('orders').get('first'))?.text()).to.equal('1')

    const topic = (): { leader: string | undefined; replicas: readonly string[] } => {
      const found = cluster.membership.map.topics.find((each) => each.topic === 'test.default')?.placements[0]
      if (found === undefined) throw new Error('partition 0 is not in the map')
      return found
    }
    const { leader, replicas } = topic()
    const other = replicas.find((nodeId) => nodeId !== leader) ?? ''
    const asked = cluster.members.find(({ nodeId }) => nodeId !== leader)
    expect(await asked?.node.transferLeadership('default', p(0), other)).to.equal(other)
    expect(topic().leader).to.equal(other)
  })
})
