/**
 * The HTTP port for orchestrators and scrapers: three fixed paths.
 *
 *   /livez     200 while the event loop turns
 *   /readyz    200 while the node serves all its partitions, 503 otherwise; ?verbose says why, one line for each replica
 *   /metrics   Prometheus' text format
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { TidemarkNode } from '../../streams/face.ts'
import type { Address } from './address.ts'
import { cannotListen } from './listening.ts'
import type { Metrics } from './metrics/prometheus.ts'

export interface Readiness {
  /** Undefined until it is open. */
  readonly node: TidemarkNode | undefined
  readonly draining: AbortSignal
}

export interface HttpServer {
  readonly address: Address
  stop(): Promise<void>
}

/** @throws PORT_TAKEN */
export function serveHttp(listen: Address, readiness: Readiness, metrics: Metrics): Promise<HttpServer> {
  const server = createServer((request, response) => {
    answer(request, readiness, metrics).then(
      (reply) => send(request, response, reply),
      (caught: unknown) => send(request, response, text(500, `${String(caught)}\n`)),
    )
  })
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen('HTTP', 'TIDEMARK_HTTP_LISTEN', listen, cause)))
    server.listen(listen.port, listen.host, () => {
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : listen.port
      resolve({ address: { host: listen.host, port }, stop: () => stop(server) })
    })
  })
}

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
}

const text = (status: number, body: string): Reply => ({ status, type: 'text/plain; charset=utf-8', body })

async function answer(request: IncomingMessage, readiness: Readiness, metrics: Metrics): Promise<Reply> {
  const [path, query] = (request.url ?? '/').split('?', 2)
  if (request.method !== 'GET' && request.method !== 'HEAD') return text(405, 'only GET\n')
  switch (path) {
    case '/livez':
      return text(200, 'ok\n')
    case '/readyz':
      return ready(readiness, new URLSearchParams(query).has('verbose'))
    case '/metrics':
      return { status: 200, type: metrics.contentType, body: await metrics.text() }
    default:
      return text(404, 'there is /livez, /readyz and /metrics\n')
  }
}

function ready({ node, draining }: Readiness, verbose: boolean): Reply {
  const state = draining.aborted
    ? 'draining'
    : node === undefined
      ? 'opening'
      : node.ready
        ? 'ready'
        : 'not ready'
  const status = state === 'ready' ? 200 : 503
  if (!verbose) return text(status, `${state}\n`)
  const replicas = (node?.replicas() ?? []).map(({ keyspace, partition, state, next, logEnd, stopped }) => {
    const why = stopped === undefined ? '' : ` ${stopped.reason}: ${stopped.message}`
    return `[${state === 'live' ? '+' : '-'}] ${keyspace}/${partition} ${state} ${next} of ${Math.max(next, logEnd)}${why}\n`
  })
  return text(status, `${replicas.join('')}${state}\n`)
}

function send(request: IncomingMessage, response: ServerResponse, { status, type, body }: Reply): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function stop(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
