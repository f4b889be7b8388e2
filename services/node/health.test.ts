import { once } from 'node:events'
import { credentials, status } from '@grpc/grpc-js'
import { expect } from 'chai'
import {
  HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as Serving,
  HealthClient,
} from '../../proto/generated/grpc/health/v1/health.ts'
import { type Served, ask, serveFake } from './served.fake.ts'

describe('grpc.health.v1', () => {
  let served: Served
  let health: HealthClient
  beforeEach(async () => {
    served = await serveFake()
    health = new HealthClient(served.address, credentials.createInsecure())
  })
  afterEach(async () => {
    health.close()
    await served.close()
  })

  const KEY_VALUES = 'tidemark.v1.KeyValueService'
  const check = async (service: string): Promise<Serving> =>
    (await ask<HealthCheckResponse>((done) => health.check(HealthCheckRequest.create({ service }), done)))
      .status

  it('serves rows while the replicas are live, the rest always', async () => {
    expect(await check('')).to.equal(Serving.SERVING)
    expect(await check(KEY_VALUES)).to.equal(Serving.SERVING)
    served.node.setReady(false)
    expect(await check('')).to.equal(Serving.NOT_SERVING)
    expect(await check(KEY_VALUES)).to.equal(Serving.NOT_SERVING)
    expect(await check('tidemark.v1.ClusterService')).to.equal(Serving.SERVING)
    expect(await check('tidemark.v1.KeyspaceService')).to.equal(Serving.SERVING)
    served.node.setReady(true)
    expect(await check(KEY_VALUES)).to.equal(Serving.SERVING)
  })

  it('knows its own services only', async () => {
    const error = await check('other.Service').catch((caught: unknown) => caught)
    expect(error).to.have.property('code', status.NOT_FOUND)
  })

  it('tells watchers of each change, at last that the node drains, and ends them', async () => {
    const seen: Serving[] = []
    const call = health.watch(HealthCheckRequest.create({ service: KEY_VALUES }))
    call.on('data', (response: HealthCheckResponse) => seen.push(response.status))
    await once(call, 'data')
    served.node.setReady(false)
    await once(call, 'data')
    served.node.setReady(true)
    await once(call, 'data')
    served.draining.abort()
    await once(call, 'end')
    expect(seen).to.deep.equal([Serving.SERVING, Serving.NOT_SERVING, Serving.SERVING, Serving.NOT_SERVING])
    expect(await served.server.stop(Date.now() + 5000), 'nothing is left open').to.equal(true)
  })
})
