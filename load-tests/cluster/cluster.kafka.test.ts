/** A whole cluster on this machine, with what may happen to it: three real brokers, three nodes, one client. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { withJava } from '../../infra/kafka/with-kafka.ts'
import { takeSurvey } from '../../services/cli/cluster.ts'
import { Verification } from '../../services/cli/verify.ts'
import { type Tidemark, connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { Eye } from './eye.ts'
import { type Cluster, startCluster } from './harness.ts'
import { Load } from './load.ts'

const PARTITIONS = 6
const CALM_MS = 500
/** Milliseconds for offsets of replicas to meet once nobody writes. */
const VERIFY_MS = 10_000

describe('a cluster of three brokers and three nodes', function () {
  this.timeout(90_000)
  withJava()
  let cluster: Cluster
  let db: Tidemark

  before('three brokers, three nodes', async function () {
    this.timeout(180_000)
    cluster = await startCluster({ partitions: PARTITIONS })
    db = connect({ server: must(cluster.nodes[0], 'a node').address })
  })
  after(async function () {
    this.timeout(60_000)
    await db?.close()
    await cluster?.close()
  })

  it('answers every request while a node is killed and comes back, loses no write and doubles none', async () => {
    const load = new Load(db, { partitions: PARTITIONS })
    const eye = new Eye((partition) => load.endOf(partition))
    try {
      for (const node of cluster.nodes) eye.add(node)
      load.start()
      await load.flowing()
      const victim = must(
        cluster.nodes.slice(1).sort((a, b) => eye.ledBy(b.id).length - eye.ledBy(a.id).length)[0],
        'a node',
      )
      const partitions = eye.ledBy(victim.id)
      expect(partitions, 'leadership is spread').not.to.deep.equal([])
      await sleep(CALM_MS)
      await eye.disturbing(victim.id, async () => {
        await victim.kill('SIGKILL')
        await eye.untilOthersLead(partitions, victim.id)
        await load.flowing()
        await victim.start()
      })
      await sleep(CALM_MS)
      const seen = await load.stop()
      expect(seen.failures).to.deep.equal([])
      expect(seen.wrong).to.deep.equal([])
      expect(seen.reads).to.be.greaterThan(100)
      expect(seen.writes).to.be.greaterThan(100)
    } finally {
      await eye.close()
    }
  })

  it('has equal replicas afterwards', async () => {
    const verification = new Verification()
    const until = performance.now() + VERIFY_MS
    let found = verification.look(await takeSurvey(db))
    while (!verification.settled && performance.now() < until) {
      await sleep(50)
      found = verification.look(await takeSurvey(db))
    }
    expect(found.map(({ partition }) => partition)).to.deep.equal(
      Array.from({ length: PARTITIONS }, (_, at) => at),
    )
    for (const { partition, verdict, nodes, missing } of found) {
      expect(verdict.kind, `partition ${partition}`).to.equal('equal')
      expect(nodes, `partition ${partition}`).to.have.length(3)
      expect(missing).to.deep.equal([])
    }
  })

  it('ends a node whose id another process has taken, and goes on with that one', async () => {
    const [, , old] = cluster.nodes
    const first = must(old, 'a node')
    const second = await cluster.addNode(first.id)
    const until = performance.now() + VERIFY_MS
    while (first.pid !== undefined && performance.now() < until) await sleep(50)
    expect(first.pid).to.equal(undefined)
    expect(await first.output()).to.contain('NODE_REPLACED')
    await cluster.settled()
    const { nodes } = await db.map()
    expect(nodes.find(({ nodeId }) => nodeId === first.id)?.address).to.equal(second.address)
  })
})
