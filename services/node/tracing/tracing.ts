/**
 * What follows single calls and writes through a node, as the handlers see it. It is there only where traces are sent somewhere: nothing
 * of OpenTelemetry is loaded otherwise, and a handler without it passes over one undefined field for each call or frame.
 */
import type { Metadata, status as grpcStatus } from '@grpc/grpc-js'
import type { PipelineOperation } from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Freshness, TidemarkNode, WatchMessage } from '../../../streams/face.ts'

export interface CallTracing {
  /** A call has come. Where it is traced, its metadata carry the context of its span from here on. */
  began(path: string, call: TracedCall): CallSpan | undefined
  /** The node as the operations of a Pipeline stream see it: each that is traced is a span. */
  pipelined(node: TidemarkNode, call: TracedCall): Pick<TidemarkNode, 'keyspace'>
  /** The contexts of the reads in a frame. */
  readsOf(operations: readonly PipelineOperation[]): Freshness['traces']
  /** Events go to a watcher. @returns who is told that they have gone; undefined where none of them is of a traced write */
  delivering(keyspace: string, message: WatchMessage): (() => void) | undefined
  /** The trace in which something was thrown, for the log. */
  idsOf(thrown: unknown): TraceIds | undefined
}

export interface TracedCall {
  readonly metadata: Metadata
  /** Undefined where it comes as a stream. */
  readonly request?: unknown
  getPeer(): string
}

export interface CallSpan {
  /** @param thrown - what it failed with */
  ended(code: grpcStatus, thrown?: unknown): void
}

export interface TraceIds {
  readonly traceId: string
  readonly spanId: string
}
