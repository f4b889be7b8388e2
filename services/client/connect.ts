/** Makes a client out of its parts. */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { credentials, Metadata, type ChannelCredentials } from '@grpc/grpc-js'
import { ClusterServiceClient } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { KeyspaceServiceClient } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { KeyValueServiceClient } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { must } from '../../streams/core/assert.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import {
  CLIENT_BACKOFF_MS,
  CLIENT_BACKOFF_MS_MAX,
  CLIENT_CONNECTIONS_MAX,
  CLIENT_RECEIVE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
} from '../../streams/core/limits.ts'
import { checkedDeadline } from './checks.ts'
import { describeCluster, keyspacesOf } from './cluster.ts'
import type { ConnectOptions, Keyspace, Tidemark } from './index.ts'
import { keyspaceOn } from './keyspace.ts'
import type { Link } from './link.ts'
import { Pipeline } from './pipeline.ts'
import { SessionToken } from './session-token.ts'

const DEFAULT_SERVER = '127.0.0.1:7400'

/** A client. Connects when it is first used. Close it, or its connections keep the process alive. */
export function connect(options: ConnectOptions = {}): Tidemark {
  const server = options.server ?? DEFAULT_SERVER
  const retryUnreachable = options.retryUnreachable ?? true
  const token = new SessionToken()
  const channelCredentials = credentialsOf(options.tls)
  const clients = Array.from(
    { length: checkedConnections(options.connections ?? 1) },
    () => new KeyValueServiceClient(server, channelCredentials, CHANNEL_OPTIONS),
  )
  const rows = must(clients[0], 'the first connection')
  const shared = { channelOverride: rows.getChannel() }
  const pipelineOf = (client: KeyValueServiceClient): Pipeline =>
    new Pipeline({ client, server, session: newSession(), token, retryUnreachable })
  const closing = new AbortController()
  setMaxListeners(0, closing.signal) // one for each watch and scan that is open
  const link: Link = {
    server,
    rows,
    keyspaces: new KeyspaceServiceClient(server, channelCredentials, shared),
    cluster: new ClusterServiceClient(server, channelCredentials, shared),
    pipelines: [pipelineOf(rows), ...clients.slice(1).map(pipelineOf)],
    token,
    consistency: options.consistency ?? 'linearizable',
    deadlineMs: checkedDeadline(options.deadlineMs),
    retryUnreachable,
    emptyMetadata: new Metadata(),
    closed: closing.signal,
  }
  const keyspace = (name: string): Keyspace => keyspaceOn(link, name)
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    closing.abort()
    await Promise.all(link.pipelines.map((pipeline) => pipeline.close()))
    for (const client of clients) client.close()
  }
  return {
    ...keyspace(options.keyspace ?? 'default'),
    server,
    keyspace,
    keyspaces: keyspacesOf(link),
    describe: (callOptions) => describeCluster(link, callOptions?.deadlineMs),
    token: () => token.toString(),
    observe: (seen) => token.observe(seen),
    close: () => (closed ??= close()),
  }
}

/** Part of every request id of one connection; 72 random bits, 12 characters. */
const newSession = (): string => randomBytes(9).toString('base64url')

const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': CLIENT_RECEIVE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // A node that restarts is found again soon: gRPC's own default rests up to two minutes.
  'grpc.initial_reconnect_backoff_ms': CLIENT_BACKOFF_MS,
  'grpc.max_reconnect_backoff_ms': CLIENT_BACKOFF_MS_MAX,
  // A peer that vanished without closing its socket is noticed while calls wait for it.
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 5_000,
  // Else all channels to one address would share one socket.
  'grpc.use_local_subchannel_pool': 1,
}

function credentialsOf(tls: ConnectOptions['tls']): ChannelCredentials {
  if (tls === undefined || tls === false) return credentials.createInsecure()
  if (tls === true) return credentials.createSsl()
  return credentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.certificate ?? null)
}

function checkedConnections(connections: number): number {
  if (!Number.isInteger(connections) || connections < 1 || connections > CLIENT_CONNECTIONS_MAX) {
    const message = `connections is ${connections}: it must be from 1 to ${CLIENT_CONNECTIONS_MAX}`
    throw new TidemarkError('FIELD_INVALID', message, { metadata: { field: 'connections' } })
  }
  return connections
}
