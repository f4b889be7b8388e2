/**
 * Spans of calls, in OpenTelemetry's conventions for RPC: one for each call that is traced, and for each operation of a Pipeline stream, which
 * itself is none; and one for each event of a traced write that goes to a watcher.
 */
import { status as grpcStatus } from '@grpc/grpc-js'
import { PipelineOperationKind } from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import type { Keyspace } from '../../../streams/face.ts'
import { isSampled } from '../../../streams/tracing.ts'
import type { Address } from '../address.ts'
import type { Logger } from '../logger.ts'
import { isForwarded } from '../routing/hop.ts'
import { grpcCode } from '../status.ts'
import { isTraceparent } from '../trace-context.ts'
import { keyspaceName } from '../validate.ts'
import { fail } from './log-spans.ts'
import { type OperationSpans, tracedKeyspace } from './traced-keyspace.ts'
import type { CallTracing, TraceIds, TracedCall } from './tracing.ts'
import {
  type Attributes,
  type Decide,
  type Span,
  type SpanContext,
  SpanKind,
  type StartSpan,
  contextOf,
  textOf,
} from './spans.ts'

/** The codes that are the server's fault, as the conventions have it. */
const FAULTS: ReadonlySet<grpcStatus> = new Set([
  grpcStatus.UNKNOWN,
  grpcStatus.DEADLINE_EXCEEDED,
  grpcStatus.UNIMPLEMENTED,
  grpcStatus.INTERNAL,
  grpcStatus.UNAVAILABLE,
  grpcStatus.DATA_LOSS,
])

/**
 * @param at - where calls arrive
 * @param logger - hears at `debug` of traced calls that fail
 */
