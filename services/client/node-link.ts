/**
 * One node as a client reaches it: its channels, stubs and pipelines, and whether it can be reached now.
 *
 *   new ─use─▶ connecting ─ready─▶ up ─lost─▶ down ─(a rest, then ready again)─▶ up
 *                   └──── lost, or CLIENT_CONNECT_MS_MAX passed ────▲
 *
 * `new` and `connecting` count as reachable: work waits there for the connection. A node that is down is tried again in the
 * background, so that no call has to find out. Nothing connects before it is used.
 */
import { connectivityState, type ChannelCredentials } from '@grpc/grpc-js'
import { ClusterServiceClient } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { KeyspaceServiceClient } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { KeyValueServiceClient } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { must } from '../../streams/core/assert.ts'
import {
  CLIENT_BACKOFF_MS,
  CLIENT_BACKOFF_MS_MAX,
  CLIENT_PING_MS,
  CLIENT_PING_TIMEOUT_MS,
  CLIENT_CONNECT_MS_MAX,
  CLIENT_RECEIVE_BYTES_MAX,
  MESSAGE_BYTES_MAX,
} from '../../streams/core/limits.ts'
import { backoffMs } from './backoff.ts'
import type { Pipeline } from './pipeline.ts'

export interface NodeLinkOptions {
  readonly address: string
  readonly credentials: ChannelCredentials
  readonly connections: number
  readonly makePipeline: (link: NodeLink, client: KeyValueServiceClient) => Pipeline
  /** It can be reached again, or cannot any more. Called after the state has changed. */
  readonly onChange: (link: NodeLink) => void
}

/** A call in flight that ends when the node leaves the cluster. */
export interface Cancellable {
  cancel(): void
}

export class NodeLink {
  readonly address: string
  readonly rows: KeyValueServiceClient
  readonly keyspaces: KeyspaceServiceClient
  readonly cluster: ClusterServiceClient
  /** One for each connection; a key always takes the same one. */
  readonly pipelines: readonly Pipeline[]
  readonly calls = new Set<Cancellable>()
  readonly #first: Pipeline
  readonly #clients: readonly KeyValueServiceClient[]
  readonly #onChange: (link: NodeLink) => void
  #retired = false
  #state: 'new' | 'connecting' | 'up' | 'down' | 'closed' = 'new'
  /** Losses since the last answer. */
  #losses = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ address, credentials, connections, makePipeline, onChange }: NodeLinkOptions) {
    this.address = address
    this.#onChange = onChange
    this.#clients = Array.from(
      { length: connections },
      () => new KeyValueServiceClient(address, credentials, CHANNEL_OPTIONS),
    )
    this.rows = must(this.#clients[0], 'the first connection')
    const sameChannel = { channelOverride: this.rows.getChannel() }
    this.keyspaces = new KeyspaceServiceClient(address, credentials, sameChannel)
    this.cluster = new ClusterServiceClient(address, credentials, sameChannel)
    this.pipelines = this.#clients.map((client) => makePipeline(this, client))
    this.#first = must(this.pipelines[0], 'the first pipeline')
  }

  /** False only while it is known to be out of reach, and once it has left. */
  get reachable(): boolean {
    return this.#state !== 'down' && this.#state !== 'closed' && !this.#retired
  }

  /** Calls made now wait for a connection. */
  get unconnected(): boolean {
    return this.rows.getChannel().getConnectivityState(false) !== connectivityState.READY
  }

  get up(): boolean {
    return this.#state === 'up'
  }

  /** Writes of one key keep their order only on one connection: FNV-1a of the key chooses it. */
  pipelineFor(key: Buffer): Pipeline {
    const { pipelines } = this
    if (pipelines.length === 1) return this.#first
    let hash = 0x811c9dc5
    for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193)
    return pipelines[(hash >>> 0) % pipelines.length] ?? this.#first
  }

  /** Something is about to be sent: connects where that has not begun. */
  use(): void {
    if (this.#state !== 'new') return
    this.#state = 'connecting'
    this.#timer = setTimeout(() => this.lost(), CLIENT_CONNECT_MS_MAX)
    this.#awaitReady()
  }

  /** It did not answer, or the connection broke. */
  lost(): void {
    if (this.#retired || this.#state === 'closed' || this.#state === 'down') return
    this.#state = 'down'
    this.#losses += 1
    clearTimeout(this.#timer)
    // A rest also where the channel still believes in its connection: the loss may have been seen here first.
    this.#timer = setTimeout(() => this.#awaitReady(), CLIENT_BACKOFF_MS + backoffMs(this.#losses))
    this.#onChange(this)
  }

  answered(): void {
    this.#losses = 0
  }

  /** It is no node of the cluster any more. */
  retire(): void {
    this.#retired = true
    clearTimeout(this.#timer)
  }

  /** Ends the calls in flight: another node must answer them. */
  leave(): void {
    for (const call of this.calls) call.cancel()
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    clearTimeout(this.#timer)
    for (const client of this.#clients) client.close()
  }

  #awaitReady(): void {
    if (this.#state === 'closed') return
    const channel = this.rows.getChannel()
    const state = channel.getConnectivityState(true)
    if (state === connectivityState.READY) {
      if (this.#state === 'up') return
      this.#state = 'up'
      clearTimeout(this.#timer)
      return this.#onChange(this)
    }
    channel.watchConnectivityState(state, Infinity, () => this.#awaitReady())
  }
}

const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': CLIENT_RECEIVE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // A node that restarts is found again soon: gRPC's own default rests up to two minutes.
  'grpc.initial_reconnect_backoff_ms': CLIENT_BACKOFF_MS,
  'grpc.max_reconnect_backoff_ms': CLIENT_BACKOFF_MS_MAX,
  'grpc.keepalive_time_ms': CLIENT_PING_MS,
  'grpc.keepalive_timeout_ms': CLIENT_PING_TIMEOUT_MS,
  // Else all channels to one address would share one socket.
  'grpc.use_local_subchannel_pool': 1,
}
