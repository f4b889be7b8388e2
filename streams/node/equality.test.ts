/** Replicas that are damaged behind their back: found out by majority or by the log, whoever leads, and nobody else is touched. */
import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { rowKey } from '../core/keys.ts'
import { APPEND_RECORDS_MAX, CHECKPOINT_OFFSETS } from '../core/limits.ts'
import { decodeRow, encodeRow } from '../core/row.ts'
import { draft } from '../core/testing/records.ts'
import type { Offset, Partition } from '../core/types.ts'
import { newMeters } from '../meters.ts'
import { knownPrefix, quarantine } from '../replica/catalogue.ts'
import { silent } from '../replica/replica.fake.ts'
import { bootstrapFrom } from '../snapshot/bootstrap.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import {
  TOPIC,
  isAtRest,
  openTestCluster,
  placements,
  put,
  readAll,
  soon,
  statusOf,
  until,
  write,
} from './cluster.fixture.ts'
import type { ClusterNode, TestCluster } from './cluster.fixture.ts'

const ONLY = 0 as Partition

/** Another value for a row, or none: apply knows nothing of it. */
function damageRow(store: Store, key: string, value: string | undefined): void {
  const stored = rowKey(must(knownPrefix(store, TOPIC, ONLY), 'a prefix'), Buffer.from(key))
  const row = decodeRow(must(store.getMany([stored])[0], 'the row'))
  const batch = store.batch()
  if (value === undefined) batch.delete(stored)
  else batch.put(stored, encodeRow({ ...row, value: Buffer.from(value) }))
  store.write(batch)
}

const leaderOf = (cluster: TestCluster): ClusterNode =>
  must(cluster.nodes.get(placements(cluster)[0]?.leader ?? ''), 'a leader')
const followersOf = (cluster: TestCluster): readonly ClusterNode[] =>
  [...cluster.nodes.values()].filter((one) => one !== leaderOf(cluster))

const stops = ({ told }: ClusterNode): readonly string[] => told.filter((each) => each.startsWith('stopped'))
const DIVERGED = ['stopped 0 REPLICA_DIVERGED']

/** Appends a barrier that has all replicas hash what they hold. */
const verify = (node: ClusterNode): Promise<number> => node.node.proofs.begin('default', ONLY, soon())

/** More records than lie between two checkpoints, each of its own. */
async function pastCheckpoint({ log }: TestCluster): Promise<void> {
  for (let at = 0; at <= CHECKPOINT_OFFSETS; at += APPEND_RECORDS_MAX) {
    const records = Array.from({ length: APPEND_RECORDS_MAX }, (_, each) => draft(`fill-${at + each}`, 'x'))
    await log.append(0, [{ topic: TOPIC, partition: ONLY, records }])
  }
}

const equalAgain = (cluster: TestCluster, key: string): Promise<void> => {
  const [first, ...others] = [...cluster.nodes.values()]
  return until(() => {
    const status = must(first, 'a node').node.replicas()[0]
    return others.every(({ node }) => {
      const other = statusOf(node, ONLY)
      return other?.next === status?.next && other?.chainHash === status?.chainHash
    })
  }, `${key}: the replicas have one chain`)
}

