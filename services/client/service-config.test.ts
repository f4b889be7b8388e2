import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { expect } from 'chai'
import { ClusterServiceService } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import {
  KeyValueServiceClient,
  KeyValueServiceService,
  type HistoryResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { KeyspaceServiceService } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { PROJECT_ROOT } from '../../infra/project-root.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { FakeServer } from './server.fake.ts'

interface ServiceConfig {
  readonly methodConfig: readonly { readonly name: readonly { service: string; method: string }[] }[]
}

describe('the service config for other clients', () => {
  let text = ''
  before(async () => {
    text = await readFile(join(PROJECT_ROOT, 'proto/tidemark/v1/service_config.json'), 'utf8')
  })

  it('retries every method that may be repeated as it is, and no write', () => {
    const config = JSON.parse(text) as ServiceConfig
    const named = config.methodConfig.flatMap(({ name }) =>
      name.map(({ service, method }) => `/${service}/${method}`),
    )
    const services = [KeyValueServiceService, ClusterServiceService, KeyspaceServiceService]
    const paths = services.flatMap((service) => Object.values(service).map(({ path }) => path as string))
    const notRepeatable = ['Put', 'Delete', 'Increment', 'Transact', 'Pipeline', 'Drain']
    const repeatable = paths.filter((path) => !notRepeatable.includes(path.split('/').at(-1) ?? ''))
    expect([...named].sort()).to.deep.equal([...repeatable].sort())
  })

  it('makes a plain gRPC client retry', async () => {
    const server = await FakeServer.start()
    const client = new KeyValueServiceClient(server.address, credentials.createInsecure(), {
      'grpc.service_config': text,
      'grpc.use_local_subchannel_pool': 1,
    })
    server.failures.push(
      new TidemarkError('NODE_DRAINING', 'bye'),
      new TidemarkError('PARTITION_RESTORING', 'wait'),
    )
    const request = {
      keyspace: '',
      key: Buffer.from('a'),
      limit: 0,
      consistency: 0,
      token: undefined,
    } as const
    const answer = await new Promise<HistoryResponse>((resolve, reject) => {
      client.history(request, (error, response) => {
        if (error === null) resolve(response)
        else reject(error)
      })
    })
    expect(answer.versions).to.deep.equal([])
    expect(server.failures).to.deep.equal([])
    client.close()
    await server.close()
  })
})
