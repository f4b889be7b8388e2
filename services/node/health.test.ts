import { once } from 'node:events'
import { type ClientReadableStream, type ServiceError, credentials, loadPackageDefinition, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { expect } from 'chai'
import { protoPath } from 'grpc-health-check'
import { type Served, ask, serveFake } from './served.fake.ts'

interface Health {
  check(request: { service: string }, done: (error: ServiceError | null, response: { status: string }) => void): unknown
  watch(request: { service: string }): ClientReadableStream<{ status: string }>
  close(): void
}

describe('grpc.health.v1', () => {
  let served: Served
  let health: Health
  beforeEach(async () => {
    served = await serveFake()
    const definition = loadPackageDefinition(loadSync(protoPath, { enums: String })) as unknown as {
      grpc: { health: { v1: { Health: new (address: string, insecure: unknown) => Health } } }
    }
    health = new definition.grpc.health.v1.Health(served.address, credentials.createInsecure())
  })
  afterEach(async () => {
    health.close()
    await served.close()
  })

  const KEY_VALUES = 'tidemark.v1.KeyValueService'
  const check = async (service: string): Promise<string> =>
    (await ask<{ status: string }>((done) => health.check({ service }, done))).status

  it('serves rows while the replicas are live, the rest always', async () => {
    expect(await check('')).to.equal('SERVING')
    expect(await check(KEY_VALUES)).to.equal('SERVING')
    served.node.setReady(false)
    expect(await check('')).to.equal('NOT_SERVING')
    expect(await check(KEY_VALUES)).to.equal('NOT_SERVING')
    expect(await check('tidemark.v1.ClusterService')).to.equal('SERVING')
    expect(await check('tidemark.v1.KeyspaceService')).to.equal('SERVING')
    served.node.setReady(true)
    expect(await check(KEY_VALUES)).to.equal('SERVING')
  })

  it('knows its own services only', async () => {
    const error = await check('other.Service').catch((caught: unknown) => caught)
    expect(error).to.have.property('code', status.NOT_FOUND)
  })

  it('tells watchers of each change, at last that the node drains, and ends them', async () => {
    const seen: string[] = []
    const call = health.watch({ service: KEY_VALUES })
    call.on('data', (response: { status: string }) => seen.push(response.status))
    await once(call, 'data')
    served.node.setReady(false)
    await once(call, 'data')
    served.node.setReady(true)
    await once(call, 'data')
    served.draining.abort()
    await once(call, 'end')
    expect(seen).to.deep.equal(['SERVING', 'NOT_SERVING', 'SERVING', 'NOT_SERVING'])
    expect(await served.server.stop(Date.now() + 5000), 'nothing is left open').to.equal(true)
  })
})
