/** Three nodes over a real Kafka, their membership simulated: keyspaces that are created, deleted and created again. */
import { expect } from 'chai'
import { withKafka } from '../../infra/kafka/with-kafka.ts'
import { TidemarkError } from '../core/errors.ts'
import type { Partition } from '../core/types.ts'
import type { TidemarkNode } from '../face.ts'
import { openKafkaLog } from '../log/kafka/log.ts'
import { type TestCluster, openTestCluster, placements, soon, until } from './cluster.fixture.ts'

describe('a cluster on Kafka', function () {
  this.timeout(90_000)
  const kafka = withKafka()
  let cluster: TestCluster
  let name: string

  beforeEach(async () => {
    name = kafka.freshName('cluster')
    cluster = openTestCluster({ partitions: 6 })
    await Promise.all(
      ['n1', 'n2', 'n3'].map(async (id) => {
        const telemetry = { trouble: () => undefined, recovered: () => undefined }
        const log = await openKafkaLog({ brokers: kafka.bootstrap, clientId: id, dev: true, telemetry })
        await cluster.start(id, { cluster: name, log, logKind: 'kafka' })
      }),
    )
    await until(() => isServed('default', 6), 'the nodes share the partitions')
  })
  afterEach(() => cluster.dispose())

  const nodes = (): TidemarkNode[] => [...cluster.nodes.values()].map(({ node }) => node)
  const nodeOf = (id: string | undefined): TidemarkNode => {
    const found = cluster.nodes.get(id ?? '')
    if (found === undefined) throw new Error(`there is no node ${id}`)
    return found.node
  }
  /** Each partition has two replicas and a leader that all replicas know. */
  const isServed = (keyspace: string, partitions: number): boolean => {
    const places = placements(cluster, `${name}.${keyspace}`)
    return (
      places.length === partitions &&
      places.every(
        ({ leader, replicas }, partition) =>
          leader !== undefined &&
          replicas.length === 2 &&
          replicas.every((id) => {
            const found = nodeOf(id)
              .replicas()
              .find((one) => one.keyspace === keyspace && one.partition === partition)
            return found?.state === 'live' && found.leader === leader
          }),
      )
    )
  }
  /** Writes at the leader, reads at each replica. */
  async function exchange(keyspace: string, key: string, value: string): Promise<void> {
    const bytes = Buffer.from(key)
    const partition = nodeOf('n1').keyspace(keyspace).partitionOf(bytes)
    const place = placements(cluster, `${name}.${keyspace}`)[partition]
    const { outcome } = await nodeOf(place?.leader)
      .keyspace(keyspace)
      .write({ kind: 'put', key: bytes, value: Buffer.from(value) }, { deadline: soon() })
    expect(outcome?.status).to.equal('applied')
    for (const id of place?.replicas ?? []) {
      const { row } = await nodeOf(id).keyspace(keyspace).get(bytes, { deadline: soon() })
      expect(Buffer.from(row?.value ?? []).toString(), `${key} on ${id}`).to.equal(value)
    }
  }

  it('answers from each replica what another wrote', async () => {
    for (let at = 0; at < 30; at++) await exchange('default', `key-${at}`, `value-${at}`)
    expect(nodes().map(({ ready }) => ready)).to.deep.equal([true, true, true])
    const rejected = nodes().flatMap((node) => node.replicas().map((replica) => replica.rejected))
    expect(Math.max(...rejected), 'formats of nodes that began at once').to.be.within(0, 2)
  })

  it('creates a keyspace twice at once, deletes it, creates another of its name', async () => {
    const results = await Promise.all(
      ['/', '#'].map((separator, at) =>
        nodeOf(`n${at + 1}`)
          .createKeyspace('orders', {
            partitions: 3,
            partitionBy: { kind: 'prefix', separator: Buffer.from(separator) },
          })
          .then(
            () => 'created',
            (caught: unknown) => TidemarkError.from(caught).reason,
          ),
      ),
    )
    expect(results.sort()).to.deep.equal(['KEYSPACE_EXISTS', 'created'])
    await until(() => isServed('orders', 3), 'it is served')
    await exchange('orders', 'a/1', 'old')
    await nodeOf('n3').deleteKeyspace('orders')
    await until(
      () => nodes().every((node) => node.keyspaces().every((keyspace) => keyspace.name !== 'orders')),
      'it is gone on all nodes',
    )
    await nodeOf('n1').createKeyspace('orders', { partitions: 2 })
    await until(() => isServed('orders', 2), 'it is served again')
    const partition = 0 as Partition
    const { rows } = await nodeOf(placements(cluster, `${name}.orders`)[partition]?.leader)
      .keyspace('orders')
      .scan({
        range: { start: Buffer.alloc(0), end: undefined },
        partitions: [partition],
        deadline: soon(),
      })
    expect((await rows.next()).done, 'nothing of the old one').to.equal(true)
    await exchange('orders', 'a/1', 'new')
  })

  it('has the new one everywhere, also where a node did not see the old one go', async () => {
    await nodeOf('n1').createKeyspace('orders', { partitions: 3 })
    await until(() => isServed('orders', 3), 'it is served')
    await nodeOf('n1').deleteKeyspace('orders')
    await nodeOf('n1').createKeyspace('orders', { partitions: 3 })
    await until(() => isServed('orders', 3), 'it is served again', 40_000)
    for (let at = 0; at < 9; at++) await exchange('orders', `key-${at}`, 'new')
  })
})
