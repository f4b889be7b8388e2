/**
 * What all handlers share: a request that could not be decoded, the deadline, errors, and counting. A handler itself is an
 * async function from a request to a response; what it throws becomes the status of the call. Nothing here allocates
 * more than it must: unary calls are the narrowest way through the node.
 */
import type { EventEmitter } from 'node:events'
import {
  type Metadata,
  type ServerUnaryCall,
  type ServerWritableStream,
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  status as grpcStatus,
} from '@grpc/grpc-js'
import { AssertionError } from '../../streams/core/assert.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { CALL_DEADLINE_MS } from '../../streams/core/limits.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import type { Meters } from '../../streams/meters.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import { type CallMeter, callBegan, callEnded, newCallMeter } from './call-meter.ts'
import { isForwarded } from './routing/hop.ts'
import { type GrpcError, grpcCode, toGrpcError } from './status.ts'
import type { CallSpan, CallTracing } from './tracing/tracing.ts'

/** What the handlers of a node share. */
export interface Serving {
  /** Answers every request, if need be by asking another node. */
  readonly node: TidemarkNode
  /** This node by itself: answers what another node has sent on. By default the same. */
  readonly local?: TidemarkNode
  /** Where snapshots are; undefined where none were configured. */
  readonly snapshots?: SnapshotStore | undefined
  /** Aborted when the node begins to drain: streams end, then. */
  readonly draining: AbortSignal
  /** By path of the method. */
  readonly meters: Map<string, CallMeter>
  /** What is counted beside the calls. */
  readonly totals: Meters
  /** Undefined where nothing is traced. */
  readonly tracing?: CallTracing | undefined
  /** A bug came to light: an assertion failed, or something was thrown that is no TidemarkError. */
  readonly bug: (error: unknown) => void
  /** As SIGTERM. */
  readonly drain: () => void
}

export function nodeFor({ node, local }: Serving, call: { readonly metadata: Metadata }): TidemarkNode {
  return local !== undefined && isForwarded(call) ? local : node
}

/** What stands for a request that could not be decoded: the error that says why. */
export type Decoded<Request> = Request | TidemarkError

interface Definition<Request, Response, RequestStream, ResponseStream> {
  readonly requestStream: RequestStream
  readonly responseStream: ResponseStream
  readonly requestDeserialize: (bytes: Buffer) => Request
  readonly responseSerialize: (response: Response) => Buffer
}

/** What handles a method, by its definition. */
export type HandlerOf<Method> =
  Method extends Definition<infer Request, infer Response, true, true>
    ? handleBidiStreamingCall<Request, Response>
    : Method extends Definition<infer Request, infer Response, false, true>
      ? handleServerStreamingCall<Request, Response>
      : Method extends Definition<infer Request, infer Response, false, false>
        ? handleUnaryCall<Request, Response>
        : never

/** What handles a service: every method of it. */
export type HandlersOf<Service> = { readonly [Name in keyof Service]: HandlerOf<Service[Name]> }

export type Unary<Request, Response> = (
  request: Request,
  call: ServerUnaryCall<Decoded<Request>, Response>,
) => Promise<Response>

/** The meter of a method; its label is short, such as `KeyValueService/Get`. */
export function meterOf(serving: Serving, { path }: { readonly path: string }): CallMeter {
  const meter = serving.meters.get(path) ?? newCallMeter(path.replace(/^\/tidemark\.v1\./, ''))
  serving.meters.set(path, meter)
  return meter
}

export function unary<Request extends object, Response>(
  serving: Serving,
  method: { readonly path: string },
  answer: Unary<Request, Response>,
): handleUnaryCall<Decoded<Request>, Response> {
  const meter = meterOf(serving, method)
  return (call, callback) => {
    const began = callBegan(meter)
    const span = serving.tracing?.began(method.path, call)
    const request = call.request
    const answering = request instanceof TidemarkError ? Promise.reject(request) : answer(request, call)
    answering.then(
      (response) => {
        callEnded(meter, grpcStatus.OK, began)
        span?.ended(grpcStatus.OK)
        callback(null, response)
      },
      (caught: unknown) => {
        const error = grpcError(serving, caught, span)
        callEnded(meter, error.code, began)
        callback(error)
      },
    )
  }
}

/** Sends messages until it returns; `call` is ended by the caller of it, with what it throws as status. */
export type Streaming<Request, Response> = (
  request: Request,
  call: ServerWritableStream<Decoded<Request>, Response>,
) => Promise<void>

export function serverStreaming<Request extends object, Response>(
  serving: Serving,
  method: { readonly path: string },
  stream: Streaming<Request, Response>,
): handleServerStreamingCall<Decoded<Request>, Response> {
  const meter = meterOf(serving, method)
  return (call) => {
    const began = callBegan(meter)
    const span = serving.tracing?.began(method.path, call)
    const request = call.request
    const streaming = request instanceof TidemarkError ? Promise.reject(request) : stream(request, call)
    streaming.then(
      () => {
        const code = call.cancelled ? grpcStatus.CANCELLED : grpcStatus.OK
        callEnded(meter, code, began)
        span?.ended(code)
        call.end()
      },
      (caught: unknown) => {
        const error = grpcError(serving, caught, span)
        callEnded(meter, error.code, began)
        call.emit('error', error)
      },
    )
  }
}

export function grpcError(serving: Serving, caught: unknown, span?: CallSpan): GrpcError {
  const error = TidemarkError.from(caught)
  // Before the bug is logged: the log names its trace.
  span?.ended(grpcCode(error.reason), caught)
  if (error.reason === 'INTERNAL') serving.bug(caught)
  serving.totals.tallies.errors.add(error.reason)
  return toGrpcError(error)
}

/** An assertion that failed says that memory can no longer be trusted; anything else unexpected is only logged. */
export const isFatal = (bug: unknown): boolean =>
  bug instanceof AssertionError || (bug instanceof Error && bug.cause instanceof AssertionError)

/**
 * When the caller stops waiting, milliseconds since 1970; a call without a deadline gets one. grpc-js ends the call then by a timer of
 * its own, which no interceptor sees, with DEADLINE_EXCEEDED and no details. Callers miss nothing by that: their own timer fires first.
 */
export function deadlineOf(call: { getDeadline(): Date | number }): number {
  const latest = Date.now() + CALL_DEADLINE_MS
  const asked = call.getDeadline()
  return Math.min(latest, typeof asked === 'number' ? asked : asked.getTime())
}

/** Resolves when the stream takes more, or is gone. */
export function writable(call: EventEmitter): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done)
      call.off('close', done)
      call.off('cancelled', done)
      resolve()
    }
    call.on('drain', done)
    call.on('close', done)
    call.on('cancelled', done)
  })
}
