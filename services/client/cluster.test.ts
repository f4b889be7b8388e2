import { expect } from 'chai'
import { PipelineOperationKind as Kind } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { CLIENT_PATIENCE_MS } from '../../streams/core/limits.ts'
import { FakeCluster, ZONES } from './cluster.fake.ts'
import { connect, TidemarkError, type ClusterMap, type ConnectOptions, type Tidemark } from './index.ts'
import { FakeServer } from './server.fake.ts'

describe('client of a cluster', () => {
  let cluster: FakeCluster
  let db: Tidemark
  const clients: Tidemark[] = []

  const client = (options: ConnectOptions = {}): Tidemark => {
    const made = connect({ server: cluster.addresses, deadlineMs: 5000, ...options })
    clients.push(made)
    return made
  }
  beforeEach(async () => {
    cluster = await FakeCluster.start(3, 12, 2)
    db = client()
  })
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((one) => one.close()))
    await cluster.close()
  })

  const keys = Array.from({ length: 200 }, (_, n) => `k${n}`)
  /** Connects to all nodes. */
  const warm = async (): Promise<void> => {
    await Promise.all(keys.map((key) => db.get(key)))
    forget()
  }
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
  }
  const failureOf = async (promise: Promise<unknown>): Promise<TidemarkError> => {
    const failure = await promise.then(
      () => expect.fail('it succeeded'),
      (error: unknown) => error,
    )
    expect(failure).to.be.instanceOf(TidemarkError)
    return failure as TidemarkError
  }
  /** Keys of the operations of a kind that came to each node. */
  const arrived = (kind: number): string[][] =>
    cluster.servers.map(({ arrivals }) => arrivals.filter((one) => one.kind === kind).map(({ key }) => key))
  const byLeader = (): string[][] =>
    cluster.servers.map((_, index) => keys.filter((key) => cluster.leaderOf(key) === index))
  const forget = (): void => {
    for (const server of cluster.servers) {
      server.arrivals.length = 0
      server.unaries.length = 0
    }
  }
  const replicasOf = (key: string): number[] =>
    cluster.placements[cluster.rows.partitionOf(Buffer.from(key))] ?? []

  describe('routing', () => {
    it('sends writes and linearizable reads to the leader, from the first one on', async () => {
      await Promise.all(keys.map((key) => db.put(key, key)))
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_PUT)).to.deep.equal(byLeader())
      const rows = await Promise.all(keys.map((key) => db.get(key)))
      expect(rows.map((row) => row?.text())).to.deep.equal(keys)
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_GET)).to.deep.equal(byLeader())
      await Promise.all(keys.map((key) => db.transact({ if: [{ key, exists: true }], then: [{ get: key }] })))
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_TRANSACT)).to.deep.equal(byLeader())
      expect(cluster.routed).to.equal(0)
    })

    it('spreads other reads over the replicas, and prefers its zone', async () => {
      await Promise.all(keys.map((key) => db.put(key, key)))
      forget()
      // Each client has a choice of its own, for each partition; that all of them leave one node out does not happen.
      for (const one of [db, client(), client(), client()])
        await Promise.all(keys.map((key) => one.get(key, { consistency: 'eventual' })))
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_GET).every(({ length }) => length > 0)).to.equal(true)
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_GET)).to.not.deep.equal(byLeader())
      forget()
      const near = client({ zone: ZONES[1] ?? '' })
      await near.map()
      await Promise.all(keys.map((key) => near.get(key, { consistency: 'session' })))
      const inZone = keys.filter((key) => replicasOf(key).includes(1))
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_GET)[1]).to.deep.equal(inZone)
      expect(cluster.routed).to.equal(0)
    })

    it('asks each node once for its part of getMany, and puts the parts together', async () => {
      await Promise.all(keys.filter((_, n) => n % 3 > 0).map((key) => db.put(key, key)))
      forget()
      const rows = await db.getMany([...keys, 'k1'])
      expect(rows.map((row) => row?.keyText())).to.deep.equal([
        ...keys.map((key, n) => (n % 3 > 0 ? key : undefined)),
        'k1',
      ])
      expect(cluster.servers.map(({ unaries }) => unaries)).to.deep.equal([
        ['batchGet'],
        ['batchGet'],
        ['batchGet'],
      ])
      expect(cluster.routed).to.equal(0)
    })

    it('places keys as the keyspace is partitioned', async () => {
      cluster.rows.separator = '/'
      cluster.publish()
      const prefixed = keys.map((key, n) => `tenant-${n % 20}/${key}`)
      await Promise.all(prefixed.map((key) => db.put(key, 'x')))
      expect(cluster.routed).to.equal(0)
    })

    it('carries what it has seen from node to node', async () => {
      await Promise.all(keys.map((key) => db.put(key, key)))
      forget()
      await Promise.all(keys.map((key) => db.get(key, { consistency: 'session' })))
      const tokens = cluster.servers.map(({ arrivals }) => arrivals.at(-1)?.token?.positions.length)
      expect(tokens).to.deep.equal([12, 12, 12])
    })

    it('finds the cluster by one seed, and by those that live', async () => {
      const [first = '', second = ''] = cluster.addresses
      const one = client({ server: second })
      await Promise.all(keys.map((key) => one.put(key, '1')))
      expect(cluster.routed).to.equal(0)
      await cluster.node(0).down()
      cluster.publish(cluster.map([1, 2]))
      forget()
      const late = client({ server: `${first}, ${second}` })
      await Promise.all(keys.map((key) => late.put(key, '2')))
      expect(cluster.node(1).arrivals.length + cluster.node(2).arrivals.length).to.equal(keys.length)
    })

    it('keeps to one node that tells no map, and goes to the next seed when it dies', async () => {
      const rows = new Map(cluster.keyspaces)
      const old = [await FakeServer.start(2, 'old-0', rows), await FakeServer.start(2, 'old-1', rows)]
      const single = client({ server: old.map(({ address }) => address) })
      await Promise.all(keys.map((key) => single.put(key, '1')))
      expect(old.map(({ arrivals }) => arrivals.length)).to.deep.equal([keys.length, 0])
      expect((await failureOf(single.map())).reason).to.equal('NOT_IMPLEMENTED')
      expect((await single.describe()).nodeId).to.equal('old-0')
      const all = Promise.all(keys.map((key) => single.increment(`${key}n`)))
      await old[0]?.down()
      expect((await all).map(({ number }) => number)).to.deep.equal(keys.map(() => 1n))
      await single.close()
      await Promise.all(old.map((server) => server.close()))
    })
  })

  describe('when a node dies', () => {
    it('loses and doubles no pipelined write, and fails no read', async () => {
      await db.map()
      for (const server of cluster.servers) server.delayMs = 2
      let stop = false
      let done = 0
      const worker = async (own: string): Promise<void> => {
        for (let n = 1; !stop; n += 1) {
          const wrote = Promise.all([db.increment(own), db.increment(own)])
          const read = db.get(own, { consistency: n % 2 === 0 ? 'linearizable' : 'session' })
          const many = n % 10 === 0 ? db.getMany(keys) : undefined
          const [one, other] = await wrote
          expect([one.number, other.number]).to.deep.equal([BigInt(2 * n - 1), BigInt(2 * n)])
          await Promise.all([read, many])
          done += 1
        }
      }
      const workers = Promise.all(keys.map(worker))
      await until(() => done > 1000)
      cluster.node(1).holdAnswers()
      await new Promise((resolve) => setTimeout(resolve, 10))
      await cluster.node(1).down()
      const atDeath = done
      await until(() => done > atDeath + 1000)
      cluster.publish(cluster.map([0, 2]))
      await until(() => done > atDeath + 2000)
      stop = true
      await workers
    })

    for (const [name, ask] of Object.entries({
      put: (key: string) => db.put(key, 'x'),
      delete: (key: string) => db.delete(key),
      increment: (key: string) => db.increment(`${key}-n`),
      transact: (key: string) => db.transact({ then: [{ put: key, value: 'x' }] }),
      get: (key: string) => db.get(key),
      'eventual get': (key: string) => db.get(key, { consistency: 'eventual' }),
      'get at a version': (key: string) => db.get(key, { atVersion: 1 }),
      getMany: () => db.getMany(keys),
      history: (key: string) => db.history(key),
      outcome: (_: string, index: number) => db.outcome(index % 12, 1),
      'keyspaces.list': () => db.keyspaces.list(),
      describe: () => db.describe(),
    })) {
      it(`${name} goes to another replica`, async () => {
        await db.map()
        await ask('k0', 0)
        cluster.node(1).holdAnswers()
        const all = Promise.all(keys.map((key, index) => ask(key, index) as Promise<unknown>))
        await new Promise((resolve) => setTimeout(resolve, 10))
        await cluster.node(1).down()
        await all
        await Promise.all(keys.slice(0, 20).map((key, index) => ask(key, index) as Promise<unknown>))
      })
    }

    it('keeps the request id of each write', async () => {
      await warm()
      cluster.node(1).holdAnswers()
      const all = Promise.all(keys.map((key) => db.increment(key)))
      await until(() => cluster.node(1).arrivals.length === byLeader()[1]?.length)
      const sent = new Map(cluster.node(1).arrivals.map(({ key, requestId }) => [key, requestId]))
      await cluster.node(1).down()
      const results = await all
      expect(results.map(({ number }) => number)).to.deep.equal(keys.map(() => 1n))
      const again = [...cluster.node(0).arrivals, ...cluster.node(2).arrivals].filter(({ key }) =>
        sent.has(key),
      )
      expect(again.length).to.equal(sent.size)
      for (const { key, requestId } of again) expect(requestId).to.equal(sent.get(key))
      expect(results.filter(({ duplicate }) => duplicate).length).to.equal(sent.size)
    })

    it('comes back to it once it is there again', async () => {
      await Promise.all(keys.map((key) => db.put(key, '1')))
      await cluster.node(1).down()
      await Promise.all(keys.map((key) => db.put(key, '2')))
      await cluster.node(1).up()
      const before = cluster.node(1).arrivals.length
      while (cluster.node(1).arrivals.length === before)
        await Promise.all(keys.map((key) => db.put(key, '3')))
    })

    it('goes on with a scan after the last row, without a gap or a repetition', async () => {
      await Promise.all(keys.map((key) => db.put(key, key)))
      const scanned = async (options = {}): Promise<string[]> => {
        const found: string[] = []
        for (const server of cluster.servers) {
          server.rowsPerMessage = 10
          server.delayMs = 1
        }
        for await (const row of db.scan(options)) {
          found.push(row.keyText())
          if (found.length !== 55) continue
          await cluster.servers.find(({ scans }) => scans.length > 0)?.down()
        }
        return found
      }
      expect(await scanned({ consistency: 'eventual' })).to.deep.equal([...keys].sort())
      const scans = cluster.servers.flatMap((server) => server.scans)
      expect(scans.length).to.equal(2)
      const [resumed] = scans.filter(({ start }) => start.length > 0)
      expect(resumed?.consistency).to.equal(2)
      expect(resumed?.token?.positions.length).to.equal(12)
    })

    it('fails a scan that may not go on, with the reason', async () => {
      await Promise.all(keys.map((key) => db.put(key, key)))
      for (const server of cluster.servers) {
        server.rowsPerMessage = 1
        server.delayMs = 1
      }
      const strict = async (): Promise<void> => {
        for await (const row of db.scan({ restartable: false })) {
          expect(row.partition).to.be.lessThan(12)
          for (const server of cluster.servers) server.drop()
        }
      }
      expect((await failureOf(strict())).reason).to.equal('NODE_UNREACHABLE')
    })

    it('goes on with a watch on another node, without a gap or a repetition', async () => {
      const watch = db.watch()
      await watch.started
      const seen: string[] = []
      const reader = (async () => {
        for await (const item of watch) {
          if ('row' in item) seen.push(item.row.text())
          if (seen.length === 400) break
        }
      })()
      for (let n = 0; n < 400; n += 1) {
        cluster.rows.put(`k${n % 7}`, String(n))
        if (n === 200) await cluster.servers.find(({ watches }) => watches.length > 0)?.down()
        if (n % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await reader
      expect([...seen].sort((a, b) => Number(a) - Number(b))).to.deep.equal(
        Array.from({ length: 400 }, (_, n) => String(n)),
      )
      expect(cluster.servers.filter(({ watches }) => watches.length > 0).length).to.equal(2)
    })

    it('hands on what a silent node holds as soon as the map no longer has it', async () => {
      await warm()
      cluster.node(1).holdAnswers()
      const all = Promise.all([
        ...keys.map((key) => db.increment(key)),
        ...keys.map((key) => db.get(key, { consistency: 'eventual' })),
        db.getMany(keys),
      ])
      await until(() => cluster.node(1).arrivals.length > 0)
      const map = cluster.map([0, 2])
      cluster.node(0).publish(map)
      cluster.node(2).publish(map)
      await all
    }).timeout(4000)

    it('says in one sentence, inside the deadline, that nobody answers', async () => {
      await db.put('k0', '0')
      await Promise.all(cluster.servers.map((server) => server.down()))
      const put = (): Promise<unknown> => db.put('k1', '1', { deadlineMs: 50 })
      while ((await failureOf(put())).reason !== 'NODE_UNREACHABLE');
      const began = performance.now()
      const failures = await Promise.all([
        failureOf(db.put('k1', '1', { deadlineMs: 300 })),
        failureOf(db.get('k1', { deadlineMs: 300 })),
        failureOf(db.getMany(keys, { deadlineMs: 300 })),
        failureOf(db.history('k1', { deadlineMs: 300 })),
        failureOf(db.describe({ deadlineMs: 300 })),
      ])
      expect(performance.now() - began).to.be.lessThan(1500)
      expect(failures.map(({ reason }) => reason)).to.deep.equal(failures.map(() => 'NODE_UNREACHABLE'))
      expect(failures[0]?.message).to.match(
        /^no connection to .* within 300 ms; nothing was sent; .*ECONNREFUSED/,
      )
      const scan = client({ server: cluster.addresses, deadlineMs: 200 }).scan()
      expect((await failureOf(scan.next())).reason).to.equal('NODE_UNREACHABLE')
    })
  })

  describe('when nodes refuse', () => {
    it('follows the map', async () => {
      await Promise.all(keys.map((key) => db.put(key, '1')))
      cluster.placements = cluster.placements.map(([a = 0, b = 0]) => [3 - a - b, a])
      const told = new Promise<ClusterMap>((resolve) => {
        const end = db.onMap((map) => {
          if (map.generation > 1) {
            end()
            resolve(map)
          }
        })
      })
      cluster.publish()
      await told
      forget()
      await Promise.all(keys.map((key) => db.put(key, '2')))
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_PUT)).to.deep.equal(byLeader())
      expect(cluster.routed).to.equal(0)
    })

    it('asks elsewhere and reads the map again where it is old', async () => {
      await Promise.all(keys.map((key) => db.put(key, '1')))
      for (const server of cluster.servers) server.refusesElsewhere = true
      const asked = cluster.servers.map(({ mapsAsked }) => mapsAsked)
      // All that the map has is wrong, and only node 2 knows it.
      cluster.placements = cluster.placements.map(() => [2])
      cluster.obey()
      await new Promise((resolve) => setTimeout(resolve, 600))
      const numbers = await Promise.all(keys.map((key) => db.increment(`${key}-n`)))
      expect(numbers.map(({ number }) => number)).to.deep.equal(keys.map(() => 1n))
      expect((await db.getMany(keys)).map((row) => row?.text())).to.deep.equal(keys.map(() => '1'))
      expect(cluster.servers.map(({ mapsAsked }) => mapsAsked)).to.not.deep.equal(asked)
    })

    it('keeps the order of writes while leadership moves back and forth', async () => {
      await db.map()
      const writes: Promise<unknown>[] = []
      for (let n = 0; n < 600; n += 1) {
        for (const key of ['a', 'b', 'c', 'd']) writes.push(db.put(key, String(n)))
        if (n % 40 === 0) {
          cluster.placements = cluster.placements.map(([a = 0, b = 0]) => [b, 3 - a - b])
          cluster.publish()
        }
        if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
      }
      cluster.publish()
      await Promise.all(writes)
      for (const key of ['a', 'b', 'c', 'd']) {
        const found = cluster.rows
          .history(Buffer.from(key))
          .map((event) => Number(event.row?.value.toString()))
        expect(found.reverse()).to.deep.equal(Array.from({ length: 600 }, (_, n) => n))
      }
    })

    it('leaves a node that drains', async () => {
      await db.map()
      cluster.node(0).refuse = () => 'NODE_DRAINING'
      await Promise.all(keys.map((key) => db.put(key, '1')))
      expect(cluster.node(1).arrivals.length + cluster.node(2).arrivals.length).to.equal(keys.length)
    })

    it('hands on what a node does not answer, in order and once, and goes on with the others', async () => {
      await warm()
      const mine = keys.filter((key) => cluster.leaderOf(key) === 0)
      const [one = '', two = ''] = mine
      let number = 0
      // As one that is cut off from the log does, or of which no answer comes back.
      cluster.node(0).keepsQuiet = ({ kind }) =>
        kind === Kind.PIPELINE_OPERATION_KIND_PUT || number++ % 2 === 0 ? 'lost' : 'done'
      const began = performance.now()
      const counted = mine.map((key) => db.increment(key))
      const written = Array.from({ length: 20 }, (_, n) => db.put(`${one}-row`, String(n)))
      const reads = [db.get(two), db.get(two, { consistency: 'eventual' })]
      for (const { number: found } of await Promise.all(counted)) expect(found).to.equal(1n)
      await Promise.all(written)
      await Promise.all(reads)
      const took = performance.now() - began
      expect(took).to.be.greaterThan(CLIENT_PATIENCE_MS - 100)
      expect(took, 'long before the deadline').to.be.lessThan(CLIENT_PATIENCE_MS * 2)
      const rows = cluster.rows.history(Buffer.from(`${one}-row`)).map(({ row }) => Number(row?.value))
      expect(rows.reverse()).to.deep.equal(Array.from({ length: 20 }, (_, n) => n))
      forget()
      const again = performance.now()
      await Promise.all(mine.map((key) => db.increment(key)))
      expect(performance.now() - again, 'it is passed over').to.be.lessThan(500)
      expect(cluster.node(0).arrivals).to.deep.equal([])
    })

    it('waits for the one node that has it, and for one that is slow', async () => {
      await warm()
      cluster.placements = cluster.placements.map(([leader = 0]) => [leader])
      cluster.publish()
      await db.map()
      const key = keys.find((name) => cluster.leaderOf(name) === 0) ?? ''
      cluster.node(0).delayMs = 2 * CLIENT_PATIENCE_MS
      expect((await db.increment(key)).number).to.equal(1n)
      expect(cluster.servers.map(({ arrivals }) => arrivals.length)).to.deep.equal([1, 0, 0])
    })

    it('reads from another replica where one restores or has stopped, and fails where all have', async () => {
      await Promise.all(keys.map((key) => db.put(key, '1')))
      cluster.node(0).refuse = () => 'PARTITION_RESTORING'
      await Promise.all(keys.map((key) => db.get(key)))
      cluster.node(0).refuse = () => 'PARTITION_STOPPED'
      await Promise.all(keys.map((key) => db.get(key)))
      for (const server of cluster.servers) server.refuse = () => 'PARTITION_STOPPED'
      expect((await failureOf(db.get('k1'))).reason).to.equal('PARTITION_STOPPED')
    })
  })

  describe('hedged reads', () => {
    it('take the first answer, and ask once where it comes in time', async () => {
      await Promise.all(keys.map((key) => db.put(key, key)))
      forget()
      await Promise.all(keys.map((key) => db.get(key, { hedgeAfterMs: 1000 })))
      expect(arrived(Kind.PIPELINE_OPERATION_KIND_GET)).to.deep.equal(byLeader())
      cluster.node(1).delayMs = 2000
      forget()
      const began = performance.now()
      const rows = await Promise.all(keys.map((key) => db.get(key, { hedgeAfterMs: 20 })))
      const [versions] = await Promise.all([
        db.history('k1', { hedgeAfterMs: 20 }),
        db.get('k1', { atVersion: 1, hedgeAfterMs: 20 }),
      ])
      const many = await db.getMany(keys, { hedgeAfterMs: 20 })
      expect(performance.now() - began).to.be.lessThan(1500)
      expect(rows.map((row) => row?.text())).to.deep.equal(keys)
      expect(many.map((row) => row?.text())).to.deep.equal(keys)
      expect(versions.versions.length).to.equal(1)
    })

    it('fail as the first does when no answer comes', async () => {
      for (const server of cluster.servers) server.refuse = () => 'VALUE_TOO_LARGE'
      expect((await failureOf(db.get('k1', { hedgeAfterMs: 20 }))).reason).to.equal('VALUE_TOO_LARGE')
      expect((await failureOf(db.get('k1', { hedgeAfterMs: -1 }))).reason).to.equal('FIELD_INVALID')
    })
  })

  describe('for tools', () => {
    it('tells the map, and each new one', async () => {
      const map = await db.map()
      expect(map.nodes.map(({ nodeId, zone }) => [nodeId, zone])).to.deep.equal(
        ZONES.map((zone, index) => [`node-${index}`, zone]),
      )
      expect(map.keyspaces[0]?.placements[1]).to.deep.equal({
        leader: 'node-1',
        replicas: ['node-1', 'node-2'],
        warming: [],
      })
      const generations: number[] = []
      const end = db.onMap(({ generation }) => generations.push(generation))
      cluster.publish()
      await until(() => generations.length === 2)
      end()
      expect(generations).to.deep.equal([map.generation, map.generation + 1])
    })

    it('describes every node, those that do not answer too', async () => {
      await db.map()
      await cluster.node(2).down()
      const began = performance.now()
      const found = await db.describeAll({ deadlineMs: 8000 })
      expect(performance.now() - began, 'nobody waits for the dead').to.be.lessThan(2000)
      expect(found.map(({ nodeId, description }) => [nodeId, description?.nodeId])).to.deep.equal([
        ['node-0', 'node-0'],
        ['node-1', 'node-1'],
        ['node-2', undefined],
      ])
      expect(found[2]?.failure?.reason).to.equal('NODE_UNREACHABLE')
    })

    it('moves leadership and drains the node that is meant', async () => {
      expect(await db.transferLeadership('default', 3, 'node-1')).to.equal('node-1')
      await db.drain('node-2')
      expect(cluster.node(2).unaries.at(-1)).to.equal('drain')
      const failure = await failureOf(db.drain('node-9'))
      expect(failure.message).to.equal('there is no node node-9; there are node-0, node-1, node-2')
    })

    it('creates, describes, changes and deletes keyspaces', async () => {
      await db.keyspaces.create('other', { partitions: 4, replication: 2, defaultTtlMs: 1000 })
      expect((await db.keyspaces.describe('other')).partitions).to.equal(4)
      expect((await db.keyspaces.update('other', { replication: 3 })).replication).to.equal(3)
      expect((await failureOf(db.keyspaces.delete('other', 'othr'))).reason).to.equal('FIELD_INVALID')
      await db.keyspaces.delete('other', 'other')
      expect((await failureOf(db.keyspaces.describe('other'))).reason).to.equal('KEYSPACE_NOT_FOUND')
    })
  })
})
