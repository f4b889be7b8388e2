/**
 * One operation on its way through the pipeline. The object is at the same time the `PipelineOperation` that goes into
 * the frame, so that a call costs one object and no copy.
 */
import {
  PipelineOperationKind,
  type PipelineOperation,
  type PipelineResult,
  type TransactRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Consistency, Durability } from '../../proto/generated/tidemark/v1/types.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { EMPTY } from './bytes.ts'

/** `waiting` for its turn → `queued` for a frame → `sent` → (`resting` before a retry → `queued` …) → `done`. */
export type Stage = 'waiting' | 'queued' | 'sent' | 'resting' | 'done'

/** Gave a write its sequence. */
export interface Home {
  readonly session: string
  /** The write has ended, here or elsewhere. */
  freeSequence(sequence: number): void
}

/** Has an operation in its hands. */
export interface Carrier {
  /** The node that it talks to; whoever compares, knows its type. */
  readonly node: object
  /** Nobody waits for the operation any more. */
  abandon(operation: Operation): void
}

export class Operation implements PipelineOperation {
  // The message.
  id = 0
  readonly kind: PipelineOperationKind
  readonly key: Buffer
  value: Buffer = EMPTY
  ifVersion: number | undefined = undefined
  ttlMs: number | undefined = undefined
  contentType = ''
  delta = '0'
  sequence: number | undefined = undefined
  transaction: TransactRequest | undefined = undefined
  requestId = ''
  traceparent = ''
  // What its frame must say.
  readonly keyspace: string
  consistency: Consistency = 0
  durability: Durability = 0
  // The caller.
  readonly deadlineMs: number
  /** On the clock of `performance.now()`. */
  readonly deadline: number
  readonly complete: (result: PipelineResult) => void
  readonly fail: (error: TidemarkError) => void
  // Its way.
  stage: Stage = 'waiting'
  /** Where it is now; another when it was handed on to another node. */
  carrier: Carrier | undefined = undefined
  /** The request id stays `<session of home>/<sequence>` wherever it goes. */
  home: Home | undefined = undefined
  /** A second asking of this read: it goes to another node where it can. */
  beside: Operation | undefined = undefined
  /** Bytes of key and value, and some for the rest. */
  bytes = 0
  failures = 0
  /** True once it was handed to a living connection: from then on a write may have been applied. */
  exposed = false
  lastFailure: TidemarkError | undefined = undefined
  /** It was on its way when its pipeline looked last (patience.ts). */
  seen = false

  constructor(
    kind: PipelineOperationKind,
    key: Buffer,
    keyspace: string,
    deadlineMs: number,
    complete: (result: PipelineResult) => void,
    fail: (error: TidemarkError) => void,
  ) {
    this.kind = kind
    this.key = key
    this.keyspace = keyspace
    this.deadlineMs = deadlineMs
    this.deadline = performance.now() + deadlineMs
    this.complete = complete
    this.fail = fail
  }

  get isRead(): boolean {
    return this.kind === PipelineOperationKind.PIPELINE_OPERATION_KIND_GET
  }
}
