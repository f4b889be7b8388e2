/**
 * The fast path of the client: single operations of any callers gather into frames of one Pipeline stream to one node.
 *
 *   submit ─▶ places ─▶ frame ─▶ stream ─▶ answer ─▶ the caller
 *               ▲                            │
 *               ├── again ◀──────────────────┤ retriable answer (after a rest), or connection lost (all, in order)
 *               └── handed on ◀──────────────┘ the same, where another node can do it: at once, to that node's pipeline;
 *                                              or nothing of its partition is answered (patience.ts)
 *
 * - A frame goes out when the turn of the event loop ends, unless CLIENT_FRAMES_UNWRITTEN_MAX are still on their way into
 *   the socket: then operations gather until one is written. No timer, no linger.
 * - Each write has the request id `<session>/<sequence>` from its first sending on, so that sending it again is harmless: what
 *   is remembered of request ids belongs to the partition, so it holds on whatever node the write comes to the log through.
 * - Order: operations are sent, sent again after a loss and handed on in the order of submission. When the way of a partition
 *   changes, all its writes go the new way together, those in flight too (again, under their ids): so writes that are in
 *   flight together overtake each other only where a node refuses one of them for now.
 * - Every operation ends: with its answer, with a failure that a retry cannot mend, or at its deadline.
 */
