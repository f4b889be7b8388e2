/** Changing and deleting keyspaces, on several nodes that share a log in memory; each partition has one replica. */
import { expect } from 'chai'
import { filter, firstValueFrom } from 'rxjs'
import { must } from '../core/assert.ts'
import type { ClusterMap } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { VALUE_BYTES_CEILING } from '../core/limits.ts'
import { Prng } from '../core/testing/prng.ts'
import type { LogTime, Partition } from '../core/types.ts'
import type { KeyspaceChanges, KeyspaceInfo, TidemarkNode } from '../face.ts'
import type { Log } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { simulatedCluster } from '../membership/simulated.ts'
import { openNode } from '../node.ts'
import { quiet, soon, text } from '../node.fixture.ts'
import { openMemoryStore } from '../store/memory.ts'
import { systemClock, systemRandom } from '../system.ts'

const PARTITIONS = 6
const TOPIC = 'test.orders'

describe('changes of a keyspace', () => {
  let nodes: TidemarkNode[]
  let shift: number
  let log: Log
  const cluster = (): ReturnType<typeof simulatedCluster> => simulatedCluster(new Prng(3), systemClock)

  const rests = (map: ClusterMap): boolean => {
    const placements = map.topics.find(({ topic }) => topic === TOPIC)?.placements ?? []
    return (
      map.nodes.length === nodes.length &&
      placements.length > 0 &&
      placements.every(({ leader, warming }) => leader !== undefined && warming.length === 0)
    )
  }
  const settled = async (): Promise<ClusterMap> => {
    const maps = await Promise.all(nodes.map((node) => firstValueFrom(node.map$.pipe(filter(rests)))))
    return must(maps[0], 'a map')
  }

  beforeEach(async () => {
    shift = 0
    const group = cluster()
    log = openMemoryLog({ clock: () => (Date.now() + shift) as LogTime })
    nodes = []
    for (const nodeId of ['a', 'b', 'c']) {
      const node = await openNode({
        cluster: 'test',
        nodeId,
        zone: '',
        // Nodes share it: none of them ends it.
        log: {
          ...log,
          lanes: log.lanes,
          identity: log.identity,
          healthy: true,
          close: async () => undefined,
        },
        logKind: 'memory',
        store: openMemoryStore(),
        membership: group.member(),
        clock: { ...systemClock, now: () => Date.now() + shift },
        random: systemRandom,
        telemetry: quiet,
        partitions: PARTITIONS,
        replication: 1,
        dev: true,
      })
      node.join(`${nodeId}:7400`)
      nodes.push(node)
    }
    await must(nodes[1], 'a node').createKeyspace('orders', {})
    await settled()
  })
  afterEach(() => Promise.all(nodes.map((node) => node.close(soon()))))

  const nodeOf = (map: ClusterMap, partition: number): TidemarkNode => {
    const placements = must(
      map.topics.find(({ topic }) => topic === TOPIC),
      'the topic',
    ).placements
    const leader = placements[partition]?.leader
    return must(
      nodes.find(({ description }) => description.nodeId === leader),
      'the leader',
    )
  }

  /** As the router does it. */
  async function update(changes: KeyspaceChanges): Promise<KeyspaceInfo> {
    const map = await settled()
    return nodeOf(map, 0).updateKeyspace('orders', changes, {
      deadline: soon(),
      async elsewhere(partitions, stands) {
        const { replication, ...rest } = stands
        const part = { ...rest, ...(replication === 0 ? {} : { replication }) }
        for (const partition of partitions)
          await nodeOf(map, partition).updateKeyspace('orders', part, {
            deadline: soon(),
            partitions: [partition],
          })
      },
    })
  }
  const update0 = (node: TidemarkNode, changes: KeyspaceChanges): Promise<KeyspaceInfo> =>
    node.updateKeyspace('orders', changes, { deadline: soon() })
  const reasonOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'none',
      (error: unknown) => (error instanceof TidemarkError ? error.reason : String(error)),
    )

  it('reach every partition, wherever its replica is, and rows go by them', async () => {
    const map = await settled()
    expect(new Set(Array.from({ length: PARTITIONS }, (_, at) => nodeOf(map, at)))).to.have.length(3)
    const info = await update({ defaultTtlMs: 5000 })
    expect(info).to.include({ defaultTtlMs: 5000, replication: 1, packing: true })
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const rows = nodeOf(map, partition).keyspace('orders')
      const key = keyIn(rows, partition)
      await rows.write({ kind: 'put', key, value: Buffer.from('v') }, { deadline: soon() })
      const { row } = await rows.get(key, { deadline: soon() })
      expect(text(row?.value)).to.equal('v')
      expect(row?.expiresAt, `partition ${partition}`).to.be.greaterThan(Date.now())
    }
  })

  it('count both where two are made at once, one after the other', async () => {
    await Promise.all([
      update({ defaultTtlMs: 5000 }),
      update({ packing: false }),
      update({ replication: 2 }),
    ])
    const expected = { defaultTtlMs: 5000, packing: false, replication: 2 }
    for (const node of nodes) expect(node.keyspace('orders').info).to.include(expected)
    expect(await update({})).to.include(expected)
  })

  it('make replicas where more are wanted', async () => {
    await update({ replication: 3 })
    const map = await firstValueFrom(
      must(nodes[0], 'a node').map$.pipe(
        filter(({ topics }) =>
          topics.some(
            ({ topic, placements }) =>
              topic === TOPIC && placements.every(({ replicas }) => replicas.length === 3),
          ),
        ),
      ),
    )
    expect(map.topics.find(({ topic }) => topic === TOPIC)).to.include({ replication: 3 })
    // The other keyspace stays as it is.
    expect(map.topics.find(({ topic }) => topic === 'test.default')).to.include({ replication: 1 })
  })

  it('are made by the leader of partition 0 alone', async () => {
    const map = await settled()
    const leader = nodeOf(map, 0)
    // A node keeps a replica for a while after the map gave it to another.
    const has = (node: TidemarkNode, partition: number): boolean =>
      node.replicas().some((replica) => replica.keyspace === 'orders' && replica.partition === partition)
    const hasAll = Array.from({ length: PARTITIONS }, (_, at) => at).every((at) => has(leader, at))
    for (const node of nodes) {
      const reason = await reasonOf(update0(node, { packing: true }))
      expect(reason).to.equal(node !== leader ? 'NOT_LEADER' : hasAll ? 'none' : 'PARTITION_ELSEWHERE')
    }
    for (const node of nodes) {
      const part = node.updateKeyspace('orders', {}, { deadline: soon(), partitions: [0 as Partition] })
      expect(await reasonOf(part)).to.equal(has(node, 0) ? 'none' : 'PARTITION_ELSEWHERE')
    }
  })

  it('are refused where they would break what stands', async () => {
    expect((await update({ valueBytesMax: 2_000_000 })).valueBytesMax).to.equal(2_000_000)
    for (const changes of [
      { valueBytesMax: 1_000_000 },
      { valueBytesMax: VALUE_BYTES_CEILING + 1 },
      { replication: 0 },
      { defaultTtlMs: -1 },
    ])
      expect(await reasonOf(update(changes)), JSON.stringify(changes)).to.equal('FIELD_INVALID')
    const [first] = nodes
    const unknown = must(first, 'a node').updateKeyspace('nowhere', {}, { deadline: soon() })
    expect(await reasonOf(unknown)).to.equal('KEYSPACE_NOT_FOUND')
  })

  it('can be a deletion: every node drops it at once when it is told, and another may take its name', async () => {
    const [first, second, third] = nodes
    await must(first, 'a node').deleteKeyspace('orders')
    expect(await log.describeTopic(TOPIC)).to.equal(undefined)
    for (const node of [second, third]) {
      await must(node, 'a node').forgetKeyspace('orders')
      expect(
        must(node, 'a node')
          .keyspaces()
          .map(({ name }) => name),
      ).to.deep.equal(['default'])
    }
    expect(await reasonOf(must(first, 'a node').deleteKeyspace('default'))).to.equal('FIELD_INVALID')
    await must(third, 'a node').createKeyspace('orders', { partitions: 2, defaultTtlMs: 60_000 })
    await settled()
    expect(must(third, 'a node').keyspace('orders').info).to.include({ partitions: 2, defaultTtlMs: 60_000 })
  })

  it('are not deletions on hearsay: a keyspace whose topic stands stays', async () => {
    const [first] = nodes
    await must(first, 'a node').forgetKeyspace('orders')
    expect(must(first, 'a node').keyspaces()).to.have.length(2)
  })
})

function keyIn(rows: { partitionOf(key: Uint8Array): Partition }, partition: number): Buffer {
  for (let number = 0; ; number++) {
    const key = Buffer.from(`key-${number}`)
    if (rows.partitionOf(key) === partition) return key
  }
}
