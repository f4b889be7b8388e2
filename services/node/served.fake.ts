/** A server on a FakeNode with clients of the generated code, for tests of the front. */
import { type ClientOptions, type Metadata, type ServiceError, credentials } from '@grpc/grpc-js'
import { ErrorInfo } from '../../proto/generated/google/rpc/error_details.ts'
import { Status } from '../../proto/generated/google/rpc/status.ts'
import { ClusterServiceClient } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { KeyValueServiceClient } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { KeyspaceServiceClient } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { must } from '../../streams/core/assert.ts'
import { addressText } from './address.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import { newMeters } from '../../streams/meters.ts'
import type { CallMeter } from './call-meter.ts'
import { FakeNode } from './face.fake.ts'
import { type GrpcServer, serveGrpc } from './server.ts'
import { STATUS_DETAILS_TRAILER } from './status.ts'

export interface Served {
  readonly node: FakeNode
  readonly server: GrpcServer
  readonly address: string
  readonly draining: AbortController
  readonly meters: Map<string, CallMeter>
  readonly bugs: unknown[]
  readonly keyValues: KeyValueServiceClient
  readonly clusters: ClusterServiceClient
  readonly keyspaces: KeyspaceServiceClient
  close(): Promise<void>
}

/** @param routed - answers in place of `node`, which then is the local one */
export async function serveFake(
  options: ClientOptions = {},
  node = new FakeNode(),
  routed: TidemarkNode = node,
  port = 0,
): Promise<Served> {
  const draining = new AbortController()
  const meters = new Map<string, CallMeter>()
  const bugs: unknown[] = []
  const serving = {
    node: routed,
    local: node,
    draining: draining.signal,
    meters,
    totals: newMeters(),
    bug: (bug: unknown) => void bugs.push(bug),
    drain: () => draining.abort(),
  }
  const server = await serveGrpc(serving, { host: '127.0.0.1', port }, 0)
  const address = addressText(server.address)
  const insecure = credentials.createInsecure()
  // Its own connection for each: subchannels of one address would be shared with clients of other tests.
  const own: ClientOptions = { 'grpc.use_local_subchannel_pool': 1, ...options }
  const keyValues = new KeyValueServiceClient(address, insecure, own)
  const clusters = new ClusterServiceClient(address, insecure, own)
  const keyspaces = new KeyspaceServiceClient(address, insecure, own)
  const close = async (): Promise<void> => {
    node.release()
    for (const client of [keyValues, clusters, keyspaces]) client.close()
    draining.abort()
    await server.stop(Date.now())
  }
  return { node, server, address, draining, meters, bugs, keyValues, clusters, keyspaces, close }
}

type Callback<Response> = (error: ServiceError | null, response: Response) => void

/** A unary call as a promise. */
export const ask = <Response>(call: (callback: Callback<Response>) => unknown): Promise<Response> =>
  new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)))
  })

export interface Refusal {
  readonly code: number
  readonly message: string
  readonly reason: string
  readonly metadata: Readonly<Record<string, string>>
  readonly status: Status
}

export function refusalOf(error: { code: number; details: string; metadata: Metadata }): Refusal {
  const trailer = error.metadata.get(STATUS_DETAILS_TRAILER)[0]
  if (!Buffer.isBuffer(trailer)) throw new Error(`no details: ${error.code} ${error.details}`)
  const status = Status.decode(trailer)
  const info = ErrorInfo.decode(must(status.details[0], 'ErrorInfo').value)
  return { code: error.code, message: error.details, reason: info.reason, metadata: info.metadata, status }
}

/** The refusal of a call that must fail. */
export async function refused(answer: Promise<unknown>): Promise<Refusal> {
  try {
    await answer
  } catch (error) {
    return refusalOf(error as ServiceError)
  }
  throw new Error('the call succeeded')
}
