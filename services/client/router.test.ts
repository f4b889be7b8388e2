import { expect } from 'chai'
import type { ClusterMap } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { parseAddresses } from './addresses.ts'
import { FakeCluster } from './cluster.fake.ts'
import { hedged } from './hedge.ts'
import { connect, TidemarkError, type ConnectOptions, type Tidemark } from './index.ts'
import { preferenceOf } from './preference.ts'
import { FakeServer } from './server.fake.ts'

const nodesOf = (...ids: string[]) =>
  new Map(
    ids.map((nodeId, index) => [
      nodeId,
      {
        nodeId,
        incarnation: '',
        address: nodeId,
        zone: index % 2 === 0 ? 'even' : 'odd',
        draining: nodeId === 'd',
      },
    ]),
  )

describe('addresses of a client', () => {
  it('come as one, several by comma, or a list; each counts once', () => {
    expect(parseAddresses()).to.deep.equal(['127.0.0.1:7400'])
    expect(parseAddresses('a:1')).to.deep.equal(['a:1'])
    expect(parseAddresses('a:1, b:2,a:1')).to.deep.equal(['a:1', 'b:2'])
    expect(parseAddresses(['a:1', 'b:2,dns:///c:3'])).to.deep.equal(['a:1', 'b:2', 'dns:///c:3'])
    for (const bad of ['', 'a:1,', []]) expect(() => parseAddresses(bad)).to.throw(TidemarkError)
    expect(() => parseAddresses(Array.from({ length: 257 }, (_, n) => `a:${n}`))).to.throw('the limit is 256')
  })
})

describe('the preference among nodes', () => {
  const placement = { leader: 'c', replicas: ['a', 'b', 'c', 'd', 'gone'], warming: ['e'] }
  const nodes = nodesOf('a', 'b', 'c', 'd', 'e')

  it('has the leader first for writes, those that drain last, nobody who is gone or builds', () => {
    const { leaderFirst, nearestFirst } = preferenceOf(placement, 1, nodes, { zone: '', salt: 'x' })
    expect(leaderFirst[0]).to.equal('c')
    expect(nearestFirst.at(-1)).to.equal('d')
    expect([...leaderFirst].sort()).to.deep.equal(['a', 'b', 'c', 'd'])
    const leaderless = preferenceOf({ ...placement, leader: '' }, 1, nodes, { zone: '', salt: 'x' })
    expect(leaderless.leaderFirst).to.deep.equal(leaderless.nearestFirst)
  })

  it('has the own zone first for reads', () => {
    for (const salt of ['x', 'y', 'z']) {
      expect(preferenceOf(placement, 1, nodes, { zone: 'odd', salt }).nearestFirst[0]).to.equal('b')
      const even = preferenceOf(placement, 1, nodes, { zone: 'even', salt }).nearestFirst
      expect(even.slice(0, 2).sort()).to.deep.equal(['a', 'c'])
    }
  })

  it('spreads clients and partitions evenly', () => {
    const first = new Map<string, number>()
    for (let n = 0; n < 3000; n += 1) {
      const place = { zone: '', salt: `client-${n % 50}` }
      const [best = ''] = preferenceOf(placement, Math.floor(n / 50), nodes, place).nearestFirst
      first.set(best, (first.get(best) ?? 0) + 1)
    }
    expect([...first.keys()].sort()).to.deep.equal(['a', 'b', 'c'])
    for (const times of first.values()) expect(times).to.be.within(800, 1200)
  })
})

describe('a hedged read', () => {
  const never = new Promise<string>(() => undefined)

  it('takes the first answer, and cancels the other', async () => {
    const signals: AbortSignal[] = []
    const answer = await hedged(
      5,
      (signal) => {
        signals.push(signal)
        return never
      },
      () => () => Promise.resolve('second'),
    )
    expect(answer).to.equal('second')
    expect(signals.map(({ aborted }) => aborted)).to.deep.equal([true])
    expect(
      await hedged(
        1000,
        () => Promise.resolve('first'),
        () => expect.fail('too early'),
      ),
    ).to.equal('first')
  })

  it('waits for the one left when one fails, and fails when none is', async () => {
    const late = new Promise<string>((resolve) => setTimeout(() => resolve('first'), 30))
    expect(
      await hedged(
        5,
        () => late,
        () => () => Promise.reject(new Error('two')),
      ),
    ).to.equal('first')
    const failing = hedged(
      5,
      () => Promise.reject(new Error('one')),
      () => undefined,
    )
    expect(await failing.catch((error: unknown) => (error as Error).message)).to.equal('one')
  })
})

