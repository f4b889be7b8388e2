import { expect } from 'chai'
import {
  CreateRequest,
  type CreateResponse,
  KeyspaceServiceDeleteRequest,
  type KeyspaceServiceDeleteResponse,
  KeyspaceServiceDescribeRequest,
  type KeyspaceServiceDescribeResponse,
  type ListResponse,
  UpdateRequest,
  type UpdateResponse,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import type { FakeCluster } from './routing/cluster.fake.ts'
import { fakeCluster } from './routing/cluster.fake.ts'
import { type Served, ask, refused } from './served.fake.ts'

describe('KeyspaceService', () => {
  let cluster: FakeCluster
  beforeEach(async () => {
    cluster = await fakeCluster(3)
    // Four partitions of the keyspace `default`, one replica each.
    cluster.place([[0], [1], [2], [1]])
    cluster.asked()
  })
  afterEach(() => cluster.close())

  const served = (at: number): Served => cluster.at(at).served
  const create = (at: number, request: Parameters<typeof CreateRequest.create>[0]): Promise<CreateResponse> =>
    ask((done) => served(at).keyspaces.create(CreateRequest.create(request), done))
  const describeOne = (at: number, name: string): Promise<KeyspaceServiceDescribeResponse> =>
    ask((done) => served(at).keyspaces.describe(KeyspaceServiceDescribeRequest.create({ name }), done))
  const update = (at: number, request: Parameters<typeof UpdateRequest.create>[0]): Promise<UpdateResponse> =>
    ask((done) => served(at).keyspaces.update(UpdateRequest.create(request), done))
  const remove = (at: number, name: string, confirmName: string): Promise<KeyspaceServiceDeleteResponse> =>
    ask((done) =>
      served(at).keyspaces.delete(KeyspaceServiceDeleteRequest.create({ name, confirmName }), done),
    )
  const names = async (at: number): Promise<string[]> =>
    (await ask<ListResponse>((done) => served(at).keyspaces.list({}, done))).keyspaces.map(({ name }) => name)

  it('creates, lists and describes, with everything that was asked for', async () => {
    const settings = { partitions: 7, replication: 2, defaultTtlMs: 60_000, packingDisabled: true }
    const { keyspace } = await create(0, { name: 'orders', ...settings, valueBytesMax: 1000 })
    expect(keyspace).to.deep.include({ name: 'orders', ...settings, valueBytesMax: 1000 })
    expect((await describeOne(0, 'orders')).keyspace).to.deep.equal(keyspace)
    expect(await names(0)).to.deep.equal(['default', 'orders'])
    expect((await describeOne(0, '')).keyspace?.name).to.equal('default')
    expect(await refused(describeOne(0, 'nowhere'))).to.include({ reason: 'KEYSPACE_NOT_FOUND' })
  })

  it('takes a change to the leader of partition 0, and from there to all who have the others', async () => {
    const { keyspace } = await update(2, { name: 'default', defaultTtlMs: 5000, packingDisabled: true })
    expect(keyspace).to.include({ name: 'default', defaultTtlMs: 5000, packingDisabled: true })
    expect(cluster.asked()).to.deep.equal([['update default'], ['update default 1,3'], ['update default 2']])
    for (const at of [0, 1, 2])
      expect((await describeOne(at, 'default')).keyspace).to.include({ defaultTtlMs: 5000 })
  })

  it('leaves alone what a change does not name, zero being a value', async () => {
    await update(0, { name: 'default', defaultTtlMs: 5000, valueBytesMax: 2048 })
    const { keyspace } = await update(0, { name: 'default', defaultTtlMs: 0 })
    expect(keyspace).to.include({ defaultTtlMs: 0, valueBytesMax: 2048, packingDisabled: false })
    expect(await refused(update(0, { name: 'default', replication: 0 }))).to.include({
      reason: 'FIELD_INVALID',
    })
  })

  it('says so where a partition has no replica that it could ask', async () => {
    cluster.place([[0], [1], [2], []])
    const refusal = await refused(update(0, { name: 'default', defaultTtlMs: 5000 }))
    expect(refusal).to.deep.include({
      reason: 'PARTITION_ELSEWHERE',
      metadata: { keyspace: 'default', partition: '3' },
    })
  })

  it('deletes only what is named twice, and tells every node', async () => {
    await create(0, { name: 'orders' })
    await create(1, { name: 'orders' })
    await create(2, { name: 'orders' })
    const refusal = await refused(remove(1, 'orders', 'order'))
    expect(refusal.reason).to.equal('FIELD_INVALID')
    expect(refusal.metadata).to.include({ field: 'confirm_name' })
    expect(await names(1)).to.deep.equal(['default', 'orders'])
    await remove(1, 'orders', 'orders')
    for (const at of [0, 1, 2]) expect(await names(at)).to.deep.equal(['default'])
    expect(await refused(remove(0, 'orders', 'orders'))).to.include({ reason: 'KEYSPACE_NOT_FOUND' })
  })
})
