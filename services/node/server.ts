/** The gRPC server: all services on one port, and how it stops. */
import { createServer } from 'node:net'
import { setMaxListeners } from 'node:events'
import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js'
import {
  CALLS_PER_CONNECTION_MAX,
  KEEPALIVE_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_BYTES_MAX,
} from '../../streams/core/limits.ts'
import { type Address, addressText } from './address.ts'
import type { Serving } from './calls.ts'
import { cluster } from './cluster.ts'
import {
  clusterDefinition,
  keyValueDefinition,
  keyspaceDefinition,
  proofDefinition,
  snapshotDefinition,
} from './definitions.ts'
import { serveHealth } from './health.ts'
import { keyValueUnary } from './key-value.ts'
import { keyspaces } from './keyspaces.ts'
import { cannotListen } from './listening.ts'
import { keyValuePipeline } from './pipeline.ts'
import { proofs } from './proofs.ts'
import { serveReflection } from './reflection.ts'
import { keyValueScan } from './scan.ts'
import { snapshots } from './snapshots.ts'
import { keyValueWatch } from './watch.ts'

export interface GrpcServer {
  readonly address: Address
  /** Takes no new call; resolves when those in flight have ended, true, or at the deadline, false. */
  stop(deadline: number): Promise<boolean>
}

/** @param connectionAgeMs - 0 = connections may grow old */
export async function serveGrpc(
  serving: Serving,
  listen: Address,
  connectionAgeMs: number,
): Promise<GrpcServer> {
  const server = new Server(optionsOf(connectionAgeMs))
  // One listener for each stream that is open.
  setMaxListeners(0, serving.draining)
  server.addService(keyValueDefinition, {
    ...keyValueUnary(serving),
    scan: keyValueScan(serving),
    watch: keyValueWatch(serving),
    pipeline: keyValuePipeline(serving),
  })
  server.addService(clusterDefinition, cluster(serving))
  server.addService(keyspaceDefinition, keyspaces(serving))
  server.addService(snapshotDefinition, snapshots(serving))
  server.addService(proofDefinition, proofs(serving))
  serveHealth(server, serving.node, serving.draining)
  serveReflection(server, serving.draining)
  const port = await bind(server, listen)
  return { address: { host: listen.host, port }, stop: (deadline) => stop(server, deadline) }
}

const optionsOf = (connectionAgeMs: number): ServerOptions => ({
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_concurrent_streams': CALLS_PER_CONNECTION_MAX,
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  // Its bookkeeping costs a tenth of an empty call, and nobody asks for it.
  'grpc.enable_channelz': 0,
  ...(connectionAgeMs === 0 ? {} : { 'grpc.max_connection_age_ms': connectionAgeMs }),
})

async function bind(server: Server, listen: Address): Promise<number> {
  if (listen.port !== 0) await probe(listen)
  return new Promise((resolve, reject) => {
    server.bindAsync(addressText(listen), ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port)
      else reject(cannotListen('gRPC', 'TIDEMARK_GRPC_LISTEN', listen, error))
    })
  })
}

/** grpc-js logs a taken port in words of its own before it fails; asking first leaves the word to us. */
function probe(listen: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createServer()
    socket.once('error', (error) => reject(cannotListen('gRPC', 'TIDEMARK_GRPC_LISTEN', listen, error)))
    socket.listen({ host: listen.host, port: listen.port, exclusive: true }, () =>
      socket.close(() => resolve()),
    )
  })
}

function stop(server: Server, deadline: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(
      () => {
        server.forceShutdown()
        resolve(false)
      },
      Math.max(0, deadline - Date.now()),
    )
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