describe('the router of a client', () => {
  const clients: Tidemark[] = []
  const servers: { close(): Promise<void> }[] = []
  const client = (options: ConnectOptions): Tidemark => {
    const made = connect({ deadlineMs: 5000, ...options })
    clients.push(made)
    return made
  }
  const single = async (nodeId = 'fake-1', keyspaces?: FakeServer['keyspaces']): Promise<FakeServer> => {
    const server = await FakeServer.start(2, nodeId, keyspaces, true)
    servers.push(server)
    return server
  }
  const start = async (nodes: number, replication: number): Promise<FakeCluster> => {
    const cluster = await FakeCluster.start(nodes, 8, replication)
    servers.push(cluster)
    return cluster
  }
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((one) => one.close()))
    await Promise.all(servers.splice(0).map((server) => server.close()))
  })
  const keys = Array.from({ length: 100 }, (_, n) => `k${n}`)
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const mapOf = (...nodes: [nodeId: string, address: string][]): ClusterMap => ({
    generation: 1,
    nodes: nodes.map(([nodeId, address]) => ({
      nodeId,
      incarnation: '',
      address,
      zone: '',
      draining: false,
    })),
    keyspaces: [],
  })

  it('does not wait long for a map that does not come', async () => {
    const server = await single()
    const db = client({ server: server.address })
    const began = performance.now()
    await db.put('a', '1')
    expect(performance.now() - began).to.be.within(200, 2000)
    const times: number[] = []
    for (const value of ['2', '3', '4']) {
      const again = performance.now()
      await db.put('a', value)
      times.push(performance.now() - again)
    }
    expect(Math.min(...times)).to.be.lessThan(150)
    server.publish(mapOf())
    expect((await db.map()).nodes).to.deep.equal([])
    await db.put('a', '5')
  })

  it('stays with the address that it was given where the cluster has one node', async () => {
    const server = await single()
    server.publish(mapOf(['fake-1', '192.0.2.1:1']))
    const db = client({ server: server.address.replace('127.0.0.1', 'localhost') })
    await Promise.all(keys.map((key) => db.put(key, '1')))
    await db.map()
    expect((await db.getMany(keys)).every((row) => row?.text() === '1')).to.equal(true)
    expect((await db.describeAll()).map(({ description }) => description?.nodeId)).to.deep.equal(['fake-1'])
    server.drop()
    await Promise.all(keys.map((key) => db.put(key, '2')))
  })

  it('reaches nodes whose addresses lead nowhere through the one that it knows', async () => {
    const server = await single()
    const placements = [{ leader: 'a', replicas: ['a', 'b'], warming: [] }]
    const refused = await single('gone')
    await refused.down()
    const map = mapOf(['a', refused.address], ['b', refused.address.replace('127.0.0.1', 'localhost')])
    const [listed] = await client({ server: server.address }).keyspaces.list()
    server.publish({
      ...map,
      keyspaces: [
        { keyspace: listed && { ...listed, partitions: 1, partitionByPrefix: Buffer.alloc(0) }, placements },
      ],
    })
    const db = client({ server: server.address })
    expect((await db.map()).nodes.length).to.equal(2)
    await Promise.all(keys.map((key) => db.put(key, '1')))
    expect(server.arrivals.length).to.equal(keys.length)
  })

  it('talks to one of the addresses given only, where it shall not discover the others', async () => {
    const cluster = await start(3, 1)
    const [first = '', second = ''] = cluster.addresses
    const db = client({ server: [first, second], discover: false })
    await Promise.all(keys.map((key) => db.increment(key)))
    expect((await db.map()).nodes.length).to.equal(3)
    await Promise.all(keys.map((key) => db.increment(key)))
    expect(cluster.servers.map(({ arrivals }) => arrivals.length)).to.deep.equal([2 * keys.length, 0, 0])
    const all = (await db.describeAll()).map(({ description }) => description?.nodeId)
    expect(all).to.deep.equal(['node-0', 'node-1', 'node-2'])
    await cluster.node(0).down()
    const results = await Promise.all(keys.map((key) => db.increment(key)))
    expect(results.map(({ number }) => number)).to.deep.equal(keys.map(() => 3n))
    expect(cluster.servers.map(({ arrivals }) => arrivals.length)).to.deep.equal([
      2 * keys.length,
      keys.length,
      0,
    ])
  })

  it('grows from one node to several, and shrinks again', async () => {
    const cluster = await start(3, 2)
    const [only = ''] = cluster.addresses
    const all = cluster.placements
    cluster.placements = all.map(() => [0])
    cluster.publish(cluster.map([0]))
    const db = client({ server: only })
    await Promise.all(keys.map((key) => db.increment(key)))
    const maps: number[] = []
    db.onMap(({ nodes }) => maps.push(nodes.length))
    cluster.placements = all
    cluster.publish()
    await until(() => maps.at(-1) === 3)
    await Promise.all(keys.map((key) => db.increment(key)))
    expect(cluster.servers.every(({ arrivals }) => arrivals.length > 0)).to.equal(true)
    cluster.placements = all.map(() => [2])
    cluster.publish(cluster.map([2]))
    await cluster.node(0).down()
    await until(() => maps.at(-1) === 1)
    const results = await Promise.all(keys.map((key) => db.increment(key)))
    expect(results.map(({ number }) => number)).to.deep.equal(keys.map(() => 3n))
    expect(cluster.routed).to.equal(0)
  })

  it('does not go back to an older map, but takes one whose count began anew', async () => {
    const cluster = await start(3, 2)
    const behind = cluster.map()
    cluster.publish(cluster.map())
    const [first = ''] = cluster.addresses
    const db = client({ server: first })
    const { generation } = await db.map()
    const generations: number[] = []
    db.onMap((map) => generations.push(map.generation))
    const asked = (): number => cluster.servers.reduce((sum, { mapsAsked }) => sum + mapsAsked, 0)
    // The node that it follows is replaced by ones that are left behind, as it seems at first.
    for (const server of cluster.servers) server.quietly(behind)
    const before = asked()
    for (const server of cluster.servers) server.drop()
    await until(() => generations.at(-1) === behind.generation)
    expect(asked() - before).to.be.at.least(3)
    expect(generations[0]).to.equal(generation)
  })

  it('closes only when what was handed on has ended, wherever it is', async () => {
    const cluster = await start(3, 3)
    const db = client({ server: cluster.addresses, connections: 3 })
    await Promise.all(keys.map((key) => db.put(key, '1')))
    for (const server of cluster.servers) server.delayMs = 20
    cluster.node(1).holdAnswers()
    const begun = Promise.all(keys.map((key) => db.increment(`${key}-n`)))
    const closed = db.close()
    await cluster.node(1).down()
    expect((await begun).map(({ number }) => number)).to.deep.equal(keys.map(() => 1n))
    await closed
    const refused = await db.put('a', '1').catch((error: unknown) => error)
    expect((refused as TidemarkError).reason).to.equal('CANCELLED')
  })

  it('can be closed before anything was asked', async () => {
    const db = connect({ server: '127.0.0.1:1' })
    await db.close()
    const failure = await db.put('a', '1').catch((error: unknown) => error)
    expect((failure as TidemarkError).reason).to.equal('CANCELLED')
  })

  it('keeps the order of writes that are in flight together when their node dies', async () => {
    const cluster = await start(3, 2)
    const db = client({ server: cluster.addresses })
    await db.map()
    const writes: Promise<unknown>[] = []
    for (let n = 0; n < 3000; n += 1) {
      writes.push(db.put(keys[n % 10] ?? '', String(n)))
      if (n === 1000) cluster.node(1).holdAnswers()
      if (n === 1500) await cluster.node(1).down()
      if (n === 2500) await cluster.node(1).up()
      if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await Promise.all(writes)
    for (const [index, key] of keys.slice(0, 10).entries()) {
      const found = cluster.rows.history(Buffer.from(key)).map(({ row }) => Number(row?.value.toString()))
      expect(found.reverse()).to.deep.equal(Array.from({ length: 300 }, (_, n) => n * 10 + index))
    }
  })
})
