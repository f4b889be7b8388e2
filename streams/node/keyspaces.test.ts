/** Keyspaces that come and go: created, found, deleted, created again; and replicas that are damaged. */
import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { metaKey } from '../core/keys.ts'
import { decodeState, encodeState } from '../core/state.ts'
import { decodeRecord } from '../core/decode.ts'
import type { LogRecord, Offset, Partition } from '../core/types.ts'
import type { Keyspace, KeyspaceInfo } from '../face.ts'
import type { Log } from '../log/log.ts'
import { beginBuild, knownPrefix, storedReplicas } from '../replica/catalogue.ts'
import { emptyDisk, openMemoryStore } from '../store/memory.ts'
import {
  type ClusterNode,
  type TestCluster,
  TOPIC,
  isAtRest,
  openTestCluster,
  placements,
  put,
  readAll,
  soon,
  statusOf,
  until,
} from './cluster.fixture.ts'

const ORDERS = 'test.orders'

async function recordsOf(log: Log, topic: string, partition: number): Promise<readonly LogRecord[]> {
  const description = await log.describeTopic(topic)
  if (description === undefined) return []
  const reader = log.read(topic, partition as Partition, 0 as Offset, description)
  const { end } = await log.offsets(topic, partition as Partition)
  const records = end === 0 ? [] : (await reader.next()).records
  reader.close()
  return records
}

const formatsIn = async (log: Log, topic: string, partition: number): Promise<number> =>
  (await recordsOf(log, topic, partition)).filter((record) => decodeRecord(record).kind === 'format').length

const write = async (keys: Keyspace, key: string, value: string): Promise<string | undefined> =>
  (await keys.write({ kind: 'put', key: Buffer.from(key), value: Buffer.from(value) }, { deadline: soon() }))
    .outcome?.status

