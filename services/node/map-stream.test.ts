/** ClusterService over gRPC: the map, and what another node has sent on. */
import { once } from 'node:events'
import { type ClientReadableStream, Metadata, type ServiceError } from '@grpc/grpc-js'
import { expect } from 'chai'
import type {
  DescribeResponse,
  TransferLeadershipResponse,
  WatchMapResponse,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { GetRequest, type GetResponse } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { ClusterMap } from '../../streams/core/cluster-map.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { FakeNode } from './face.fake.ts'
import { hopMetadata } from './routing/hop.ts'
import { type Served, ask, refusalOf, refused, serveFake } from './served.fake.ts'

const mapOf = (generation: number): ClusterMap => ({
  generation,
  nodes: [{ nodeId: 'a', incarnation: 'first', address: 'host:1', zone: 'z', draining: true }],
  topics: [
    {
      topic: 'fake.default',
      identity: 'i',
      partitions: 1,
      replication: 3,
      settings: {
        partitionBy: { kind: 'prefix', separator: Buffer.from('/') },
        valueBytesMax: 9,
        packing: false,
        defaultTtlMs: 60_000,
        replication: 0,
      },
      placements: [{ leader: undefined, replicas: ['a'], warming: ['b'] }],
    },
    { topic: 'fake.new', identity: 'i', partitions: 1, replication: 3, settings: undefined, placements: [] },
  ],
})

const AS_MESSAGE = {
  nodes: [{ nodeId: 'a', incarnation: 'first', address: 'host:1', zone: 'z', draining: true }],
  keyspaces: [
    {
      keyspace: {
        name: 'default',
        topic: 'fake.default',
        partitions: 1,
        partitionByPrefix: Buffer.from('/'),
        valueBytesMax: 9,
        packingDisabled: true,
        replication: 3,
        defaultTtlMs: 60_000,
      },
      placements: [{ leader: '', replicas: ['a'], warming: ['b'] }],
    },
  ],
}

describe('ClusterService', () => {
  let served: Served
  let local: FakeNode
  let routed: FakeNode
  beforeEach(async () => {
    local = new FakeNode('a')
    routed = new FakeNode('a')
    served = await serveFake({}, local, routed)
  })
  afterEach(() => served.close())

  const describeIt = (): Promise<DescribeResponse> => ask((done) => served.clusters.describe({}, done))
  const watchMap = (): ClientReadableStream<WatchMapResponse> => {
    const call = served.clusters.watchMap({})
    call.on('error', () => undefined)
    return call
  }

  it('tells the map, without keyspaces whose settings nobody knows yet', async () => {
    expect((await describeIt()).map).to.equal(undefined)
    routed.map$.next(mapOf(3))
    expect((await describeIt()).map).to.deep.equal({ generation: 3, ...AS_MESSAGE })
  })

  it('streams the map now and at each change', async () => {
    routed.map$.next(mapOf(1))
    const call = watchMap()
    const seen: (number | undefined)[] = []
    for await (const { map, logIdentity } of call as AsyncIterable<WatchMapResponse>) {
      expect(logIdentity).to.equal('fake-log')
      seen.push(map?.generation)
      if (seen.length === 3) break
      routed.map$.next(mapOf(seen.length + 1))
    }
    expect(seen).to.deep.equal([1, 2, 3])
  })

  it('ends the stream of maps when the node drains', async () => {
    routed.map$.next(mapOf(1))
    const call = watchMap()
    await once(call, 'data')
    served.draining.abort()
    const [error] = (await once(call, 'error')) as [ServiceError]
    expect(refusalOf(error).reason).to.equal('NODE_DRAINING')
  })

  it('ends the stream of maps behind the one that it has while the node is cut off from the others', async () => {
    routed.connected$.next(false)
    const early = watchMap()
    while (served.meters.get('/tidemark.v1.ClusterService/WatchMap')?.inFlight !== 1)
      await new Promise((resolve) => setTimeout(resolve, 1))
    routed.map$.next(mapOf(1))
    await once(early, 'data')
    const late = watchMap()
    const ended = once(late, 'error')
    await once(late, 'data')
    const [error] = (await ended) as [ServiceError]
    expect(refusalOf(error).reason).to.equal('LOG_UNAVAILABLE')

    routed.connected$.next(true)
    const lost = once(early, 'error')
    routed.connected$.next(false)
    await lost
  })

  it('forgets who watched the map and left', async () => {
    routed.map$.next(mapOf(1))
    const call = watchMap()
    await once(call, 'data')
    call.cancel()
    while (served.meters.get('/tidemark.v1.ClusterService/WatchMap')?.inFlight !== 0)
      await new Promise((resolve) => setTimeout(resolve, 1))
    routed.map$.next(mapOf(2))
  })

  it('moves a leadership', async () => {
    const request = { keyspace: '', partition: 2, toNode: 'b' }
    const answer = await ask<TransferLeadershipResponse>((done) =>
      served.clusters.transferLeadership(request, done),
    )
    expect(answer).to.deep.equal({ leader: 'b' })
    expect(routed.transferred).to.deep.equal(['default/2/b'])
    await ask<TransferLeadershipResponse>((done) =>
      served.clusters.transferLeadership(request, hopMetadata(), done),
    )
    expect(local.transferred, 'what another node sent on').to.deep.equal(['default/2/b'])
  })

  it('answers what another node has sent on by itself', async () => {
    const get = (metadata: Metadata): Promise<GetResponse> =>
      ask((done) => served.keyValues.get(GetRequest.create({ key: Buffer.from('a') }), metadata, done))
    await get(new Metadata())
    await get(hopMetadata())
    expect([routed.asked, local.asked]).to.deep.equal([['get'], ['get']])
    local.failure = new TidemarkError('PARTITION_ELSEWHERE', 'not here')
    expect((await refused(get(hopMetadata()))).reason).to.equal('PARTITION_ELSEWHERE')
    await get(new Metadata())
  })
})
