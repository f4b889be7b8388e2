import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type ClientDuplexStream, credentials, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { expect } from 'chai'
import { type Served, serveFake } from './served.fake.ts'

interface Answer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] }
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Buffer[] }
}
interface Reflection {
  ServerReflectionInfo(): ClientDuplexStream<object, Answer>
  close(): void
}
type Loaded = Record<
  string,
  { reflection: Record<string, { ServerReflection: new (address: string, insecure: unknown) => Reflection }> }
>

const folder = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'))

describe('server reflection', () => {
  let served: Served
  before(async () => (served = await serveFake()))
  after(() => served.close())

  for (const version of ['v1', 'v1alpha']) {
    it(`${version} lists the services, and gives the files of a symbol`, async () => {
      const proto = join(folder, 'build', 'proto', 'grpc', 'reflection', version, 'reflection.proto')
      const loaded = loadPackageDefinition(loadSync(proto, {})) as unknown as Loaded
      const Client = loaded['grpc']?.reflection[version]?.ServerReflection
      if (Client === undefined) throw new Error('no such client')
      const client = new Client(served.address, credentials.createInsecure())
      const call = client.ServerReflectionInfo()
      const ask = async (request: object): Promise<Answer> => {
        call.write(request)
        const [answer] = (await once(call, 'data')) as [Answer]
        return answer
      }
      const services = (await ask({ listServices: '' })).listServicesResponse?.service.map(({ name }) => name)
      expect(services).to.have.members([
        'tidemark.v1.KeyValueService',
        'tidemark.v1.ClusterService',
        'tidemark.v1.KeyspaceService',
        'tidemark.v1.ProofService',
        'tidemark.v1.SnapshotService',
        'grpc.health.v1.Health',
      ])
      for (const [symbol, file] of [
        ['tidemark.v1.KeyValueService', 'tidemark/v1/key_value_service.proto'],
        ['grpc.health.v1.HealthListResponse', 'grpc/health/v1/health.proto'],
        ['google.rpc.ErrorInfo', 'google/rpc/error_details.proto'],
      ] as const) {
        const files = (await ask({ fileContainingSymbol: symbol })).fileDescriptorResponse
          ?.fileDescriptorProto
        expect(files?.map((bytes) => Buffer.from(bytes).toString('latin1')).join('')).to.contain(file)
      }
      call.end()
      await once(call, 'end')
      client.close()
    })
  }
})
