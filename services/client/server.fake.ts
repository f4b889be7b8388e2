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
import {
  ClusterServiceService,
  ReplicaState,
  type ClusterMap,
  type WatchMapResponse,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import {
  KeyspaceServiceService,
  type Keyspace,
  type KeyspaceServiceDeleteRequest,
  type UpdateRequest,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
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

type MapCall = ServerWritableStream<unknown, WatchMapResponse>

/** One operation as it arrived: what a retry must repeat. */
export interface Arrival {
  readonly kind: number
  readonly key: string
  readonly requestId: string
  readonly token: Token | undefined
  readonly consistency: number
}

export class FakeServer {
  readonly nodeId: string
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
  /** Operations of pipelines that it does not answer: `lost` before they are done, `done` after. */
  keepsQuiet: (operation: PipelineOperation) => 'lost' | 'done' | undefined = () => undefined
  /** The next calls that are not pipelines fail with these, one each. */
  readonly failures: TidemarkError[] = []
  readonly keyspaces: Map<string, FakeKeyspace>
  /** Whether the node has a replica; where it has none it refuses with PARTITION_ELSEWHERE, or counts what it had to route. */
  serves: (partition: number) => boolean = () => true
  refusesElsewhere = false
  routed = 0
  /** Names of the unary calls, in order. */
  readonly unaries: string[] = []
  mapsAsked = 0

  #map: ClusterMap | undefined
  readonly #mapWatchers = new Set<MapCall>()
  readonly #grpc = new Server()
  readonly #sockets = new Set<Socket>()
  readonly #proxy: NetServer
  #backend = 0
  #port = 0
  #answersHeld = false

  private constructor(nodeId: string, keyspaces: Map<string, FakeKeyspace>) {
    this.nodeId = nodeId
    this.keyspaces = keyspaces
    this.#proxy = createServer((socket) => this.#forward(socket))
  }

  /** @param keyspaces - of the whole cluster; @param withMap - false: a node that is too old to tell one */
  static async start(
    partitions = 2,
    nodeId = 'fake-1',
    keyspaces = new Map<string, FakeKeyspace>(),
    withMap = false,
  ): Promise<FakeServer> {
    const server = new FakeServer(nodeId, keyspaces)
    if (keyspaces.size === 0) keyspaces.set('default', new FakeKeyspace('default', partitions))
    server.#addServices(withMap)
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

  /** Tells a new map; those who ask get this one from now on. */
  publish(map: ClusterMap): void {
    this.#map = map
    for (const call of this.#mapWatchers) call.write({ map, logIdentity: FAKE_LOG })
  }

  /** Those who ask get this map; nobody is told. */
  quietly(map: ClusterMap): void {
    this.#map = map
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

  #addServices(withMap: boolean): void {
    this.#grpc.addService(KeyValueServiceService, this.#keyValueService())
    this.#grpc.addService(KeyspaceServiceService, {
      describe: this.#unary('describeKeyspace', ({ name }: { name: string }) => ({
        keyspace: describe(this.#keyspace(name)),
      })),
      update: this.#unary('update', ({ name, ...changes }: UpdateRequest) => {
        const set = Object.entries(changes).filter(([, value]) => value !== undefined)
        return { keyspace: { ...describe(this.#keyspace(name)), ...Object.fromEntries(set) } }
      }),
      delete: this.#unary('delete', ({ name, confirmName }: KeyspaceServiceDeleteRequest) => {
        if (name !== confirmName) throw new TidemarkError('FIELD_INVALID', 'say the name twice')
        this.#keyspace(name)
        this.keyspaces.delete(name)
        return {}
      }),
      create: this.#unary('create', ({ name, partitions }: { name: string; partitions: number }) => {
        if (!this.keyspaces.has(name)) this.keyspaces.set(name, new FakeKeyspace(name, partitions || 2))
        return { keyspace: describe(this.#keyspace(name)) }
      }),
      list: this.#unary('list', () => ({ keyspaces: [...this.keyspaces.values()].map(describe) })),
    })
    this.#grpc.addService(ClusterServiceService, {
      ...(withMap ? { watchMap: (call: MapCall) => this.#watchMap(call) } : {}),
      transferLeadership: this.#unary('transferLeadership', ({ toNode }: { toNode: string }) => ({
        leader: toNode === '' ? this.nodeId : toNode,
      })),
      describe: this.#unary('describe', () => ({
        cluster: 'fake',
        logIdentity: FAKE_LOG,
        nodeId: this.nodeId,
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
          leader: this.nodeId,
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
      drain: this.#unary('drain', () => ({})),
    })
  }

  #keyValueService(): KeyValueServiceServer {
    const notHere = this.#unary('write', () => {
      throw new TidemarkError('NOT_IMPLEMENTED', 'the fake offers no such call')
    })
    return {
      barrier: notHere,
      put: notHere,
      delete: notHere,
      increment: notHere,
      transact: notHere,
      get: this.#unary('get', ({ keyspace, key }: { keyspace: string; key: Buffer }) => ({
        header: undefined,
        row: this.#serving(keyspace, key).get(key),
      })),
      batchGet: this.#unary('batchGet', ({ keyspace, keys }: { keyspace: string; keys: Buffer[] }) => ({
        rows: keys.flatMap((key) => this.#serving(keyspace, key).get(key) ?? []),
        token: this.#keyspace(keyspace).token(),
        nodeId: this.nodeId,
        consistency: 3,
      })),
      history: this.#unary('history', ({ keyspace, key }: { keyspace: string; key: Buffer }) => ({
        header: undefined,
        versions: this.#serving(keyspace, key).history(key),
        earliestVersion: 0,
      })),
      getOutcome: this.#unary('getOutcome', ({ position }: GetOutcomeRequest) => ({
        header: undefined,
        outcomes: [{ applied: true, reason: '', position, duplicate: false, version: position?.offset }],
        timeMs: 5,
      })),
      scan: (call) => void this.#scan(call),
      watch: (call) => this.#watch(call),
      pipeline: (call) => this.#pipeline(call),
    }
  }

  /** The keyspace, where this node has the partition of the key, or routes. @throws PARTITION_ELSEWHERE */
  #serving(name: string, key: Buffer): FakeKeyspace {
    const keyspace = this.#keyspace(name)
    const partition = keyspace.partitionOf(key)
    if (this.serves(partition)) return keyspace
    this.routed += 1
    if (!this.refusesElsewhere) return keyspace
    const metadata = { partition: String(partition) }
    throw new TidemarkError('PARTITION_ELSEWHERE', `${this.nodeId} has no ${partition}`, { metadata })
  }

  #watchMap(call: MapCall): void {
    this.mapsAsked += 1
    this.#mapWatchers.add(call)
    call.on('error', () => undefined)
    call.on('cancelled', () => this.#mapWatchers.delete(call))
    call.on('close', () => this.#mapWatchers.delete(call))
    if (this.#map !== undefined) call.write({ map: this.#map, logIdentity: FAKE_LOG })
  }

  #unary<Request, Response>(name: string, answer: (request: Request) => Response) {
    return (call: { request: Request }, done: sendUnaryData<Response>): void => {
      this.unaries.push(name)
      const respond = (): void => {
        try {
          const failure = this.failures.shift()
          if (failure !== undefined) throw failure
          done(null, answer(call.request))
        } catch (error) {
          done(statusOf(TidemarkError.from(error)))
        }
      }
      if (this.delayMs > 0) setTimeout(respond, this.delayMs)
      else respond()
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
    const results = frame.operations.flatMap((operation) => {
      const quiet = this.keepsQuiet(operation)
      const result = quiet === 'lost' ? [] : [this.#perform(frame, operation)]
      return quiet === undefined ? result : []
    })
    if (!call.cancelled && results.length > 0)
      call.write({ results, logIdentity: FAKE_LOG, nodeId: this.nodeId })
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
      return this.#serving(frame.keyspace, operation.key).perform(operation, requestId)
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
      call.write({ rows: [], token: keyspace.token(), nodeId: this.nodeId })
      for (let from = 0; from < rows.length && !call.cancelled; from += this.rowsPerMessage) {
        const part = {
          rows: rows.slice(from, from + this.rowsPerMessage),
          token: undefined,
          nodeId: this.nodeId,
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

export const describe = ({ name, partitions, separator }: FakeKeyspace): Keyspace => ({
  name,
  topic: `fake.${name}`,
  partitions,
  partitionByPrefix: Buffer.from(separator),
  valueBytesMax: 1024 * 1024,
  packingDisabled: false,
  replication: 1,
  defaultTtlMs: 0,
})
