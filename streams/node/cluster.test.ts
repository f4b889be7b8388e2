import { expect } from 'chai'
import type { ClusterMap } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { encodeLead, encodeTick } from '../core/encode.ts'
import type { Epoch, Partition } from '../core/types.ts'
import { storedReplicas } from '../replica/catalogue.ts'
import { replicaSpan } from '../core/keys.ts'
import {
  type ClusterNode,
  type TestCluster,
  TOPIC,
  isAtRest,
  openTestCluster,
  partitionOf,
  placements,
  put,
  readAll,
  soon,
  statusOf,
  until,
} from './cluster.fixture.ts'

const names = Array.from({ length: 64 }, (_, at) => `key-${at}`)
const everything = { start: Buffer.alloc(0), end: undefined }

/** Replicas that the store has rows of, or of which anything is left. */
function leftIn({ store }: ClusterNode): { readonly named: number; readonly bytes: boolean } {
  const named = storedReplicas(store)
  const known = new Set(named.map(({ prefix }) => Buffer.from(prefix).readUInt32BE(0)))
  let bytes = false
  for (let prefix = 1; prefix < 100; prefix++) {
    if (known.has(prefix)) continue
    const bare = Buffer.alloc(4)
    bare.writeUInt32BE(prefix)
    const cursor = store.cursor(replicaSpan(bare))
    bytes ||= cursor.next(1).length > 0
    cursor.close()
  }
  return { named: named.length, bytes }
}

