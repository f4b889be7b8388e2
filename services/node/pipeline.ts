/**
 * Pipeline: frames of operations in, frames of results out, on one stream.
 *
 *   frame ─▶ check ─▶ writes, one by one, in order of arrival ─▶ group commit of the face ─┐
 *                └──▶ reads of the frame, together ─▶ replicas ────────────────────────────┤
 *   frame ◀─ all results of this turn of the event loop ◀─ hold while the peer is slow ◀───┘
 *
 * An operation is in flight from its arrival until its result is handed to the stream. While PIPELINE_IN_FLIGHT_MAX are, or
 * PIPELINE_BYTES_IN_FLIGHT_MAX, no further frame is asked of HTTP/2, whose flow control then stops the peer: neither
 * waiting operations nor unread results can grow. A bad operation has its own result; only a frame that cannot be decoded
 * ends the stream, after the answers to what came before it.
 */
import { type ServerDuplexStream, status as grpcStatus } from '@grpc/grpc-js'
import { must } from '../../streams/core/assert.ts'
import { TidemarkError, isReason } from '../../streams/core/errors.ts'
import {
  CALL_DEADLINE_MS,
  PIPELINE_BYTES_IN_FLIGHT_MAX,
  PIPELINE_IN_FLIGHT_MAX,
  PIPELINE_READS_TOGETHER_MAX,
} from '../../streams/core/limits.ts'
import type {
  Freshness,
  Keyspace,
  Provenance,
  SettleWrite,
  TidemarkNode,
  WriteOptions,
  WriteResult,
} from '../../streams/face.ts'
import {
  KeyValueServiceService as methods,
  type PipelineOperation,
  type PipelineRequest,
  type PipelineResponse,
  type PipelineResult,
  type TransactRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { PipelineOperationKind as Kind } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { type CallMeter, callBegan, callEnded } from './call-meter.ts'
import { type Decoded, type HandlerOf, type Serving, meterOf, nodeFor, writable } from './calls.ts'
import type { keyValueDefinition } from './definitions.ts'
import {
  byPartition,
  bytesOf,
  failure,
  readResult,
  requestIdOf,
  resultsOfFrame,
  toMutation,
  writeResult,
} from './pipeline-operations.ts'
import { grpcCode, toGrpcError } from './status.ts'
import { isTraceparent, traceparentOf } from './trace-context.ts'
import { toTransaction } from './transact.ts'
import {
  checkConsistency,
  checkDurability,
  checkKey,
  checkToken,
  keyspaceName,
  refuseField,
} from './validate.ts'

type Call = ServerDuplexStream<Decoded<PipelineRequest>, PipelineResponse>

export function keyValuePipeline(serving: Serving): HandlerOf<typeof keyValueDefinition.pipeline> {
  const meter = meterOf(serving, methods.pipeline)
  const operations = OPERATIONS.map((name) => meterOf(serving, { path: `Pipeline/${name}` }))
  return (call) => {
    new PipelineStream(serving, meter, operations, call).run()
  }
}

/** Operations are metered like calls; by the number of their kind. */
const OPERATIONS = ['Unknown', 'Get', 'Put', 'Delete', 'Increment', 'Transact'] as const

/** Of an operation, what its answer needs. */
interface Asked {
  readonly meter: CallMeter
  readonly began: number
  readonly detailed: boolean
}

/** What the operations of a frame share. */
interface Frame {
  /** When it came. */
  readonly began: number
  readonly keyspace: Keyspace
  readonly freshness: Freshness
  readonly options: WriteOptions
  readonly session: string
  /** Results carry details. */
  readonly detailed: boolean
  /** By kind of operation. */
  readonly asked: Asked[]
}

class PipelineStream {
  readonly #serving: Serving
  readonly #node: Pick<TidemarkNode, 'keyspace'>
  readonly #meter: CallMeter
  readonly #call: Call
  readonly #began: number
  readonly #deadline: number
  readonly #traceparent: string
  readonly #operations: readonly CallMeter[]
  /** The moment of this turn of the event loop, for all that is answered in it; 0 = none was yet. */
  #turn = 0
  /** Operations that have no result yet: their bytes by id. */
  readonly #waiting = new Map<number, number>()
  /** Operations whose result has not been handed to the stream, and the bytes of those or of their results. */
  #inFlight = 0
  #bytesInFlight = 0
  /** Results that wait for the end of this turn, or for the peer. */
  #results: PipelineResult[] = []
  #flushing = false
  #blocked = false
  #introduced = false
  /** Asks for the next frame, when one was asked for while too much was in flight. */
  #askLater: (() => void) | undefined
  /** No frame is read any more: the peer has sent its last, or `#error` ends the stream. */
  #closing = false
  #error: TidemarkError | undefined
  #gone = false

  constructor(serving: Serving, meter: CallMeter, operations: readonly CallMeter[], call: Call) {
    this.#operations = operations
    this.#serving = serving
    const node = nodeFor(serving, call)
    this.#node = serving.tracing?.pipelined(node, call) ?? node
    this.#meter = meter
    this.#call = call
    this.#began = callBegan(meter)
    const deadline = call.getDeadline()
    this.#deadline = typeof deadline === 'number' ? deadline : deadline.getTime()
    this.#traceparent = traceparentOf(call)
  }

  run(): void {
    const call = this.#call
    // A paused stream would still gather frames up to its own mark, 16 of up to 20 MiB: so the gate is where it asks for them.
    const ask = call._read.bind(call)
    call._read = (size) => {
      if (this.#open()) ask(size)
      else this.#askLater = () => ask(size)
    }
    const drain = (): void => this.#close(new TidemarkError('NODE_DRAINING', 'the node is shutting down'))
    this.#serving.draining.addEventListener('abort', drain)
    call.on('data', (frame: Decoded<PipelineRequest>) => this.#frame(frame))
    call.on('end', () => this.#close(undefined))
    call.on('drain', () => {
      this.#blocked = false
      this.#flush()
    })
    call.on('cancelled', () => this.#leave(grpcStatus.CANCELLED))
    call.on('close', () => {
      this.#leave(grpcStatus.CANCELLED)
      this.#serving.draining.removeEventListener('abort', drain)
    })
    if (this.#serving.draining.aborted) drain()
  }

  #open(): boolean {
    return (
      this.#inFlight < PIPELINE_IN_FLIGHT_MAX &&
      this.#bytesInFlight < PIPELINE_BYTES_IN_FLIGHT_MAX &&
      this.#error === undefined
    )
  }

  #frame(request: Decoded<PipelineRequest>): void {
    if (this.#closing) return
    if (request instanceof TidemarkError) {
      this.#close(request)
      return
    }
    this.#inFlight += request.operations.length
    const began = performance.now()
    const frame = this.#prepare(request, began)
    const reads: PipelineOperation[] = []
    for (const operation of request.operations) {
      if (this.#waiting.has(operation.id)) {
        const error = refuseField('id', `the operation ${operation.id} still waits for its answer`)
        this.#settle(failure(operation.id, error, request.details))
        continue
      }
      const bytes = bytesOf(operation)
      this.#waiting.set(operation.id, bytes)
      this.#bytesInFlight += bytes
      const meter = this.#meterOf(operation)
      meter.inFlight += 1
      if (frame instanceof TidemarkError) {
        this.#fail(operation.id, { meter, began, detailed: request.details }, frame)
        continue
      }
      try {
        if (operation.kind === Kind.PIPELINE_OPERATION_KIND_GET) {
          checkKey(operation.key, 'key')
          reads.push(operation)
        } else this.#write(frame, operation)
      } catch (caught) {
        this.#fail(operation.id, { meter, began, detailed: request.details }, caught)
      }
    }
    if (reads.length > 0 && !(frame instanceof TidemarkError)) void this.#readAll(frame, reads)
  }

  /** What is wrong with a frame as a whole is the answer to each of its operations. */
  #prepare(request: PipelineRequest, began: number): Frame | TidemarkError {
    try {
      const timeoutMs = Math.min(request.timeoutMs || CALL_DEADLINE_MS, CALL_DEADLINE_MS)
      const deadline = Math.min(this.#deadline, Date.now() + timeoutMs)
      return {
        began,
        keyspace: this.#node.keyspace(keyspaceName(request.keyspace)),
        freshness: {
          consistency: checkConsistency(request.consistency),
          token: checkToken(request.token),
          deadline,
          traces: this.#serving.tracing?.readsOf(request.operations),
        },
        options: { durability: checkDurability(request.durability), deadline },
        session: request.session,
        detailed: request.details,
        asked: [],
      }
    } catch (caught) {
      return TidemarkError.from(caught)
    }
  }

  #write(frame: Frame, operation: PipelineOperation): void {
    const requestId = requestIdOf(frame.session, operation)
    const traceparent = isTraceparent(operation.traceparent) ? operation.traceparent : this.#traceparent
    if (operation.kind === Kind.PIPELINE_OPERATION_KIND_TRANSACT) {
      this.#transact(frame, operation, requestId, traceparent)
      return
    }
    const mutation = toMutation(operation, requestId, traceparent)
    const { id } = operation
    const asked = this.#asked(frame, operation)
    frame.keyspace.submit(mutation, frame.options, (written) => {
      this.#settleWrite(id, asked, written, undefined)
    })
  }

  // On its own: what its closure needs, that of every put would carry.
  #transact(frame: Frame, operation: PipelineOperation, requestId: string, traceparent: string): void {
    const { id, transaction } = operation
    if (transaction === undefined) throw refuseField('transaction', 'it is missing')
    const { mutation, reads } = toTransaction(frame.keyspace, transaction, requestId, traceparent)
    const asked = this.#asked(frame, operation)
    const settle: SettleWrite = (written) => {
      this.#settleWrite(id, asked, written, transaction)
    }
    frame.keyspace.submit(mutation, frame.options, settle, reads)
  }

  #settleWrite(
    id: number,
    asked: Asked,
    written: WriteResult | TidemarkError,
    transaction: TransactRequest | undefined,
  ): void {
    if (written instanceof TidemarkError) this.#fail(id, asked, written)
    else this.#answer(writeResult(id, written, transaction, asked.detailed), asked)
  }

  /** One for all operations of a kind in the frame. */
  #asked({ asked, began, detailed }: Frame, operation: PipelineOperation): Asked {
    return (asked[operation.kind] ??= { meter: this.#meterOf(operation), began, detailed })
  }

  /** The reads of a frame, so many together that neither a turn of the event loop nor their values grow large. */
  async #readAll(frame: Frame, operations: readonly PipelineOperation[]): Promise<void> {
    for (let from = 0; from < operations.length && !this.#gone; from += PIPELINE_READS_TOGETHER_MAX) {
      if (from > 0 && this.#blocked) await writable(this.#call)
      await this.#read(frame, operations.slice(from, from + PIPELINE_READS_TOGETHER_MAX), true)
    }
  }

  async #read(frame: Frame, operations: readonly PipelineOperation[], apart: boolean): Promise<void> {
    const { keyspace, freshness, detailed, began } = frame
    const asked: Asked = {
      meter: must(this.#operations[Kind.PIPELINE_OPERATION_KIND_GET], 'a meter'),
      began,
      detailed,
    }
    let results: readonly PipelineResult[]
    try {
      const read = await keyspace.getMany(
        operations.map((operation) => operation.key),
        freshness,
      )
      const provenance: Provenance[] = []
      for (const each of read.provenance) provenance[each.partition] = each
      results = operations.map(({ id, key }, index) => {
        const partition = keyspace.partitionOf(key)
        return readResult(id, partition, provenance[partition], read.rows[index], detailed)
      })
    } catch (caught) {
      const groups = apart ? byPartition(keyspace, operations) : []
      // One partition that cannot answer must not fail the reads of the others.
      if (groups.length > 1) await Promise.all(groups.map((group) => this.#read(frame, group, false)))
      else for (const operation of operations) this.#fail(operation.id, asked, caught)
      return
    }
    for (const result of results) this.#answer(result, asked)
  }

  #fail(id: number, asked: Asked, caught: unknown): void {
    const error = TidemarkError.from(caught)
    if (error.reason === 'INTERNAL') this.#serving.bug(caught)
    this.#answer(failure(id, error, asked.detailed), asked)
  }

  #meterOf({ kind }: PipelineOperation): CallMeter {
    return this.#operations[kind] ?? must(this.#operations[0], 'a meter')
  }

  #answer(result: PipelineResult, { meter, began }: Asked): void {
    if (this.#turn === 0) this.#turn = performance.now()
    const { reason } = result
    if (isReason(reason)) this.#serving.totals.tallies.errors.add(reason)
    callEnded(meter, isReason(reason) ? grpcCode(reason) : grpcStatus.OK, began, this.#turn)
    this.#bytesInFlight -= this.#waiting.get(result.id) ?? 0
    this.#waiting.delete(result.id)
    this.#settle(result)
  }

  #settle(result: PipelineResult): void {
    if (this.#gone) return
    this.#results.push(result)
    this.#bytesInFlight += result.value.length
    if (this.#flushing) return
    this.#flushing = true
    // After all promises of this turn: what one group commit settled goes out as one frame.
    process.nextTick(() => {
      this.#flushing = false
      this.#turn = 0
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#results.length > 0 && !this.#blocked && !this.#gone) {
      const results = this.#results.splice(0, resultsOfFrame(this.#results))
      this.#inFlight -= results.length
      for (const result of results) this.#bytesInFlight -= result.value.length
      const { logIdentity, nodeId } = this.#serving.node.description
      const response = this.#introduced
        ? { results, logIdentity: '', nodeId: '' }
        : { results, logIdentity, nodeId }
      this.#introduced = true
      this.#blocked = !this.#call.write(response)
    }
    if (this.#closing) this.#finish()
    else if (this.#askLater !== undefined && this.#open()) {
      const ask = this.#askLater
      this.#askLater = undefined
      ask()
    }
  }

  /** Reads no further frame; ends once all that was begun is answered. */
  #close(error: TidemarkError | undefined): void {
    if (this.#closing) return
    this.#closing = true
    this.#error = error
    this.#finish()
  }

  #finish(): void {
    if (this.#gone || this.#inFlight > 0 || this.#results.length > 0) return
    if (this.#error === undefined) {
      this.#leave(grpcStatus.OK)
      this.#call.end()
    } else {
      const error = toGrpcError(this.#error)
      this.#leave(error.code)
      this.#call.emit('error', error)
    }
  }

  #leave(code: grpcStatus): void {
    if (this.#gone) return
    this.#gone = true
    this.#results = []
    callEnded(this.#meter, code, this.#began)
  }
}
