/**
 * A small node in memory, for tests of the client and the command line: enough of the services to be asked, and a switch
 * for every kind of trouble. A TCP proxy stands before it, so that connections can be cut as networks cut them: at any byte,
 * with answers lost that had been given.
 */
import { once } from 'node:events'
import { createServer, connect as connectSocket, type Server as NetServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import {
  Metadata,
  Server,
  ServerCredentials,
  status,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerWritableStream,
} from '@grpc/grpc-js'
import { ErrorInfo } from '../../proto/generated/google/rpc/error_details.ts'
import { Status } from '../../proto/generated/google/rpc/status.ts'
import { ClusterServiceService, ReplicaState } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { KeyspaceServiceService, type Keyspace } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import {
  KeyValueServiceService,
  type GetOutcomeRequest,
  type KeyValueServiceServer,
  type PipelineOperation,
  type PipelineRequest,
  type PipelineResponse,
  type PipelineResult,
  type ScanRequest,
  type ScanResponse,
  type WatchRequest,
  type WatchResponse,
  WatchMark,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Token } from '../../proto/generated/tidemark/v1/types.ts'
import { CATALOGUE, TidemarkError, type Reason } from '../../streams/core/errors.ts'
import { newResult } from '../pipeline-codec.ts'
import { FAKE_LOG, FakeKeyspace, type FakeRecord } from './keyspace.fake.ts'

/** One operation as it arrived: what a retry must repeat. */
export interface Arrival {
  readonly kind: number
  readonly key: string
  readonly requestId: string
  readonly token: Token | undefined
  readonly consistency: number
}

export class FakeServer {
  /** Everything that came through pipelines, in order. */
  readonly arrivals: Arrival[] = []
  /** Operations in each frame. */
  readonly frames: number[] = []
  /** Requests of scans and watches, in order. */
  readonly scans: ScanRequest[] = []
  readonly watches: WatchRequest[] = []
  /** Rows of one message of a scan. */
  rowsPerMessage = 100
  /** Milliseconds before a frame is answered. */
  delayMs = 0
  /** The next watches deliver these messages, and nothing else. */
  readonly watchScripts: WatchResponse[][] = []
  /** A watch delivers one initial row and then nothing. */
  stallInitial = false
  /** Answers operations of pipelines in its place, while it returns a reason. */
  refuse: (operation: PipelineOperation) => Reason | undefined = () => undefined
  /** The next calls that are not pipelines fail with these, one each. */
  readonly failures: TidemarkError[] = []
  readonly keyspaces = new Map<string, FakeKeyspace>()

  readonly #grpc = new Server()
  readonly #sockets = new Set<Socket>()
  readonly #proxy: NetServer
  #backend = 0
  #port = 0
  #answersHeld = false

  private constructor() {
    this.#proxy = createServer((socket) => this.#forward(socket))
  }

  static async start(partitions = 2): Promise<FakeServer> {
    const server = new FakeServer()
    server.keyspaces.set('default', new FakeKeyspace('default', partitions))
    server.#addServices()
    server.#backend = await new Promise<number>((resolve, reject) => {
      server.#grpc.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error === null) resolve(port)
        else reject(error)
      })
    })
    await server.up()
    return server
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  get rows(): FakeKeyspace {
    return this.#keyspace('default')
  }

  /** Listens (again) on its port. */
  async up(): Promise<void> {
    this.#answersHeld = false
    this.#proxy.listen(this.#port, '127.0.0.1')
    await once(this.#proxy, 'listening')
    const address = this.#proxy.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
  }

  /** Stops listening and cuts all connections. */
  async down(): Promise<void> {
    const closed = once(this.#proxy, 'close')
    this.#proxy.close()
    this.drop()
    await closed
  }

  /** Cuts all connections; new ones are welcome. */
  drop(): void {
    this.#answersHeld = false
    for (const socket of this.#sockets) socket.destroy()
  }

  /** From now on nothing comes back, until drop(): requests are still done. */
  holdAnswers(): void {
    this.#answersHeld = true
  }

  /** Cuts all watches as too slow. */
  cutWatches(): void {
    for (const keyspace of this.keyspaces.values())
      keyspace.cut(new TidemarkError('WATCH_TOO_SLOW', 'too slow'))
  }

  async close(): Promise<void> {
    if (this.#proxy.listening) await this.down()
    this.#grpc.forceShutdown()
  }

  #forward(socket: Socket): void {
    const backend = connectSocket({ port: this.#backend, host: '127.0.0.1', noDelay: true })
    socket.setNoDelay(true)
    for (const [from, to] of [
      [socket, backend],
      [backend, socket],
    ] as const) {
      this.#sockets.add(from)
      from.on('error', () => undefined)
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
      from.on('data', (chunk: Buffer) => {
        if (from === backend && this.#answersHeld) return
        to.write(chunk)
      })
    }
  }

  #keyspace(name: string): FakeKeyspace {
    const keyspace = this.keyspaces.get(name === '' ? 'default' : name)
    if (keyspace === undefined) throw new TidemarkError('KEYSPACE_NOT_FOUND', `there is no keyspace ${name}`)
    return keyspace
  }

  #addServices(): void {
    this.#grpc.addService(KeyValueServiceService, this.#keyValueService())
    this.#grpc.addService(KeyspaceServiceService, {
      create: this.#unary(({ name, partitions }: { name: string; partitions: number }) => {
        if (!this.keyspaces.has(name)) this.keyspaces.set(name, new FakeKeyspace(name, partitions || 2))
        return { keyspace: describe(this.#keyspace(name)) }
      }),
      list: this.#unary(() => ({ keyspaces: [...this.keyspaces.values()].map(describe) })),
    })
    this.#grpc.addService(ClusterServiceService, {
      describe: this.#unary(() => ({
        cluster: 'fake',
        logIdentity: FAKE_LOG,
        nodeId: 'fake-1',
        version: '0.0.0',
        logKind: 'memory',
        replicas: this.rows.ends.map((end, partition) => ({
          keyspace: 'default',
          partition,
          state: ReplicaState.REPLICA_STATE_LIVE,
          applied: end,
          logEnd: end,
          logEndAgeMs: 1,
          epoch: 1,
          leader: 'fake-1',
          rows: this.rows.all().filter((row) => row.partition === partition).length,
          chainHash: 'abc',
          timeMs: 1,
          rejected: 0,
          historyStart: 0,
          stoppedReason: '',
          stoppedMessage: '',
          checkpoints: [],
        })),
        format: 1,
      })),
      drain: this.#unary(() => ({})),
    })
  }

  #keyValueService(): KeyValueServiceServer {
    const notHere = this.#unary(() => {
      throw new TidemarkError('NOT_IMPLEMENTED', 'the fake offers no such call')
    })
    return {
      put: notHere,
      delete: notHere,
      increment: notHere,
      transact: notHere,
      get: this.#unary(({ keyspace, key }: { keyspace: string; key: Buffer }) => ({
        header: undefined,
        row: this.#keyspace(keyspace).get(key),
      })),
      batchGet: this.#unary(({ keyspace, keys }: { keyspace: string; keys: Buffer[] }) => ({
        rows: keys.flatMap((key) => this.#keyspace(keyspace).get(key) ?? []),
        token: this.#keyspace(keyspace).token(),
        nodeId: 'fake-1',
        consistency: 3,
      })),
      history: this.#unary(({ keyspace, key }: { keyspace: string; key: Buffer }) => ({
        header: undefined,
        versions: this.#keyspace(keyspace).history(key),
        earliestVersion: 0,
      })),
      getOutcome: this.#unary(({ position }: GetOutcomeRequest) => ({
        header: undefined,
        outcomes: [{ applied: true, reason: '', position, duplicate: false, version: position?.offset }],
        timeMs: 5,
      })),
      scan: (call) => void this.#scan(call),
      watch: (call) => this.#watch(call),
      pipeline: (call) => this.#pipeline(call),
    }
  }

  #unary<Request, Response>(answer: (request: Request) => Response) {
    return (call: { request: Request }, done: sendUnaryData<Response>): void => {
      try {
        const failure = this.failures.shift()
        if (failure !== undefined) throw failure
        done(null, answer(call.request))
      } catch (error) {
        done(statusOf(TidemarkError.from(error)))
      }
    }
  }

  #pipeline(call: ServerDuplexStream<PipelineRequest, PipelineResponse>): void {
    call.on('error', () => undefined)
    call.on('data', (frame: PipelineRequest) => void this.#answerFrame(call, frame))
    call.on('end', () => call.end())
  }

  async #answerFrame(
    call: ServerDuplexStream<PipelineRequest, PipelineResponse>,
    frame: PipelineRequest,
  ): Promise<void> {
    this.frames.push(frame.operations.length)
    if (this.delayMs > 0) await delay(this.delayMs)
    const results = frame.operations.map((operation) => this.#perform(frame, operation))
    if (!call.cancelled) call.write({ results, logIdentity: FAKE_LOG, nodeId: 'fake-1' })
  }

  #perform(frame: PipelineRequest, operation: PipelineOperation): PipelineResult {
    const requestId = operation.sequence === undefined ? '' : `${frame.session}/${operation.sequence}`
    const key = operation.key.toString()
    const { kind } = operation
    this.arrivals.push({ kind, key, requestId, token: frame.token, consistency: frame.consistency })
    const refused = this.refuse(operation)
    if (refused !== undefined) {
      return { ...newResult(operation.id), reason: refused, message: `refused with ${refused}` }
    }
    try {
      return this.#keyspace(frame.keyspace).perform(operation, requestId)
    } catch (error) {
      const { reason, message } = TidemarkError.from(error)
      return { ...newResult(operation.id), reason, message }
    }
  }

  async #scan(call: ServerWritableStream<ScanRequest, ScanResponse>): Promise<void> {
    const { request } = call
    this.scans.push(request)
    try {
      const failure = this.failures.shift()
      if (failure !== undefined) throw failure
      const keyspace = this.#keyspace(request.keyspace)
      let rows = keyspace.all().filter(({ key }) => inside(key, request))
      if (request.reverse) rows.reverse()
      if (request.limit > 0) rows = rows.slice(0, request.limit)
      if (request.keysOnly) rows = rows.map((row) => ({ ...row, value: Buffer.alloc(0) }))
      for (let from = 0; from < rows.length && !call.cancelled; from += this.rowsPerMessage) {
        const part = {
          rows: rows.slice(from, from + this.rowsPerMessage),
          token: undefined,
          nodeId: 'fake-1',
        }
        if (!call.write(part)) await once(call, 'drain')
        if (this.delayMs > 0) await delay(this.delayMs)
      }
      call.write({ rows: [], token: keyspace.token(), nodeId: '' })
      call.end()
    } catch (error) {
      call.emit('error', statusOf(TidemarkError.from(error)))
    }
  }

  #watch(call: ServerWritableStream<WatchRequest, WatchResponse>): void {
    const { request } = call
    this.watches.push(request)
    try {
      const failure = this.failures.shift()
      if (failure !== undefined) throw failure
      const script = this.watchScripts.shift()
      if (script !== undefined) {
        for (const message of script) call.write(message)
        return
      }
      const keyspace = this.#keyspace(request.keyspace)
      const send = (records: readonly FakeRecord[], mark: WatchMark, token: Token | undefined): void => {
        const events = records.filter(({ key }) => selected(key, request)).map(({ event }) => event)
        call.write({ events, token, mark })
      }
      if (request.initialRows) {
        for (const event of keyspace.initialEvents()) {
          if (event.row !== undefined && selected(event.row.key, request)) {
            call.write({ events: [event], token: undefined, mark: WatchMark.WATCH_MARK_UNSPECIFIED })
            if (this.stallInitial) return
          }
        }
        send([], WatchMark.WATCH_MARK_INITIAL_END, keyspace.token())
      } else if (request.resume !== undefined) {
        send(keyspace.after(request.resume), WatchMark.WATCH_MARK_UNSPECIFIED, keyspace.token())
      } else {
        send([], WatchMark.WATCH_MARK_PROGRESS, keyspace.token())
      }
      const leave = keyspace.follow(
        (records) => send(records, WatchMark.WATCH_MARK_UNSPECIFIED, keyspace.token()),
        (error) => call.emit('error', statusOf(error)),
      )
      call.on('cancelled', leave)
      call.on('error', leave)
    } catch (error) {
      call.emit('error', statusOf(TidemarkError.from(error)))
    }
  }
}