export function callSpans(
  start: StartSpan,
  decide: Decide,
  at: Address,
  logger: Pick<Logger, 'debug'>,
  traceFields: (ids: TraceIds) => Readonly<Record<string, string>>,
): CallTracing {
  const failures = new WeakMap<object, TraceIds>()

  const parentOf = ({ metadata }: TracedCall): SpanContext | undefined => {
    const [traceparent] = metadata.get('traceparent')
    const [tracestate] = metadata.get('tracestate')
    return contextOf(
      typeof traceparent === 'string' ? traceparent : undefined,
      typeof tracestate === 'string' ? tracestate : '',
    )
  }
  /** Another node has sent it on without a trace: there it was decided that it has none. */
  const decided = (parent: SpanContext | undefined, forwarded: boolean): boolean =>
    (parent !== undefined || !forwarded) && decide(parent)

  const server = (method: string, peer: string): Attributes => ({
    'rpc.system.name': 'grpc',
    'rpc.method': method,
    'server.address': at.host,
    ...(at.port === 0 ? {} : { 'server.port': at.port }),
    ...peerOf(peer),
  })

  const end = (span: Span, name: string, code: grpcStatus, thrown: unknown): void => {
    span.setAttribute('rpc.response.status_code', grpcStatus[code])
    if (thrown !== undefined) {
      const { traceId, spanId } = span.spanContext()
      const ids = { traceId, spanId }
      if (typeof thrown === 'object' && thrown !== null) failures.set(thrown, ids)
      const { reason, message } = TidemarkError.from(thrown)
      span.setAttribute('tidemark.reason', reason)
      if (FAULTS.has(code)) fail(span, grpcStatus[code], message)
      logger.debug({ reason, ...traceFields(ids) }, `${name} failed: ${message}`)
    }
    span.end()
  }

  const operations = (peer: string, forwarded: boolean): OperationSpans => ({
    began(operation, keyspace, traceparent) {
      const parent = contextOf(traceparent)
      if (!decided(parent, forwarded)) return undefined
      const name = `${PIPELINE}/${operation}`
      const attributes = { ...server(PIPELINE, peer), ...database(keyspace, operation) }
      const span = start({ name, kind: SpanKind.SERVER, attributes, parent })
      return {
        traceparent: textOf(span),
        ended(thrown) {
          const code = thrown === undefined ? grpcStatus.OK : grpcCode(TidemarkError.from(thrown).reason)
          end(span, name, code, thrown)
        },
      }
    },
  })

  return {
    began(path, call) {
      if (ENDLESS.has(path)) return undefined
      const parent = parentOf(call)
      if (!decided(parent, isForwarded(call))) return undefined
      const name = path.slice(1)
      const attributes = { ...server(name, call.getPeer()), ...databaseOf(name, call.request) }
      const span = start({ name, kind: SpanKind.SERVER, attributes, parent })
      call.metadata.set('traceparent', textOf(span))
      return { ended: (code, thrown) => end(span, name, code, thrown) }
    },
    pipelined(node, call) {
      const spans = operations(call.getPeer(), isForwarded(call))
      let last: { readonly keyspace: Keyspace; readonly traced: Keyspace } | undefined
      return {
        keyspace(name) {
          const keyspace = node.keyspace(name)
          if (last?.keyspace !== keyspace) last = { keyspace, traced: tracedKeyspace(keyspace, spans) }
          return last.traced
        },
      }
    },
    readsOf(list) {
      let found: Map<Uint8Array, string> | undefined
      for (const { kind, key, traceparent } of list)
        if (
          traceparent !== '' &&
          kind === PipelineOperationKind.PIPELINE_OPERATION_KIND_GET &&
          isTraceparent(traceparent)
        )
          (found ??= new Map()).set(key, traceparent)
      return found
    },
    delivering(keyspace, { events }) {
      let spans: Span[] | undefined
      for (const { traceparent, partition, row, kind } of events) {
        if (traceparent === undefined || !isSampled(traceparent)) continue
        const parent = contextOf(traceparent)
        if (parent === undefined || !decide(parent)) continue
        const attributes = {
          'messaging.system': 'tidemark',
          'messaging.operation.name': 'deliver',
          'messaging.operation.type': 'send',
          'messaging.destination.name': keyspace,
          'messaging.destination.partition.id': String(partition),
          'tidemark.version': row.version,
          'tidemark.event': kind,
        }
        const name = `deliver ${keyspace}`
        const span = start({ name, kind: SpanKind.PRODUCER, attributes, parent, links: [parent] })
        ;(spans ??= []).push(span)
      }
      return spans && (() => spans.forEach((span) => span.end()))
    },
    idsOf: (thrown) => (typeof thrown === 'object' && thrown !== null ? failures.get(thrown) : undefined),
  }
}

/** Streams that last as long as their callers: what goes through them has spans of its own. */
const ENDLESS: ReadonlySet<string> = new Set([
  '/tidemark.v1.KeyValueService/Watch',
  '/tidemark.v1.ClusterService/WatchMap',
])
const PIPELINE = 'tidemark.v1.KeyValueService/Pipeline'

const database = (keyspace: string, operation: string): Attributes => ({
  'db.system.name': 'tidemark',
  'db.namespace': keyspace,
  'db.operation.name': operation,
})

/** Of a call that is about rows of one keyspace. */
function databaseOf(method: string, request: unknown): Attributes {
  const [service, name = ''] = method.split('/')
  if (service !== 'tidemark.v1.KeyValueService' || typeof request !== 'object' || request === null) return {}
  const keyspace = 'keyspace' in request && typeof request.keyspace === 'string' ? request.keyspace : ''
  return database(keyspaceName(keyspace), name)
}

/** `host:port` as the conventions have it; nothing for what is none, such as the path of a socket. */
function peerOf(peer: string): Attributes {
  const at = peer.lastIndexOf(':')
  const port = Number(peer.slice(at + 1))
  if (at <= 0 || !Number.isInteger(port)) return {}
  return { 'network.peer.address': peer.slice(0, at), 'network.peer.port': port }
}
