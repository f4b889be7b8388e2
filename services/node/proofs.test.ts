/** Replicas are compared by way of real gRPC: who is wrong is found out and built again, and nobody else is. */
import { expect } from 'chai'
import { must } from '../../streams/core/assert.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { rowKey } from '../../streams/core/keys.ts'
import { partition } from '../../streams/core/types.ts'
import { knownPrefix } from '../../streams/replica/catalogue.ts'
import type { ProofServiceClient } from '../../proto/generated/tidemark/v1/proof_service.ts'
import { beginProof, getProof, proofClient, rebuildReplica } from '../proof-calls.ts'
import { type RealCluster, type RealMember, realCluster } from './routing/real-cluster.fixture.ts'

const PLACE = { keyspace: 'default', partition: 0 }
const soon = (): number => Date.now() + 10_000

describe('ProofService', () => {
  let cluster: RealCluster
  let clients: ProofServiceClient[]
  beforeEach(async () => {
    cluster = await realCluster({ nodes: 3, partitions: 1, replication: 3 })
    clients = cluster.members.map(({ door }) => proofClient(door.address))
    for (let at = 0; at < 20; at++) await cluster.at(0).db.put(`key-${at}`, `value ${at}`)
  })
  afterEach(async () => {
    for (const client of clients) client.close()
    await cluster.close()
    expect(cluster.bugs).to.deep.equal([])
  })

  const ask = (at: number) => getProof(must(clients[at], 'a client'), { ...PLACE, withParts: true }, soon())
  const states = () => cluster.members.map(({ node }) => node.replicas()[0]?.state)
  const damage = ({ store }: RealMember): void => {
    const prefix = must(knownPrefix(store, 'test.default', partition(0)), 'a prefix')
    const key = rowKey(prefix, Buffer.from('key-7'))
    const stored = Buffer.from(must(store.getMany([key])[0], 'the row'))
    stored[stored.length - 1] = 0x21
    const batch = store.batch()
    batch.put(key, stored)
    store.write(batch)
  }

  it('has all replicas hash what they hold at one place, and tells from what', async () => {
    const at = await beginProof(must(clients[1], 'a client'), PLACE, soon())
    const found = async () => {
      const proofs = await Promise.all([0, 1, 2].map(ask))
      return proofs.map(({ contents }) => contents.find((one) => one.at === at && one.hash !== ''))
    }
    let contents = await found()
    while (contents.includes(undefined)) contents = await found()
    expect(new Set(contents.map((one) => one?.hash)).size).to.equal(1)
    expect(contents[0]?.parts.map(({ name }) => name)).to.include.members(['rows', 'state'])
    expect(contents[0]?.entries).to.be.greaterThan(20)
  })

  for (const who of ['leader', 'follower'] as const)
    it(`one flipped byte of the ${who} is found and made good; the others never stop`, async () => {
      const leader = cluster.membership.map.topics[0]?.placements[0]?.leader
      const damaged = must(
        cluster.members.find(({ nodeId }) => (nodeId === leader) === (who === 'leader')),
        'a node',
      )
      damage(damaged)
      await beginProof(must(clients[0], 'a client'), PLACE, soon())
      await cluster.until(() => damaged.stops.length > 0)
      await cluster.until(() => states().every((state) => state === 'live'))
      for (const one of cluster.members)
        expect(one.stops, one.nodeId).to.deep.equal(one === damaged ? ['REPLICA_DIVERGED'] : [])
      for (const { node } of cluster.members) {
        const { row } = await node.local.keyspace('default').get(Buffer.from('key-7'), { deadline: soon() })
        expect(Buffer.from(must(row, 'the row').value).toString()).to.equal('value 7')
      }
    })

  it('has a node build its replica again from the others, when somebody says so', async () => {
    const [first, second] = cluster.members
    const damaged = must(second, 'a node')
    damage(damaged)
    const from = await rebuildReplica(must(clients[1], 'a client'), PLACE, soon())
    expect(from).to.have.members(
      cluster.members.map(({ nodeId }) => nodeId).filter((id) => id !== damaged.nodeId),
    )
    expect(damaged.stops).to.deep.equal(['REPLICA_DIVERGED'])
    await cluster.until(() => states().every((state) => state === 'live'))
    const { row } = await damaged.node.local
      .keyspace('default')
      .get(Buffer.from('key-7'), { deadline: soon() })
    expect(Buffer.from(must(row, 'the row').value).toString()).to.equal('value 7')
    expect(must(first, 'a node').stops).to.deep.equal([])
  })

  it('refuses what is not here', async () => {
    const refused = async (place: { keyspace: string; partition: number }): Promise<string> =>
      getProof(must(clients[0], 'a client'), place, soon()).then(
        () => 'answered',
        (caught: unknown) => TidemarkError.from(caught).reason,
      )
    expect(await refused({ keyspace: 'none', partition: 0 })).to.equal('KEYSPACE_NOT_FOUND')
    expect(await refused({ keyspace: 'default', partition: 9 })).to.equal('FIELD_INVALID')
  })
})