describe('keyspaces of a cluster', () => {
  let cluster: TestCluster
  const nodeOf = (id: string): ClusterNode => {
    const found = cluster.nodes.get(id)
    if (found === undefined) throw new Error(`there is no node ${id}`)
    return found
  }
  const startAll = async (...ids: string[]): Promise<void> => {
    await Promise.all(ids.map((id) => cluster.start(id)))
    await until(() => isAtRest(cluster, Math.min(2, ids.length)), 'the nodes share the partitions')
  }

  beforeEach(() => {
    cluster = openTestCluster({ partitions: 4 })
  })
  afterEach(() => cluster.dispose())

  it('tells once that the list of replicas cannot be read, however often it looks', async () => {
    const disk = emptyDisk()
    await cluster.start('a', { store: openMemoryStore(disk) })
    await until(() => isAtRest(cluster, 1), 'the node serves')
    const { node, told } = nodeOf('a')
    for (const entry of disk.chunks.flat()) disk.damaged.add(entry)
    for (let looks = 0; looks < 3; looks++) await node.forgetKeyspace('default')
    expect(told.filter((line) => line.includes('topics of the log'))).to.have.length(1)
  })

  it('are set up by whoever creates them, once in each partition', async () => {
    await startAll('n1', 'n2', 'n3')
    for (let partition = 0; partition < 4; partition++)
      expect(await formatsIn(cluster.log, TOPIC, partition)).to.be.within(1, 3)
    await nodeOf('n1').node.createKeyspace('orders', { partitions: 3 })
    for (let partition = 0; partition < 3; partition++)
      expect(await formatsIn(cluster.log, ORDERS, partition)).to.equal(1)
    await nodeOf('n2').node.createKeyspace('orders', { partitions: 3 })
    await cluster.start('n4')
    await until(() => isAtRest(cluster, 2) && isAtRest(cluster, 2, ORDERS), 'all have them')
    for (let partition = 0; partition < 3; partition++)
      expect(await formatsIn(cluster.log, ORDERS, partition), 'nobody else sets them up').to.equal(1)
  })

  it('have the settings of one of two creators at once, in all partitions and on all nodes', async () => {
    await startAll('n1', 'n2', 'n3')
    const separators = ['/', '#']
    const results = await Promise.all(
      separators.map((separator, at) =>
        nodeOf(`n${at + 1}`)
          .node.createKeyspace('orders', {
            partitions: 4,
            partitionBy: { kind: 'prefix', separator: Buffer.from(separator) },
          })
          .catch((caught: unknown) => TidemarkError.from(caught).reason),
      ),
    )
    const made = results.filter((result): result is KeyspaceInfo => typeof result === 'object')
    expect(made).to.have.length(1)
    expect(results).to.include('KEYSPACE_EXISTS')
    await until(() => isAtRest(cluster, 2, ORDERS), 'it is served')
    const text = ({ partitionBy }: KeyspaceInfo): string =>
      partitionBy.kind === 'prefix' ? Buffer.from(partitionBy.separator).toString() : 'key'
    const [winner] = made
    for (const { node } of cluster.nodes.values())
      expect(text(node.keyspace('orders').info)).to.equal(winner && text(winner))
    for (let at = 0; at < 20; at++) {
      const key = `customer-${at}${winner === undefined ? '' : text(winner)}order`
      const partition = nodeOf('n3').node.keyspace('orders').partitionOf(Buffer.from(key))
      const leader = placements(cluster, ORDERS)[partition]?.leader ?? ''
      expect(await write(nodeOf(leader).node.keyspace('orders'), key, 'x')).to.equal('applied')
    }
  })

  it('are usable when creating them returns, and show up on the other nodes', async () => {
    await startAll('n1', 'n2')
    await nodeOf('n1').node.createKeyspace('orders', { partitions: 2 })
    expect(await write(nodeOf('n1').node.keyspace('orders'), 'a', '1')).to.equal('applied')
    await until(() => nodeOf('n2').node.keyspaces().length === 2, 'the other knows it')
    expect(
      nodeOf('n2')
        .node.keyspaces()
        .map(({ name }) => name),
    ).to.deep.equal(['default', 'orders'])
  })

  it('are set up by a leader where a stranger made the topic', async function () {
    this.timeout(120_000)
    await startAll('n1', 'n2')
    await cluster.log.createTopic(ORDERS, { partitions: 2, valueBytesMax: 1024, replication: 1 })
    await until(() => isAtRest(cluster, 2, ORDERS), 'it is found')
    expect(await formatsIn(cluster.log, ORDERS, 0), 'its creator gets its time').to.equal(0)
    const keys = nodeOf('n1').node.keyspace('orders')
    const status = (): Promise<string | undefined> =>
      write(keys, 'a', '1').catch((caught: unknown) => TidemarkError.from(caught).reason)
    expect(await status()).to.equal('PARTITION_RESTORING')
    await until(() => keys.info.valueBytesMax > 0, 'it is set up')
    for (const end = Date.now() + 12_000; (await status()) !== 'applied';)
      if (Date.now() > end) throw new Error('nobody set it up')
      else await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await formatsIn(cluster.log, ORDERS, 0)).to.be.within(0, 1)
  })

  it('leave nothing behind when they are deleted, and begin anew when they are created again', async () => {
    await startAll('n1', 'n2', 'n3')
    await nodeOf('n1').node.createKeyspace('orders', { partitions: 3 })
    await until(() => isAtRest(cluster, 2, ORDERS), 'it is served')
    const partition = nodeOf('n1').node.keyspace('orders').partitionOf(Buffer.from('a'))
    const leader = placements(cluster, ORDERS)[partition]?.leader ?? ''
    await write(nodeOf(leader).node.keyspace('orders'), 'a', 'old')
    await nodeOf('n2').node.deleteKeyspace('orders')
    const gone = ({ node, store }: ClusterNode): boolean =>
      node.keyspaces().length === 1 && storedReplicas(store).every(({ topic }) => topic === TOPIC)
    await until(() => [...cluster.nodes.values()].every(gone), 'it is gone everywhere')
    const reason = await nodeOf('n2')
      .node.deleteKeyspace('orders')
      .catch((caught: unknown) => TidemarkError.from(caught).reason)
    expect(reason).to.equal('KEYSPACE_NOT_FOUND')
    expect(
      await nodeOf('n2')
        .node.deleteKeyspace('default')
        .catch((caught: unknown) => TidemarkError.from(caught).reason),
    ).to.equal('FIELD_INVALID')
    await nodeOf('n3').node.createKeyspace('orders', { partitions: 2 })
    await until(() => isAtRest(cluster, 2, ORDERS), 'it is served again')
    for (const { node, id } of cluster.nodes.values())
      for (let at = 0; at < 2; at++)
        if (placements(cluster, ORDERS)[at]?.replicas.includes(id) === true)
          expect(statusOf(node, at, ORDERS)?.rows).to.equal(0)
  })

  it('that were deleted and created again behind the back of a node are built anew there', async () => {
    await startAll('n1', 'n2', 'n3')
    await nodeOf('n1').node.createKeyspace('orders', { partitions: 3 })
    await until(() => isAtRest(cluster, 2, ORDERS), 'it is served')
    // The nodes have no time to see that it is gone.
    await nodeOf('n1').node.deleteKeyspace('orders')
    await nodeOf('n1').node.createKeyspace('orders', { partitions: 3 })
    await until(() => isAtRest(cluster, 2, ORDERS), 'all have the new one')
    const identity = (await cluster.log.describeTopic(ORDERS))?.identity
    expect(cluster.group.map.topics.find(({ topic }) => topic === ORDERS)?.identity).to.equal(identity)
  })

  it('stay stopped where a stranger recreated the topic, until somebody creates them on purpose', async () => {
    await startAll('n1', 'n2')
    await put(cluster, 'a', '1')
    await cluster.log.deleteTopic(TOPIC)
    await cluster.log.createTopic(TOPIC, { partitions: 4, valueBytesMax: 1024, replication: 1 })
    const stopped = (): boolean =>
      [...cluster.nodes.values()].every(({ node }) => {
        const reasons = node.replicas().map((replica) => replica.stopped?.reason)
        return reasons.length === 4 && reasons.every((reason) => reason === 'TOPIC_RECREATED')
      })
    await until(stopped, 'all replicas say so')
    const refusals = async (): Promise<void> => {
      for (const { node } of cluster.nodes.values()) {
        const began = Date.now()
        const refused: unknown = await node
          .keyspace('default')
          .get(Buffer.from('a'), { deadline: Date.now() + 5000 })
          .catch((caught: unknown) => caught)
        expect(refused).to.include({ reason: 'PARTITION_STOPPED' })
        expect(refused).to.have.nested.property('metadata.cause', 'TOPIC_RECREATED')
        expect(Date.now() - began, 'at once').to.be.lessThan(1000)
      }
    }
    await until(
      () => cluster.nodes.get('n1')?.map?.topics[0]?.settings === undefined,
      'the new one has no settings',
    )
    await refusals()
    const { store, kill } = nodeOf('n2')
    kill()
    cluster.group.evict('n2')
    await cluster.start('n2', { store })
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(stopped(), 'a restart makes it no better').to.equal(true)
    await refusals()
    expect(storedReplicas(store)).to.have.length(4)
    expect(await formatsIn(cluster.log, TOPIC, 0), 'nobody makes the new one ours').to.equal(0)
    await nodeOf('n1').node.createKeyspace('default', {})
    await until(() => isAtRest(cluster, 2), 'they are built anew')
    expect(await readAll(cluster, 'a')).to.deep.equal([undefined, undefined])
  })
})

