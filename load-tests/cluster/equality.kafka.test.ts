/** Real nodes, a real Kafka, real stores: a row that is changed on the disk of one node is found, and made good from the others. */
import { join } from 'node:path'
import { expect } from 'chai'
import { withJava } from '../../infra/kafka/with-kafka.ts'
import { run } from '../../services/cli/run.fake.ts'
import { type Tidemark, connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { rowKey } from '../../streams/core/keys.ts'
import { partition } from '../../streams/core/types.ts'
import { knownPrefix } from '../../streams/replica/catalogue.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import { type Cluster, startCluster } from './harness.ts'

const ROWS = 200

describe('a cluster of which one store is damaged', function () {
  this.timeout(120_000)
  withJava()
  let cluster: Cluster
  let db: Tidemark

  before('one broker, three nodes', async function () {
    this.timeout(180_000)
    cluster = await startCluster({ brokers: 1, partitions: 1 })
    db = connect({ server: must(cluster.nodes[0], 'a node').address })
  })
  after(async function () {
    this.timeout(60_000)
    await db?.close()
    await cluster?.close()
  })

  it('finds the flipped byte, says so, builds that replica again, and leaves the others alone', async () => {
    for (let at = 0; at < ROWS; at++) await db.put(`key-${at}`, `value ${at}`)
    const verify = () => run(must(cluster.nodes[0], 'a node').address, ['cluster', 'verify', '--deep'])
    expect(await verify()).to.deep.include({ code: 0, err: '' })

    const damaged = must(cluster.nodes[1], 'a node')
    await damaged.stop()
    const store = await openStore(join(damaged.folder, 'data', 'replicas'))
    const key = rowKey(
      must(knownPrefix(store, 'tidemark.default', partition(0)), 'a prefix'),
      Buffer.from('key-7'),
    )
    const row = Buffer.from(must(store.getMany([key])[0], 'the row'))
    row[row.length - 1] = 0x21
    const batch = store.batch()
    batch.put(key, row)
    store.write(batch)
    await store.close()
    await damaged.start()
    await cluster.settled()

    const found = await verify()
    expect(found.err).to.include('replicas of default/0 differ')
    expect(found.err + found.out).to.include(damaged.id)
    expect(found.code).to.equal(1)
    while ((await verify()).code !== 0);
    for (const node of cluster.nodes) {
      const diverged = (await node.output()).includes('REPLICA_DIVERGED')
      expect(diverged, node.id).to.equal(node === damaged)
      const alone = connect({ server: node.address, consistency: 'eventual' })
      expect((await alone.get('key-7'))?.value.toString(), node.id).to.equal('value 7')
      await alone.close()
    }
  })
})
