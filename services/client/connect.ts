/** Makes a client out of its parts. */
import { randomBytes } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { credentials, Metadata, type ChannelCredentials } from '@grpc/grpc-js'
import { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_CONNECTIONS_MAX } from '../../streams/core/limits.ts'
import { parseAddresses } from './addresses.ts'
import { checkedDeadline } from './checks.ts'
import { clusterOn } from './cluster.ts'
import type { Context } from './context.ts'
import { keyspaceOn } from './keyspace.ts'
import { keyspacesOn } from './keyspaces.ts'
import { LinkPool } from './link-pool.ts'
import { NodeLink } from './node-link.ts'
import { Pipeline } from './pipeline.ts'
import { Router } from './router.ts'
import { SessionToken } from './session-token.ts'
import type { ConnectOptions, Keyspace, Tidemark } from './types.ts'

/** A client. Connects when it is first used. Close it, or its connections keep the process alive. */
export function connect(options: ConnectOptions = {}): Tidemark {
  const seeds = parseAddresses(options.server)
  const token = new SessionToken()
  const ids = { next: 1 }
  const connections = checkedConnections(options.connections ?? 1)
  const channelCredentials = credentialsOf(options.tls)
  const poolFor = (router: Router): LinkPool =>
    new LinkPool(
      (address) =>
        new NodeLink({
          address,
          credentials: channelCredentials,
          connections,
          makePipeline: (link, client) =>
            new Pipeline({
              node: link,
              client,
              session: randomText(),
              ids,
              token,
              dispatch: router.dispatchFor(link),
            }),
          onChange: (link) => router.onLinkChange(link),
        }),
    )
  const router = new Router({
    seeds,
    place: { zone: options.zone ?? '', salt: randomText() },
    retryUnreachable: options.retryUnreachable ?? true,
    discover: options.discover ?? true,
    pool: poolFor,
    onLogIdentity: (logIdentity) => token.met(logIdentity),
  })
  const closing = new AbortController()
  setMaxListeners(0, closing.signal) // one for each watch and scan that is open
  const context: Context = {
    router,
    token,
    consistency: options.consistency ?? 'linearizable',
    deadlineMs: checkedDeadline(options.deadlineMs),
    emptyMetadata: new Metadata(),
    traceparent: options.traceparent,
    closed: closing.signal,
  }
  const keyspace = (name: string): Keyspace => keyspaceOn(context, name)
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    closing.abort()
    await router.close()
  }
  return {
    ...keyspace(options.keyspace ?? 'default'),
    server: seeds.join(','),
    keyspace,
    keyspaces: keyspacesOn(context),
    ...clusterOn(context),
    token: () => token.toString(),
    observe: (seen) => token.observe(seen),
    close: () => (closed ??= close()),
  }
}

/** The session of one connection, part of each of its request ids: 72 random bits, 12 characters. */
const randomText = (): string => randomBytes(9).toString('base64url')

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
