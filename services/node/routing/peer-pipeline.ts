/**
 * Reads and writes of single rows on their way to a peer: what many callers ask for in one turn of the event loop travels as
 * frames of one Pipeline stream. Unlike the client's pipeline it repeats nothing: what fails goes back to its caller, who knows
 * other nodes. Each operation ends with its result, with the loss of the stream, or at its deadline.
 */
import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js'
import {
  type PipelineOperation,
  PipelineOperationKind,
  type PipelineRequest,
  type PipelineResponse,
  type PipelineResult,
} from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import type {
  Consistency as ConsistencyNumber,
  Durability as DurabilityNumber,
} from '../../../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import {
  CALLS_PER_CONNECTION_MAX,
  CLIENT_BYTES_IN_FLIGHT_MAX,
  CLIENT_FRAMES_UNWRITTEN_MAX,
  CLIENT_FRAME_BYTES,
  FRAME_OPERATIONS_MAX,
  MESSAGE_BYTES_MAX,
  SMALL_MESSAGE_BYTES_MAX,
} from '../../../streams/core/limits.ts'
import type { Token } from '../../../streams/face.ts'
import { Deadlines } from '../../client/deadlines.ts'
import { tokenMessage } from '../messages.ts'
import { bytesOf } from '../pipeline-operations.ts'

/** What its frame says for all of its operations; those that agree in it share a frame. */
export interface FrameFields {
  readonly keyspace: string
  readonly consistency: ConsistencyNumber
  readonly token: Token | undefined
  readonly durability: DurabilityNumber
}

interface Waiting {
  readonly operation: PipelineOperation
  readonly fields: FrameFields
  readonly bytes: number
  /** On the clock of `performance.now()`. */
  readonly deadline: number
  readonly resolve: (result: PipelineResult) => void
  readonly reject: (error: TidemarkError) => void
}

type Stream = ClientDuplexStream<PipelineRequest, PipelineResponse>

export interface PeerPipelineOptions {
  readonly open: () => Stream
  /** What a lost stream means. */
  readonly failed: (error: ServiceError | undefined) => TidemarkError
  /** An answer has come. */
  readonly answered: () => void
  /** What the deadline means. */
  readonly late: () => TidemarkError
}

export class PeerPipeline {
  readonly #options: PeerPipelineOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #deadlines = new Deadlines((now) => this.#endLate(now))
  /** In order of submission; no read waits behind a write. */
  readonly #unsent: { reads: Waiting[]; writes: Waiting[] } = { reads: [], writes: [] }
  #stream: Stream | undefined
  #framesUnwritten = 0
  #flushDue = false
  #nextId = 1
  #bytes = 0

  constructor(options: PeerPipelineOptions) {
    this.#options = options
  }

  /** @param deadline - milliseconds since 1970 @param operation - gets its id here */
  submit(fields: FrameFields, operation: PipelineOperation, deadline: number): Promise<PipelineResult> {
    return new Promise((resolve, reject) => {
      const bytes = bytesOf(operation) + OPERATION_BYTES_ABOUT
      if (bytes > OPERATION_BYTES_MAX) throw tooLarge(bytes)
      const over = this.#waiting.size > 0 && this.#bytes + bytes > CLIENT_BYTES_IN_FLIGHT_MAX
      if (over || this.#waiting.size >= CALLS_PER_CONNECTION_MAX) throw this.#overloaded()
      const left = deadline - Date.now()
      if (left <= 0) throw this.#options.late()
      operation.id = this.#nextId
      this.#nextId += 1
      const waiting = { operation, fields, bytes, deadline: performance.now() + left, resolve, reject }
      this.#waiting.set(operation.id, waiting)
      this.#bytes += bytes
      const isRead = operation.kind === PipelineOperationKind.PIPELINE_OPERATION_KIND_GET
      this.#unsent[isRead ? 'reads' : 'writes'].push(waiting)
      this.#deadlines.watch(waiting.deadline)
      this.#flushSoon()
    })
  }

  #overloaded(): TidemarkError {
    const message = `${this.#waiting.size} operations of ${this.#bytes} bytes wait for a peer, the most that a node sends on to another`
    return new TidemarkError('OVERLOADED', message)
  }

  // ---- sending ----