describe('a cluster', () => {
  let cluster: TestCluster
  const nodeOf = (id: string): ClusterNode => {
    const found = cluster.nodes.get(id)
    if (found === undefined) throw new Error(`there is no node ${id}`)
    return found
  }
  const startThree = async (): Promise<void> => {
    await Promise.all(['n1', 'n2', 'n3'].map((id) => cluster.start(id)))
    await until(() => isAtRest(cluster, 2), 'three nodes share the partitions')
  }
  const writeAll = (value: string): Promise<unknown> =>
    Promise.all(names.map((name) => put(cluster, name, value)))
  const expectEverywhere = async (value: string): Promise<void> => {
    for (const name of names)
      expect(new Set(await readAll(cluster, name)), name).to.deep.equal(new Set([value]))
  }

  beforeEach(() => {
    cluster = openTestCluster()
  })
  afterEach(() => cluster.dispose())

  it('is ready no sooner than what nobody else serves is live', async () => {
    const { node } = await cluster.start('n1')
    await new Promise<void>((resolve) => {
      if (node.ready) resolve()
      else node.onReady((ready) => ready && resolve())
    })
    expect(node.replicas().map(({ state }) => state)).to.deep.equal(Array.from({ length: 8 }, () => 'live'))
  })

  it('shares partitions, and answers each from every node that the map names', async () => {
    await startThree()
    await writeAll('1')
    await expectEverywhere('1')
    const here = [...cluster.nodes.values()].map(({ node }) => node.replicas().length)
    expect(here.reduce((sum, count) => sum + count)).to.equal(16)
    const leads = placements(cluster).map(({ leader }) => leader)
    for (const id of ['n1', 'n2', 'n3'])
      expect(leads.filter((leader) => leader === id).length).to.be.within(2, 3)
    expect([...cluster.nodes.values()].map(({ node }) => node.ready)).to.deep.equal([true, true, true])
  })

  it('sends away what concerns partitions that are elsewhere', async () => {
    await startThree()
    await writeAll('1')
    const { node } = nodeOf('n1')
    const keys = node.keyspace('default')
    const mine = node.replicas().map(({ partition }) => partition)
    const key = Buffer.from(names.find((name) => !mine.includes(partitionOf(keys, name))) ?? '')
    const freshness = { deadline: soon() }
    const calls: (() => Promise<unknown>)[] = [
      () => keys.get(key, freshness),
      () => keys.getMany([...names.map((name) => Buffer.from(name))], freshness),
      () => keys.write({ kind: 'delete', key }, freshness),
      () => keys.scan({ range: everything, ...freshness }),
      () => keys.watch({ range: everything }),
      () => keys.history(key, 1, freshness),
      () => keys.outcome(keys.partitionOf(key), 0 as never, soon()),
    ]
    for (const call of calls) {
      const error = await call().then(() => undefined, TidemarkError.from)
      expect(error?.reason, String(call)).to.equal('PARTITION_ELSEWHERE')
      expect(error?.retriable).to.equal(true)
    }
    const found: string[] = []
    const { rows, token } = await keys.scan({ range: everything, partitions: mine, ...freshness })
    for await (const chunk of rows) found.push(...chunk.map((row) => Buffer.from(row.key).toString()))
    expect(found).to.have.members(names.filter((name) => mine.includes(partitionOf(keys, name))))
    expect(token.positions.map(({ partition }) => partition)).to.have.members(mine)
    const watch = await keys.watch({ range: everything, partitions: mine })
    await watch.next()
    await watch.return?.()
  })

  it('goes on without a node that was killed, and a stale leader does no harm', async () => {
    await startThree()
    await writeAll('1')
    const before = placements(cluster).map(({ leader }, partition) => ({
      leader,
      epoch: statusOf(nodeOf(leader ?? '').node, partition)?.epoch ?? 0,
    }))
    nodeOf('n2').kill()
    // The others do not know yet: a replica that lives takes the writes.
    await writeAll('2')
    cluster.group.evict('n2')
    await until(() => isAtRest(cluster, 2), 'the others took over')
    await writeAll('3')
    await expectEverywhere('3')
    for (const [at, { leader, epoch }] of before.entries()) {
      const partition = at as Partition
      const now = placements(cluster)[partition]
      const status = statusOf(nodeOf(now?.leader ?? '').node, partition)
      if (leader !== 'n2') {
        expect(now?.leader, 'who leads keeps it').to.equal(leader)
        continue
      }
      expect(status?.epoch).to.be.greaterThan(epoch)
      const records = [encodeTick(epoch as Epoch)]
      await cluster.log.append(partition % 2, [{ topic: TOPIC, partition, records }])
      await until(
        () => statusOf(nodeOf(now?.leader ?? '').node, partition)?.rejected === (status?.rejected ?? 0) + 1,
        'the tick of the dead leader is rejected',
      )
    }
  })

  it('gives a new node its share: built before anything is dropped, nothing stops meanwhile', async () => {
    await startThree()
    await writeAll('1')
    let stop = false
    let written = 0
    const gaps = { longest: 0 }
    const writing = (async (): Promise<void> => {
      for (let at = 0; !stop; at++) {
        const began = Date.now()
        await put(cluster, names[at % names.length] ?? '', `2-${at}`)
        gaps.longest = Math.max(gaps.longest, Date.now() - began)
        written += 1
        // In memory everything is done in one turn of the event loop; others must get theirs.
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })()
    const copies = new Map<number, number>()
    const watching = setInterval(() => {
      for (let partition = 0; partition < 8; partition++) {
        const live = [...cluster.nodes.values()].filter(
          ({ node }) => statusOf(node, partition)?.state === 'live',
        )
        copies.set(partition, Math.min(live.length, copies.get(partition) ?? Infinity))
      }
    }, 1)
    try {
      await cluster.start('n4')
      await until(
        () => nodeOf('n4').node.replicas().length > 0 && isAtRest(cluster, 2),
        'the fourth node has its share',
      )
    } finally {
      stop = true
      clearInterval(watching)
      await writing
    }
    expect(written).to.be.greaterThan(10)
    expect(
      [...copies.values()].every((least) => least >= 2),
      'always two live replicas',
    ).to.equal(true)
    expect(gaps.longest, 'milliseconds of the longest write').to.be.lessThan(1000)
    const [a, b, c, d] = ['n1', 'n2', 'n3', 'n4'].map((id) => nodeOf(id).node.replicas().length)
    expect((a ?? 0) + (b ?? 0) + (c ?? 0) + (d ?? 0)).to.equal(16)
    expect(d).to.be.within(1, 8)
    await until(
      () =>
        [...cluster.nodes.values()].every((one) => {
          const { named, bytes } = leftIn(one)
          return named === one.node.replicas().length && !bytes
        }),
      'the rows of what was given away are gone',
    )
    await writeAll('3')
    await expectEverywhere('3')
  })

  it('ends a watch whose replica moves away, with a place to go on from', async () => {
    await startThree()
    const before = new Map([...cluster.nodes.values()].map((one) => [one.id, one.node.replicas()]))
    const watches = await Promise.all(
      [...before].map(async ([id, replicas]) => {
        const partitions = replicas.map(({ partition }) => partition)
        const watch = await nodeOf(id).node.keyspace('default').watch({ range: everything, partitions })
        await watch.next()
        return {
          id,
          end: (async () => {
            for (;;) if ((await watch.next()).done === true) return 'done'
          })().catch((caught: unknown) => TidemarkError.from(caught).reason),
        }
      }),
    )
    await cluster.start('n4')
    await until(() => nodeOf('n4').node.replicas().length > 0 && isAtRest(cluster, 2), 'it has its share')
    for (const { id, end } of watches) {
      const lost = (before.get(id) ?? []).length > nodeOf(id).node.replicas().length
      if (lost) expect(await end, id).to.equal('PARTITION_ELSEWHERE')
    }
  })

  it('moves a leadership on request, and everything when a node drains', async () => {
    await startThree()
    const leader = placements(cluster)[0]?.leader ?? ''
    const other = placements(cluster)[0]?.replicas.find((id) => id !== leader) ?? ''
    const refused = await nodeOf(other)
      .node.transferLeadership('default', 0 as Partition, '')
      .catch((caught: unknown) => TidemarkError.from(caught))
    expect(refused).to.include({ reason: 'NOT_LEADER' })
    expect((refused as TidemarkError).metadata).to.include({ leader })
    const stranger =
      ['n1', 'n2', 'n3'].find((id) => placements(cluster)[0]?.replicas.includes(id) !== true) ?? ''
    expect(
      await nodeOf(leader)
        .node.transferLeadership('default', 0 as Partition, stranger)
        .catch((caught: unknown) => TidemarkError.from(caught).reason),
    ).to.equal('FIELD_INVALID')
    const missing = await nodeOf(leader)
      .node.transferLeadership('default', 99 as Partition, '')
      .catch((caught: unknown) => String(caught))
    expect(missing).to.contain('has partitions 0 to 7, not 99')
    expect(await nodeOf(leader).node.transferLeadership('', 0 as Partition, other)).to.equal(other)
    await until(() => statusOf(nodeOf(leader).node, 0)?.leader === other, 'the other leads')
    expect(placements(cluster)[0]?.leader).to.equal(other)

    const leaving = nodeOf('n3')
    const given = placements(cluster).flatMap(({ leader: now }, at) => (now === 'n3' ? [at] : []))
    expect(given).not.to.deep.equal([])
    const told: ClusterMap[] = []
    nodeOf('n1').node.map$.subscribe((map) => told.push(map))
    const began = Date.now()
    await leaving.node.drain(Date.now() + 5000)
    expect(Date.now() - began, 'milliseconds to drain').to.be.lessThan(1000)
    expect(leaving.node.ready).to.equal(false)
    expect(placements(cluster).every(({ leader: now }) => now !== undefined && now !== 'n3')).to.equal(true)
    const first = told.find(({ nodes }) => nodes.some(({ nodeId, draining }) => nodeId === 'n3' && draining))
    const next = given.map((at) => first?.topics[0]?.placements[at]?.leader)
    expect(next, 'one map is enough').to.satisfy((ids: unknown[]) =>
      ids.every((id) => id === 'n1' || id === 'n2'),
    )
    await writeAll('while it drains')
    await leaving.node.close(Date.now() + 1000)
    cluster.nodes.delete('n3')
    await until(() => isAtRest(cluster, 2), 'two nodes have all')
    await expectEverywhere('while it drains')
  })

  it('does not fight over a partition: who was replaced takes it again only by a newer map', async () => {
    await startThree()
    const leader = placements(cluster)[0]?.leader ?? ''
    // A node that was away for long finishes what it began: its lead record comes late. The leader hears of no newer map.
    cluster.group.hold(leader)
    const records = [encodeLead('n9', 'another start')]
    await cluster.log.append(0, [{ topic: TOPIC, partition: 0 as Partition, records }])
    await until(() => statusOf(nodeOf(leader).node, 0)?.leader !== leader, 'it is replaced')
    for (let look = 0; look < 30; look++) {
      await new Promise((resolve) => setTimeout(resolve, 10))
      expect(statusOf(nodeOf(leader).node, 0)?.leader).not.to.equal(leader)
    }
    cluster.group.release(leader)
    await until(() => isAtRest(cluster, 2), 'it is back')
  })
})
