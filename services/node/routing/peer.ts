/**
 * Another node as this one asks it: one HTTP/2 connection, made when it is first needed. Failures are TidemarkErrors, those
 * that the peer sent as it sent them. A peer that did not answer is suspect for a moment, and asked last.
 */
import {
  type ClientReadableStream,
  type ClientUnaryCall,
  type Metadata,
  type ServiceError,
  credentials,
} from '@grpc/grpc-js'
import { ClusterServiceClient } from '../../../proto/generated/tidemark/v1/cluster_service.ts'
import { KeyspaceServiceClient } from '../../../proto/generated/tidemark/v1/keyspace_service.ts'
import {
  KeyValueServiceClient,
  KeyValueServiceService,
  type PipelineOperation,
  type PipelineResult,
} from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import type { MapNode } from '../../../streams/core/cluster-map.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import {
  CALLS_PER_CONNECTION_MAX,
  CLIENT_BACKOFF_MS,
  CLIENT_BACKOFF_MS_MAX,
  CLIENT_PING_MS,
  CLIENT_PING_TIMEOUT_MS,
  CLIENT_RECEIVE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
  PEER_SUSPECT_MS,
} from '../../../streams/core/limits.ts'
import { Tally } from '../../../streams/meters.ts'
import { failureOf } from '../../failure.ts'
import { decodePipelineResponse, encodePipelineRequest } from '../../pipeline-codec.ts'
import { hopMetadata } from './hop.ts'
import { type FrameFields, PeerPipeline } from './peer-pipeline.ts'

const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': CLIENT_RECEIVE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // A peer that restarts is found again soon: gRPC's own default rests up to two minutes.
  'grpc.initial_reconnect_backoff_ms': CLIENT_BACKOFF_MS,
  'grpc.max_reconnect_backoff_ms': CLIENT_BACKOFF_MS_MAX,
  'grpc.keepalive_time_ms': CLIENT_PING_MS,
  'grpc.keepalive_timeout_ms': CLIENT_PING_TIMEOUT_MS,
  'grpc.use_local_subchannel_pool': 1,
}

