import { expect } from 'chai'
import { must } from '../core/assert.ts'
import { Prng } from '../core/testing/prng.ts'
import type { LogTime, Offset, Partition } from '../core/types.ts'
import type { TidemarkNode } from '../face.ts'
import type { Log } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { simulatedCluster } from '../membership/simulated.ts'
import { quiet, soon, text } from '../node.fixture.ts'
import { openNode } from '../node.ts'
import type { Telemetry } from '../ports.ts'
import { openMemoryStore } from '../store/memory.ts'
import { systemClock, systemRandom } from '../system.ts'
import { bootstrapFrom } from './bootstrap.ts'
import { reasonOf } from './copies.fake.ts'

const PARTITIONS = 3

describe('nodes of one cluster', () => {
  let log: Log
  let cluster: ReturnType<typeof simulatedCluster>
  const nodes = new Map<string, TidemarkNode>()
  /** What went over from node to node. */
  const copied: string[] = []
  const troubles: string[] = []

  beforeEach(() => {
    log = openMemoryLog({ clock: () => Date.now() as LogTime })
    cluster = simulatedCluster(new Prng(5), systemClock)
    copied.length = 0
    troubles.length = 0
  })
  afterEach(async () => {
    for (const node of nodes.values()) await node.close(Date.now())
    nodes.clear()
  })

  async function open(nodeId: string): Promise<TidemarkNode> {
    const store = openMemoryStore()
    const telemetry: Telemetry = { ...quiet, trouble: (sentence) => void troubles.push(sentence) }
    const node = await openNode({
      cluster: 'test',
      nodeId,
      zone: '',
      // The log outlives the node.
      log: { ...log, identity: log.identity, close: () => Promise.resolve() },
      logKind: 'memory',
      store,
      membership: cluster.member(),
      clock: systemClock,
      random: systemRandom,
      telemetry,
      partitions: PARTITIONS,
      replication: 2,
      dev: true,
      bootstrap: bootstrapFrom({
        cluster: 'test',
        logIdentity: log.identity,
        store,
        telemetry,
        async *offers(topic, partition, peers) {
          for (const peer of peers)
            yield await Promise.resolve({
              from: peer.nodeId,
              open() {
                copied.push(`${topic}/${partition} ${peer.nodeId} → ${nodeId}`)
                return must(nodes.get(peer.nodeId), 'the peer').copies.give('default', partition).chunks
              },
            })
        },
      }),
    })
    nodes.set(nodeId, node)
    node.join(`${nodeId}:1`)
    await until(
      () => node.replicas().length === PARTITIONS && node.replicas().every(({ state }) => state === 'live'),
    )
    return node
  }

  async function until(come: () => boolean): Promise<void> {
    while (!come()) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  const put = (node: TidemarkNode, key: string, value: string) =>
    node
      .keyspace('default')
      .write({ kind: 'put', key: Buffer.from(key), value: Buffer.from(value) }, { deadline: soon() })

  it('build replicas from each other where the log no longer reaches back, and go on with the log', async () => {
    const first = await open('n1')
    for (let at = 0; at < 60; at++) await put(first, `key ${at}`, `one ${at}`)
    for (const { partition, next } of first.replicas()) await log.trim('test.default', partition, next)
    const second = await open('n2')
    expect(copied.toSorted()).to.deep.equal([0, 1, 2].map((at) => `test.default/${at} n1 → n2`))
    expect(troubles).to.deep.equal([])
    for (let at = 0; at < 60; at += 2) await put(first, `key ${at}`, `two ${at}`)
    await until(() => second.replicas().every(({ next }, at) => next === first.replicas()[at]?.next))
    expect(second.replicas().map(({ chainHash }) => chainHash)).to.deep.equal(
      first.replicas().map(({ chainHash }) => chainHash),
    )
    for (const [key, value] of [
      ['key 7', 'one 7'],
      ['key 8', 'two 8'],
    ] as const) {
      const { row } = await second
        .keyspace('default')
        .get(Buffer.from(key), { consistency: 'linearizable', deadline: soon() })
      expect(text(row?.value)).to.equal(value)
    }
  })

  it('replay a short log that is whole, and ask nobody', async () => {
    const first = await open('n1')
    await put(first, 'a', '1')
    await open('n2')
    expect(copied).to.deep.equal([])
  })

  it('give copies of what they have, and of nothing else', async () => {
    const node = await open('n1')
    const give = (keyspace: string, partition: number): Promise<unknown> =>
      Promise.resolve().then(() => node.copies.give(keyspace, partition as Partition))
    expect(await reasonOf(give('none', 0))).to.equal('KEYSPACE_NOT_FOUND')
    expect(await reasonOf(give('default', PARTITIONS))).to.equal('FIELD_INVALID')
    const given = node.copies.give('default', 0 as Partition)
    await given.chunks.next()
    await node.close(Date.now())
    expect(await reasonOf(given.chunks.next())).to.equal('COPY_EXPIRED')
  })

  it('trim no further than their own replica is', async () => {
    const node = await open('n1')
    const { identity: topicIdentity } = must(await log.describeTopic('test.default'), 'the topic')
    const { next } = must(node.replicas()[0], 'a replica')
    const point = { topic: 'test.default', topicIdentity, partition: 0 as Partition, before: next }
    expect(await node.copies.trim(point, false)).to.deep.equal({ start: 0, trimmedTo: next })
    const past = { ...point, before: (next + 1) as Offset }
    expect(await reasonOf(node.copies.trim(past, false))).to.equal('TRIM_REFUSED')
  })
})
