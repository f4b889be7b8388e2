/** An empty unary call of grpc-js, server and client in processes of their own: what every unary call costs at least. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Client, credentials, Metadata, Server, ServerCredentials, type ServiceError } from '@grpc/grpc-js'
import { measure } from '../../services/cli/measure.ts'
import type { Figures } from './figures.ts'
import { UNARY_IN_FLIGHT, type Settings } from './settings.ts'

export const ECHO = 'empty unary echo'

const PATH = '/bench.Echo/Echo'
const same = (bytes: Buffer): Buffer => bytes
const EMPTY = Buffer.alloc(0)

export async function echoCeiling(figures: Figures, { ms }: Settings): Promise<void> {
  const server = fork(fileURLToPath(import.meta.url), ['serve'])
  try {
    const [port] = (await once(server, 'message')) as [number]
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
    const metadata = new Metadata()
    const call = (): Promise<void> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(PATH, same, same, EMPTY, metadata, {}, (error: ServiceError | null) => {
          if (error === null) resolve()
          else reject(error)
        })
      })
    await measure({ name: 'warm-up', ms: ms / 3, loops: UNARY_IN_FLIGHT }, call)
    figures.rate(ECHO, await measure({ name: ECHO, ms, loops: UNARY_IN_FLIGHT }, call))
    client.close()
  } finally {
    server.kill()
  }
}

function serve(): void {
  const server = new Server()
  const method = {
    path: PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  } as const
  server.addService(
    { echo: method },
    { echo: (_: unknown, done: (error: null, bytes: Buffer) => void) => done(null, EMPTY) },
  )
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, port) => process.send?.(port))
  process.on('disconnect', () => process.exit())
}

if (process.argv[2] === 'serve' && process.send !== undefined) serve()