/** Starts one unary call. */
type Send<Client, Response> = (
  client: Client,
  metadata: Metadata,
  options: { readonly deadline: number },
  done: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

export class Peer {
  readonly nodeId: string
  readonly address: string
  readonly incarnation: string
  readonly #rows: KeyValueServiceClient
  readonly #cluster: ClusterServiceClient
  readonly #keyspaces: KeyspaceServiceClient
  readonly #pipeline: PeerPipeline
  readonly #forwards: Tally
  readonly #calls = new Set<{ cancel(): void }>()
  #doubted = false
  #suspectUntil = 0
  #closed = false

  constructor({ nodeId, address, incarnation }: MapNode, forwards = new Tally()) {
    this.#forwards = forwards
    this.nodeId = nodeId
    this.address = address
    this.incarnation = incarnation
    const insecure = credentials.createInsecure()
    this.#rows = new KeyValueServiceClient(address, insecure, CHANNEL_OPTIONS)
    this.#pipeline = new PeerPipeline({
      open: () =>
        this.#rows.makeBidiStreamRequest(
          KeyValueServiceService.pipeline.path,
          encodePipelineRequest,
          decodePipelineResponse,
          hopMetadata(),
        ),
      failed: (error) => (error === undefined ? this.#ended() : this.#failed(error)),
      answered: () => this.#answered(),
      late: () => this.#late(),
    })
    const shared = { channelOverride: this.#rows.getChannel() }
    this.#cluster = new ClusterServiceClient(address, insecure, shared)
    this.#keyspaces = new KeyspaceServiceClient(address, insecure, shared)
  }

  /** It did not answer when last asked; one caller in PEER_SUSPECT_MS is told otherwise, and finds out. */
  get suspect(): boolean {
    if (!this.#doubted) return false
    const now = performance.now()
    if (now < this.#suspectUntil) return true
    this.#suspectUntil = now + PEER_SUSPECT_MS
    return false
  }

  doubt(): void {
    this.#doubted = true
    this.#suspectUntil = performance.now() + PEER_SUSPECT_MS
  }

  /** One operation on one row, among many of a frame. @param deadline - milliseconds since 1970 */
  submit(fields: FrameFields, operation: PipelineOperation, deadline: number): Promise<PipelineResult> {
    return this.#closed ? Promise.reject(this.#ended()) : this.#pipeline.submit(fields, operation, deadline)
  }

  /** @param deadline - milliseconds since 1970; the peer learns it */
  rows<Response>(send: Send<KeyValueServiceClient, Response>, deadline: number): Promise<Response> {
    return this.#unary(this.#rows, send, deadline)
  }

  cluster<Response>(send: Send<ClusterServiceClient, Response>, deadline: number): Promise<Response> {
    return this.#unary(this.#cluster, send, deadline)
  }

  keyspaces<Response>(send: Send<KeyspaceServiceClient, Response>, deadline: number): Promise<Response> {
    return this.#unary(this.#keyspaces, send, deadline)
  }

  #unary<Client, Response>(
    client: Client,
    send: Send<Client, Response>,
    deadline: number,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      this.#checkOpen()
      const call = send(client, hopMetadata(), { deadline }, (error, response) => {
        this.#calls.delete(call)
        if (error === null) {
          this.#answered()
          resolve(response)
        } else reject(this.#failed(error))
      })
      this.#calls.add(call)
    })
  }

  stream<Response>(
    open: (client: KeyValueServiceClient, metadata: Metadata) => ClientReadableStream<Response>,
  ): PeerStream<Response> {
    this.#checkOpen()
    const call = open(this.#rows, hopMetadata())
    this.#calls.add(call)
    return new PeerStream(
      call,
      (error) => this.#failed(error),
      () => this.#calls.delete(call),
    )
  }

  #checkOpen(): void {
    if (this.#closed) throw this.#ended()
    if (this.#calls.size >= CALLS_PER_CONNECTION_MAX)
      throw new TidemarkError(
        'OVERLOADED',
        `${CALLS_PER_CONNECTION_MAX} requests wait for ${this.#name}, the most that a node sends on to another`,
      )
  }

  get #name(): string {
    return `node ${this.nodeId} at ${this.address}`
  }

  #ended(): TidemarkError {
    return this.#closed
      ? new TidemarkError('NODE_UNREACHABLE', `${this.#name} is no longer part of the cluster`)
      : new TidemarkError('NODE_UNREACHABLE', `${this.#name} ended the stream`)
  }

  #answered(): void {
    this.#doubted = false
    this.#forwards.add('answered')
  }

  #late(): TidemarkError {
    this.doubt()
    this.#forwards.add('late')
    return new TidemarkError('DEADLINE_EXCEEDED', `${this.#name} gave no answer in time`)
  }

  #failed(error: ServiceError): TidemarkError {
    const failure = failureOf(error, this.#name)
    this.#forwards.add('failed')
    const typed = Object.keys(failure.metadata).length > 0
    if (failure.reason === 'NODE_UNREACHABLE' || (failure.reason === 'DEADLINE_EXCEEDED' && !typed))
      this.doubt()
    return failure
  }

  /** The map has dropped it, or this node stops: what waits for it fails with NODE_UNREACHABLE. */
  close(): void {
    this.#closed = true
    for (const call of [...this.#calls]) call.cancel()
    this.#pipeline.close()
    this.#rows.close()
  }
}

/** A stream of messages from a peer: pull it, cancel it. */
export class PeerStream<Response> {
  /** Resolves when the peer has taken the call on; rejects when it refuses. */
  readonly accepted: Promise<void>
  readonly #call: ClientReadableStream<Response>
  readonly #messages: AsyncIterator<Response>
  readonly #failed: (error: ServiceError) => TidemarkError
  /** Kept here: an error before the first pull would be lost otherwise. */
  #error: ServiceError | undefined

  constructor(
    call: ClientReadableStream<Response>,
    failed: (error: ServiceError) => TidemarkError,
    ended: () => void,
  ) {
    this.#call = call
    this.#failed = failed
    this.#messages = (call as AsyncIterable<Response>)[Symbol.asyncIterator]()
    call.on('error', (error: ServiceError) => (this.#error ??= error))
    this.accepted = new Promise((resolve, reject) => {
      call.on('metadata', () => resolve())
      call.on('status', () => {
        ended()
        if (this.#error === undefined) resolve()
        else reject(failed(this.#error))
      })
    })
    this.accepted.catch(() => undefined) // who pulls learns the same
  }

  /** @returns undefined at the end */
  async next(): Promise<Response | undefined> {
    try {
      const result = await this.#messages.next()
      if (result.done !== true) return result.value
    } catch (caught) {
      this.#error ??= caught as ServiceError
    }
    if (this.#error !== undefined) throw this.#failed(this.#error)
    return undefined
  }

  cancel(): void {
    this.#call.cancel()
  }
}