import { connectivityState, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import {
  KeyValueServiceService,
  type KeyValueServiceClient,
  type PipelineRequest,
  type PipelineResponse,
  type PipelineResult,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import {
  CLIENT_FRAMES_UNWRITTEN_MAX,
  CLIENT_PATIENCE_LOOKS,
  CLIENT_PATIENCE_MS,
  CLIENT_WAITING_MAX,
} from '../../streams/core/limits.ts'
import { decodePipelineResponse, encodePipelineRequest } from '../pipeline-codec.ts'
import { backoffMs } from './backoff.ts'
import { Deadlines } from './deadlines.ts'
import { closedError, doubtfulError, endedError, failureFor, failureOf, lateError } from './failure.ts'
import { nextFrame } from './frame.ts'
import type { Carrier, Operation } from './operation.ts'
import { Patience } from './patience.ts'
import { Places, type Ids } from './places.ts'
import type { SessionToken } from './session-token.ts'

/** The node that a pipeline talks to. */
export interface Node {
  readonly address: string
  /** False while it is known to be out of reach. */
  readonly reachable: boolean
  /** Something is about to be sent. */
  use(): void
  answered(): void
}

/** Knows the other nodes. */
export interface Dispatch {
  /** False in the beginning, until it is known where operations go; they wait for that. */
  readonly settled: boolean
  /** False: operations fail at once where no connection can be made, instead of trying until their deadline. */
  readonly retryUnreachable: boolean
  /** Where the operation is to go as things are now. */
  pipelineFor(operation: Operation): Pipeline
  /** The node did not answer, or its connection broke: hands on what another node can do, by `handOn`. */
  lost(failure: TidemarkError): void
  /** The node refused an operation. @returns whether another one shall be asked at once */
  refused(operation: Operation, failure: TidemarkError): boolean
  /** The partition of an operation, by name; undefined where only this node could do it. */
  nameOf(operation: Operation): string | undefined
  /** Nothing of the operation's partition is answered: hands on what is on its way, where another node can do it. */
  silent(operation: Operation): void
}

export interface PipelineOptions {
  readonly node: Node
  readonly client: KeyValueServiceClient
  readonly session: string
  /** One for all pipelines of a client. */
  readonly ids: Ids
  readonly token: SessionToken
  readonly dispatch: Dispatch
}

type Stream = ClientDuplexStream<PipelineRequest, PipelineResponse>

export class Pipeline implements Carrier {
  readonly node: Node
  readonly #options: PipelineOptions
  readonly #dispatch: Dispatch
  readonly #places: Places
  readonly #deadlines = new Deadlines((now) => this.#endLate(now))

  #stream: Stream | undefined
  /** The connection under the stream is up: what is written from now on may reach the node. */
  #connected = false
  #framesUnwritten = 0
  #flushDue = false
  #reconnectTimer: NodeJS.Timeout | undefined
  readonly #patience = new Patience()
  #lookTimer: NodeJS.Timeout | undefined
  /** Connections lost since the last answer. */
  #losses = 0
  #lastLoss: TidemarkError | undefined

  #refusing = false
  #idle: (() => void)[] = []

  constructor(options: PipelineOptions) {
    this.node = options.node
    this.#options = options
    this.#dispatch = options.dispatch
    this.#places = new Places(options.session, options.ids, () => this.flushSoon())
  }

  get empty(): boolean {
    return this.#places.empty
  }

  submit(operation: Operation): void {
    if (this.#refusing) return operation.fail(closedError())
    if (this.#places.waiting >= CLIENT_WAITING_MAX) {
      const message = `${CLIENT_WAITING_MAX} operations wait for their turn already, the most that a client holds; await some before you start more`
      return operation.fail(new TidemarkError('OVERLOADED', message))
    }
    operation.bytes = OPERATION_BYTES_ABOUT + operation.key.length + operation.value.length
    operation.carrier = this
    this.#places.add(operation)
    this.#deadlines.watch(operation.deadline)
    this.#lookSoon()
    this.flushSoon()
  }

  /** The way of some operations has changed: hands on what is to go elsewhere now. @param silent - the node owes answers */
  handOn(silent = false): void {
    if (this.#places.empty) return
    const gone = this.#places.withdraw((operation) => {
      // A read that is on its way in good hands stays there.
      const moves =
        silent || !(operation.isRead && operation.stage === 'sent' && this.#connected && this.node.reachable)
      return moves && this.#dispatch.pipelineFor(operation) !== this
    })
    for (const operation of gone) {
      if (!this.#connected && this.#lastLoss !== undefined) operation.lastFailure = this.#lastLoss
      this.#dispatch.pipelineFor(operation).#adopt(operation)
    }
    this.#tellIfIdle()
  }

  #adopt(operation: Operation): void {
    operation.carrier = this
    this.#places.adopt(operation)
    this.#deadlines.watch(operation.deadline)
    this.#lookSoon()
    this.flushSoon()
  }

  #lookSoon(): void {
    this.#lookTimer ??= setTimeout(() => {
      this.#lookTimer = undefined
      const nameOf = (operation: Operation): string | undefined => this.#dispatch.nameOf(operation)
      for (const operation of this.#patience.look(this.#places.allSent(), nameOf)) {
        // Handed on with another of its partition meanwhile, perhaps.
        if (operation.carrier === this) this.#dispatch.silent(operation)
      }
      if (!this.#places.empty) this.#lookSoon()
    }, CLIENT_PATIENCE_MS / CLIENT_PATIENCE_LOOKS)
  }

  /** Nobody waits for it any more. */
  abandon(operation: Operation): void {
    if (operation.stage === 'done') return
    this.#places.release(operation)
    if (this.#places.waiting > 0) this.flushSoon()
    this.#tellIfIdle()
  }

  /** Takes no more of callers; what was begun on other nodes may still be handed on to this one. */
  refuse(): void {
    this.#refusing = true
  }

  /** Settles when nothing is left here. */
  async idle(): Promise<void> {
    if (!this.#places.empty) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  /** Ends the stream; nothing may be left. */
  end(): void {
    this.#deadlines.stop()
    clearTimeout(this.#reconnectTimer)
    clearTimeout(this.#lookTimer)
    const stream = this.#stream
    this.#stream = undefined
    stream?.end()
  }

  // ---- sending ------------------------------------------------------------------------------------------------

  flushSoon(): void {
    if (this.#flushDue) return
    this.#flushDue = true
    // A tick that is asked for in a microtask comes after all microtasks: every caller that this turn woke has had its say.
    process.nextTick(() => {
      this.#flushDue = false
      this.#flush()
    })
  }

  #flush(): void {
    const stream = this.#stream
    if (stream === undefined) {
      if (this.#reconnectTimer === undefined && !this.#places.empty) this.#open()
      return
    }
    if (!this.#dispatch.settled) return
    while (this.#connected && this.#framesUnwritten < CLIENT_FRAMES_UNWRITTEN_MAX) {
      const frame = nextFrame(this.#places, this.#options.token)
      if (frame === undefined) return
      this.#framesUnwritten += 1
      stream.write(frame, () => {
        if (stream !== this.#stream) return
        this.#framesUnwritten -= 1
        this.#flush()
      })
    }
  }

  // ---- the connection -----------------------------------------------------------------------------------------

  #open(): void {
    const { client, node } = this.#options
    node.use()
    const stream = client.makeBidiStreamRequest(PATH, encodePipelineRequest, decodePipelineResponse)
    this.#stream = stream
    this.#framesUnwritten = 0
    stream.on('data', (response: PipelineResponse) => {
      if (stream === this.#stream) this.#onAnswers(response)
    })
    // Also after the stream is given up: an 'error' without a listener would stop the process.
    stream.on('error', (error: ServiceError) => {
      if (stream === this.#stream) this.#onLoss(failureOf(error, node.address))
    })
    stream.on('end', () => {
      setImmediate(() => {
        if (stream === this.#stream) this.#onLoss(endedError(node.address))
      })
    })
    this.#awaitConnection(stream)
  }

  /** Frames are written only once the connection is up: so a failed attempt leaves no doubt about what it carried. */
  #awaitConnection(stream: Stream): void {
    if (stream !== this.#stream) return
    const channel = this.#options.client.getChannel()
    const state = channel.getConnectivityState(true)
    if (state === connectivityState.READY) {
      this.#connected = true
      this.#flush()
      return
    }
    // A failed attempt ends the stream itself, with the reason; this only has to notice success.
    channel.watchConnectivityState(state, Infinity, () => {
      this.#awaitConnection(stream)
    })
  }

  #onLoss(failure: TidemarkError): void {
    const hadConnection = this.#connected
    this.#stream?.cancel()
    this.#stream = undefined
    this.#connected = false
    this.#losses += 1
    this.#lastLoss = failure
    this.#dispatch.lost(failure)
    if (failure.retriable && (hadConnection || this.#dispatch.retryUnreachable)) {
      this.#places.sendAllAgain(failure)
    } else {
      for (const operation of this.#places.all()) {
        const doubtful = operation.exposed && !operation.isRead && failure.retriable
        this.#fail(operation, doubtful ? doubtfulError(failure) : failure)
      }
    }
    this.#reconnectTimer = setTimeout(() => {
      this.#reconnectTimer = undefined
      this.#flush()
    }, backoffMs(this.#losses))
    this.#tellIfIdle()
  }

  // ---- answers ------------------------------------------------------------------------------------------------

  #onAnswers({ results, logIdentity }: PipelineResponse): void {
    this.#losses = 0
    this.node.answered()
    if (logIdentity !== '') this.#options.token.met(logIdentity)
    // Decoded values are views of the frame: a caller who keeps one row of many must not keep them all.
    const shared = results.length > 1
    for (const result of results) {
      const operation = this.#places.sent(result.id)
      if (operation === undefined) continue // it ended at its deadline
      if (shared && result.value.length > 0) result.value = Buffer.from(result.value)
      this.#onAnswer(operation, result)
    }
    if (this.#places.waiting > 0) this.flushSoon()
    this.#tellIfIdle()
  }

  #onAnswer(operation: Operation, result: PipelineResult): void {
    if (result.applied !== undefined) {
      this.#options.token.advance(operation.keyspace, result.partition, result.applied)
    }
    if (result.reason === '') {
      this.#places.release(operation)
      return operation.complete(result)
    }
    const failure = failureFor(result.reason, result.message, metadataOf(result))
    operation.lastFailure = failure
    operation.failures += 1
    const elsewhere = this.#dispatch.refused(operation, failure)
    // Where the way of its partition has changed by that, it has been handed on with all the others already.
    if (operation.carrier !== this) return
    if (elsewhere) {
      this.#places.giveUp(operation)
      return this.#dispatch.pipelineFor(operation).#adopt(operation)
    }
    if (!failure.retriable) return this.#fail(operation, failure)
    operation.stage = 'resting'
    setTimeout(() => {
      if (operation.stage !== 'resting' || operation.carrier !== this) return
      this.#places.sendAgain(operation)
      this.flushSoon()
    }, backoffMs(operation.failures))
  }

  #fail(operation: Operation, failure: TidemarkError): void {
    this.#places.release(operation)
    operation.fail(failure)
  }

  /** @returns the earliest deadline of those left */
  #endLate(now: number): number {
    let earliest = Infinity
    for (const operation of this.#places.all()) {
      if (operation.deadline > now) {
        earliest = Math.min(earliest, operation.deadline)
      } else {
        const cause = operation.lastFailure ?? (this.#connected ? undefined : this.#lastLoss)
        this.#fail(operation, lateError(operation, this.#connected, this.node.address, cause))
      }
    }
    if (this.#places.waiting > 0) this.flushSoon()
    this.#tellIfIdle()
    return earliest
  }

  #tellIfIdle(): void {
    if (this.#idle.length === 0 || !this.#places.empty) return
    for (const resolve of this.#idle.splice(0)) resolve()
  }
}

const PATH = KeyValueServiceService.pipeline.path

/** Of an operation's fields beside key and value, in a frame and in memory. */
const OPERATION_BYTES_ABOUT = 64

const metadataOf = (result: PipelineResult): Record<string, string> => ({
  partition: String(result.partition),
  ...(result.version === undefined ? {} : { version: String(result.version) }),
})