describe('replicas of a node', () => {
  let cluster: TestCluster
  beforeEach(() => {
    cluster = openTestCluster({ partitions: 4 })
  })
  afterEach(() => cluster.dispose())

  const damage = ({ store }: ClusterNode, partition: number): void => {
    const batch = store.batch()
    batch.put(
      metaKey(knownPrefix(store, TOPIC, partition as Partition) ?? Buffer.alloc(4)),
      Buffer.from('damaged'),
    )
    store.write(batch)
  }
  const restart = async (id: string): Promise<ClusterNode> => {
    const { store, kill } = cluster.nodes.get(id) ?? (await cluster.start(id))
    kill()
    cluster.group.evict(id)
    return cluster.start(id, { store })
  }

  it('go on from the store after a crash, and finish what was begun', async () => {
    const one = await cluster.start('n1')
    await until(() => isAtRest(cluster, 1), 'one node has all')
    await put(cluster, 'a', '1')
    // As after an end in the middle of giving up a replica.
    beginBuild(one.store, 'test.gone', 0 as Partition)
    const again = await restart('n1')
    await until(() => isAtRest(cluster, 1), 'it has all again')
    expect(await readAll(cluster, 'a')).to.deep.equal(['1'])
    expect(again.node.ready).to.equal(true)
    expect(storedReplicas(again.store)).to.have.length(4)
  })

  it('of which one is damaged stop one partition, not the node', async () => {
    const one = await cluster.start('n1')
    await until(() => isAtRest(cluster, 1), 'one node has all')
    damage(one, 2)
    const { node } = await restart('n1')
    await until(() => statusOf(node, 1)?.state === 'live', 'the others are live')
    expect(statusOf(node, 2)?.stopped?.reason).to.equal('STORE_CORRUPT')
    expect(node.ready).to.equal(false)
  })

  it('are built again where they are damaged and another node has them', async () => {
    await Promise.all([cluster.start('n1'), cluster.start('n2')])
    await until(() => isAtRest(cluster, 2), 'both have all')
    const names = Array.from({ length: 20 }, (_, at) => `key-${at}`)
    for (const name of names) await put(cluster, name, '1')
    const one = cluster.nodes.get('n1')
    if (one !== undefined) damage(one, 2)
    const { told } = await restart('n1')
    await until(() => told.includes('stopped 2 STORE_CORRUPT'), 'it says so')
    await until(() => isAtRest(cluster, 2), 'it is built again')
    for (const name of names) expect(await readAll(cluster, name)).to.deep.equal(['1', '1'])
  })

  it('that went another way are found out by a mark of the leader, and built again', async () => {
    cluster = openTestCluster({ partitions: 1 })
    await Promise.all([cluster.start('n1'), cluster.start('n2')])
    await until(() => isAtRest(cluster, 2), 'both have it')
    const follower = placements(cluster)[0]?.leader === 'n1' ? 'n2' : 'n1'
    const { store } = cluster.nodes.get(follower) ?? (await cluster.start(follower))
    cluster.nodes.get(follower)?.kill()
    cluster.group.evict(follower)
    const key = metaKey(knownPrefix(store, TOPIC, 0 as Partition) ?? Buffer.alloc(4))
    const state = decodeState(store.getMany([key])[0] ?? Buffer.alloc(0))
    const batch = store.batch()
    batch.put(key, encodeState({ ...state, chain: Buffer.alloc(32, 7) }))
    store.write(batch)
    const { told } = await cluster.start(follower, { store })
    await until(() => isAtRest(cluster, 2), 'it does not know yet')
    // Past a checkpoint.
    for (let at = 0; at < 1100; at++) await put(cluster, `key-${at}`, '1')
    await until(() => told.includes('stopped 0 REPLICA_DIVERGED'), 'it says so')
    await until(() => isAtRest(cluster, 2), 'it is built again')
    const chains = [...cluster.nodes.values()].map(({ node }) => {
      const { chainHash, next } = statusOf(node, 0) ?? {}
      return `${chainHash} at ${next}`
    })
    expect(new Set(chains).size).to.equal(1)
  })

  it('are built by what the node was given for it, else from the log', async () => {
    await cluster.start('n1')
    await until(() => isAtRest(cluster, 1), 'one node has all')
    const asked: string[] = []
    const { told } = await cluster.start('n2', {
      store: openMemoryStore(),
      bootstrap: async ({ topic, partition, sources, offsets }) => {
        asked.push(
          `${topic.topic}/${partition} of ${offsets.end > 0} from ${sources.map(({ nodeId }) => nodeId).join()}`,
        )
        if (partition === 1) throw new TidemarkError('NODE_UNREACHABLE', 'the peer is away')
        return Promise.resolve()
      },
    })
    await until(() => isAtRest(cluster, 2), 'both have all')
    expect(asked.sort()).to.deep.equal([0, 1, 2, 3].map((at) => `${TOPIC}/${at} of true from n1`))
    expect(told).to.deep.equal([`partition 1 of ${TOPIC} is built from the log: the peer is away`])
  })
})