/** An error as a node sends it. */
function statusOf(error: TidemarkError) {
  const code = status[CATALOGUE[error.reason].grpc]
  const info = ErrorInfo.encode({ reason: error.reason, domain: 'tidemark', metadata: { ...error.metadata } })
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from(info.finish()) }]
  const metadata = new Metadata()
  const encoded = Status.encode({ code, message: error.message, details }).finish()
  metadata.set('grpc-status-details-bin', Buffer.from(encoded))
  return Object.assign(new Error(error.message), { code, details: error.message, metadata })
}

const inside = (
  key: Buffer,
  { prefix, start, end }: { prefix: Buffer; start: Buffer; end: Buffer },
): boolean =>
  key.subarray(0, prefix.length).equals(prefix) &&
  key.compare(start) >= 0 &&
  (end.length === 0 || key.compare(end) < 0)

function selected(key: Buffer, { selector }: WatchRequest): boolean {
  const none = Buffer.alloc(0)
  if (selector === undefined) return true
  if (selector.$case === 'key') return selector.value.equals(key)
  if (selector.$case === 'prefix') return inside(key, { prefix: selector.value, start: none, end: none })
  return inside(key, { prefix: none, ...selector.value })
}

const describe = ({ name, partitions }: FakeKeyspace): Keyspace => ({
  name,
  topic: `fake.${name}`,
  partitions,
  partitionByPrefix: Buffer.alloc(0),
  valueBytesMax: 1024 * 1024,
  packingDisabled: false,
  replication: 1,
  defaultTtlMs: 0,
})
