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
    const { call, close } = echoClient(port)
    await measure({ name: 'warm-up', ms: ms / 3, loops: UNARY_IN_FLIGHT }, call)
    figures.rate(ECHO, await measure({ name: ECHO, ms, loops: UNARY_IN_FLIGHT }, call))
    close()
  } finally {
    server.kill()
  }
}

export function echoClient(port: number): { call(): Promise<void>; close(): void } {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  const metadata = new Metadata()
  return {
    call: () =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(PATH, same, same, EMPTY, metadata, {}, (error: ServiceError | null) => {
          if (error === null) resolve()
          else reject(error)
        })
      }),
    close: () => {
      client.close()
    },
  }
}

/** @returns the port */
export function serveEcho(): Promise<number> {
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
  return new Promise((resolve) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (_, port) => {
      resolve(port)
    })
  })
}

if (process.argv[2] === 'serve' && process.send !== undefined) {
  process.on('disconnect', () => process.exit())
  process.send(await serveEcho())
}