  #flushSoon(): void {
    if (this.#flushDue) return
    this.#flushDue = true
    process.nextTick(() => {
      this.#flushDue = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#framesUnwritten < CLIENT_FRAMES_UNWRITTEN_MAX) {
      const frame = this.#nextFrame('writes') ?? this.#nextFrame('reads')
      if (frame === undefined) return
      const stream = (this.#stream ??= this.#open())
      this.#framesUnwritten += 1
      stream.write(frame, () => {
        if (stream !== this.#stream) return
        this.#framesUnwritten -= 1
        this.#flush()
      })
    }
  }

  #nextFrame(kind: 'reads' | 'writes'): PipelineRequest | undefined {
    const unsent = this.#unsent[kind]
    if (unsent.length === 0) return undefined
    const operations: PipelineOperation[] = []
    let fields: FrameFields | undefined
    let bytes = 0
    let latest = 0
    let taken = 0
    for (const waiting of unsent) {
      if (this.#waiting.has(waiting.operation.id)) {
        if (fields !== undefined && !agree(fields, waiting.fields)) break
        if (bytes > 0 && bytes + waiting.bytes > CLIENT_FRAME_BYTES) break
        if (operations.length === FRAME_OPERATIONS_MAX) break
        fields ??= waiting.fields
        operations.push(waiting.operation)
        bytes += waiting.bytes
        latest = Math.max(latest, waiting.deadline)
      }
      taken += 1
    }
    this.#unsent[kind] = taken === unsent.length ? [] : unsent.slice(taken)
    if (fields === undefined) return undefined
    const { keyspace, consistency, token, durability } = fields
    return {
      keyspace,
      consistency,
      token: token === undefined ? undefined : tokenMessage(token.logIdentity, token.positions),
      durability,
      session: '',
      operations,
      // That of the last one; the others are ended here in time.
      timeoutMs: Math.max(1, Math.ceil(latest - performance.now())),
      details: true,
    }
  }

  // ---- the stream ----

  #open(): Stream {
    const stream = this.#options.open()
    this.#framesUnwritten = 0
    stream.on('data', ({ results }: PipelineResponse) => {
      this.#options.answered()
      for (const result of results) this.#take(result.id)?.resolve(result)
    })
    // Also after the stream is given up: an 'error' without a listener would stop the process.
    stream.on('error', (error: ServiceError) => {
      if (stream === this.#stream) this.#lost(error)
    })
    stream.on('end', () => {
      setImmediate(() => {
        if (stream === this.#stream) this.#lost(undefined)
      })
    })
    return stream
  }

  #lost(error: ServiceError | undefined): void {
    this.#stream = undefined
    this.#framesUnwritten = 0
    this.#unsent.reads = []
    this.#unsent.writes = []
    const failure = asLoss(this.#options.failed(error))
    for (const { operation } of [...this.#waiting.values()]) this.#take(operation.id)?.reject(failure)
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return undefined
    this.#waiting.delete(id)
    this.#bytes -= waiting.bytes
    return waiting
  }

  /** @returns the earliest deadline of those left */
  #endLate(now: number): number {
    let earliest = Infinity
    for (const { operation, deadline } of [...this.#waiting.values()]) {
      if (deadline > now) earliest = Math.min(earliest, deadline)
      else this.#take(operation.id)?.reject(this.#options.late())
    }
    return earliest
  }

  /** Ends the stream: what waits for it fails as with a lost one. */
  close(): void {
    const stream = this.#stream
    this.#lost(undefined)
    stream?.cancel()
    this.#deadlines.stop()
  }
}

/** What ends a stream says nothing of the operations on it, except that they may go elsewhere. */
const asLoss = (error: TidemarkError): TidemarkError =>
  error.retriable ? error : new TidemarkError('NODE_UNREACHABLE', error.message, { cause: error })

/** Of an operation's fields beside key and value, in a frame and in memory. */
const OPERATION_BYTES_ABOUT = 64
/** Of one operation: with its frame it must fit a message. One that does not would end the stream, and all others with it. */
const OPERATION_BYTES_MAX = MESSAGE_BYTES_MAX - SMALL_MESSAGE_BYTES_MAX

const tooLarge = (bytes: number): TidemarkError =>
  new TidemarkError('BATCH_TOO_LARGE', `${bytes} bytes, a node sends on ${OPERATION_BYTES_MAX}`, {
    metadata: { limit: String(OPERATION_BYTES_MAX), actual: String(bytes) },
  })

const agree = (one: FrameFields, other: FrameFields): boolean =>
  one.keyspace === other.keyspace &&
  one.consistency === other.consistency &&
  one.token === other.token &&
  one.durability === other.durability