describe('replicas are proved equal', () => {
  let cluster: TestCluster

  const start = async (nodes: number): Promise<void> => {
    cluster = openTestCluster({ partitions: 1, replication: nodes })
    await Promise.all(Array.from({ length: nodes }, (_, at) => cluster.start(`n${at + 1}`)))
    await until(() => isAtRest(cluster, nodes), 'all have it')
    for (let at = 0; at < 50; at++) await put(cluster, `key-${at}`, String(at))
  }
  afterEach(() => cluster.dispose())

  /** The damaged one is found out, is equal again, and the others never stopped. */
  const onlyHeals = async (damaged: ClusterNode, key: string): Promise<void> => {
    await until(() => stops(damaged).length > 0, 'the damaged one is found out')
    await until(() => isAtRest(cluster, cluster.nodes.size), 'it is built again')
    await put(cluster, 'after', '1')
    await equalAgain(cluster, key)
    for (const one of cluster.nodes.values())
      expect(stops(one), one.id).to.deep.equal(one === damaged ? DIVERGED : [])
  }

  it('a damaged leader is found out by its own marks: it is built again, and no healthy one is', async () => {
    await start(3)
    const leader = leaderOf(cluster)
    damageRow(leader.store, 'key-7', '1000')
    await write(cluster, { kind: 'increment', key: Buffer.from('key-7'), delta: 1n })
    await pastCheckpoint(cluster)
    await onlyHeals(leader, 'key-7')
    expect(await readAll(cluster, 'key-7')).to.deep.equal(['8', '8', '8'])
  })

  it('so is a damaged follower', async () => {
    await start(3)
    const follower = must(followersOf(cluster)[0], 'a follower')
    damageRow(follower.store, 'key-7', 'not a number')
    await write(cluster, { kind: 'increment', key: Buffer.from('key-7'), delta: 1n })
    await pastCheckpoint(cluster)
    await onlyHeals(follower, 'key-7')
    expect(await readAll(cluster, 'key-7')).to.deep.equal(['8', '8', '8'])
  })

  it('of two that differ the log says which is right, also where the leader is not', async () => {
    await start(2)
    const leader = leaderOf(cluster)
    damageRow(leader.store, 'key-7', '1000')
    await write(cluster, { kind: 'increment', key: Buffer.from('key-7'), delta: 1n })
    await pastCheckpoint(cluster)
    await onlyHeals(leader, 'key-7')
    expect(await readAll(cluster, 'key-7')).to.deep.equal(['8', '8'])
    const [other] = [...cluster.nodes.values()].filter((one) => one !== leader)
    expect(other?.told.join()).to.include('is right: a replay of the log has it, too')
  })

  for (const [what, value] of [
    ['changed', '1000'],
    ['missing', undefined],
  ] as const)
    it(`a row that is ${what} in the store of a follower is found by the hash of the content`, async () => {
      await start(3)
      const follower = must(followersOf(cluster)[0], 'a follower')
      damageRow(follower.store, 'key-7', value)
      await verify(leaderOf(cluster))
      await onlyHeals(follower, 'key-7')
      expect(await readAll(cluster, 'key-7')).to.deep.equal(['7', '7', '7'])
    })

  it('a row that is changed in the store of the leader is found, too', async () => {
    await start(3)
    const leader = leaderOf(cluster)
    damageRow(leader.store, 'key-7', '1000')
    await verify(must(followersOf(cluster)[0], 'a follower'))
    await onlyHeals(leader, 'key-7')
    expect(await readAll(cluster, 'key-7')).to.deep.equal(['7', '7', '7'])
  })

  it('where both of two are damaged, both are built from the log', async () => {
    await start(2)
    const [one, two] = [...cluster.nodes.values()]
    damageRow(must(one, 'n1').store, 'key-7', '1000')
    damageRow(must(two, 'n2').store, 'key-7', '2000')
    await verify(leaderOf(cluster))
    await until(
      () => [...cluster.nodes.values()].every((each) => stops(each).length > 0),
      'both are found out',
    )
    await until(() => isAtRest(cluster, 2), 'both are built again')
    expect(await readAll(cluster, 'key-7')).to.deep.equal(['7', '7'])
  })

  it('where two differ and the log is trimmed a person says which is wrong, and it is built from the other', async () => {
    cluster = openTestCluster({ partitions: 1, replication: 2 })
    const levels = new Map<string, () => number>()
    for (const id of ['n1', 'n2']) {
      const store = openMemoryStore()
      const meters = newMeters()
      levels.set(id, () => meters.levels['replicas.disputed'])
      const told = silent
      await cluster.start(id, {
        store,
        telemetry: { ...told, meters },
        bootstrap: bootstrapFrom({
          cluster: 'test',
          logIdentity: cluster.log.identity,
          store,
          telemetry: { ...told, meters },
          async *offers(_topic, partition, peers) {
            for (const { nodeId } of peers) {
              const copies = must(cluster.nodes.get(nodeId), 'a peer').node.copies
              yield await Promise.resolve({
                from: nodeId,
                open: () => copies.give('default', partition).chunks,
              })
            }
          },
        }),
      })
    }
    const [one, two] = [...cluster.nodes.values()].map((each) => must(each, 'a node'))
    const [good, bad] = [must(one, 'n1'), must(two, 'n2')]
    await until(() => isAtRest(cluster, 2), 'both have it')
    for (let at = 0; at < 50; at++) await put(cluster, `key-${at}`, String(at))
    await cluster.log.trim(TOPIC, ONLY, 20 as Offset)
    damageRow(bad.store, 'key-7', '1000')
    await verify(leaderOf(cluster))
    await until(() => [...levels.values()].every((level) => level() === 1), 'both say that nobody can tell')
    expect(statusOf(good.node, ONLY)?.state, 'they serve on').to.equal('live')
    expect(statusOf(bad.node, ONLY)?.state).to.equal('live')

    expect(await bad.node.proofs.rebuild('default', ONLY)).to.deep.equal(['n1'])
    await until(() => levels.get('n2')?.() === 0, 'it is gone')
    await until(() => isAtRest(cluster, 2), 'it is built again')
    expect(await readAll(cluster, 'key-7')).to.deep.equal(['7', '7'])
    await verify(leaderOf(cluster))
    await until(() => levels.get('n1')?.() === 0, 'they are equal')

    bad.kill()
    const refused: unknown = await good.node.proofs
      .rebuild('default', ONLY)
      .catch((caught: unknown) => caught)
    expect(refused, 'the map does not know that it is the last').to.include({ reason: 'FIELD_INVALID' })
  })

  it('equal ones have the same hash, and nothing is told', async () => {
    await start(3)
    const at = await verify(leaderOf(cluster))
    const hashes = (): readonly (string | undefined)[] =>
      [...cluster.nodes.values()].map(({ node }) => {
        const found = node.proofs.tell('default', ONLY).contents.find((one) => one.at === at)
        return found?.content?.hash
      })
    await until(() => !hashes().includes(undefined), 'all have hashed')
    expect(new Set(hashes()).size).to.equal(1)
    expect([...cluster.nodes.values()].flatMap(({ told }) => told)).to.deep.equal([])
  })

  it('the leader has them compared now and again', async () => {
    cluster = openTestCluster({ partitions: 1, replication: 2 })
    await Promise.all(['n1', 'n2'].map((id) => cluster.start(id, { verifyMs: 500 })))
    await until(() => isAtRest(cluster, 2), 'both have it')
    await put(cluster, 'key', '1')
    const [follower] = followersOf(cluster)
    damageRow(must(follower, 'a follower').store, 'key', '2')
    await until(() => stops(must(follower, 'a follower')).length > 0, 'it is found out')
    await until(() => isAtRest(cluster, 2), 'it is built again')
    expect(await readAll(cluster, 'key')).to.deep.equal(['1', '1'])
  })

  it('one that was found wrong serves nothing after a restart either', async () => {
    await start(1)
    const one = must(cluster.nodes.get('n1'), 'n1')
    one.kill()
    cluster.group.evict('n1')
    quarantine(one.store, TOPIC, ONLY, 'it is wrong')
    const again = await cluster.start('n1', { store: one.store })
    expect(statusOf(again.node, ONLY)?.stopped).to.deep.equal({
      reason: 'REPLICA_DIVERGED',
      message: 'it is wrong',
    })
  })
})
