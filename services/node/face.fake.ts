/**
 * A TidemarkNode in memory, for unit tests of the front: put, get, txn, watch and history as the face promises them, without
 * a log. What a test needs to steer stands in FakeNode: writes can be held back, the node can fail, or not be ready. Several
 * nodes may share one FakeTruth, as nodes of a cluster share the log; each serves the partitions that are not `elsewhere`.
 */
import { BehaviorSubject, ReplaySubject } from 'rxjs'
import { bytesToText, compareBytes } from '../../streams/core/bytes.ts'
import type { ClusterMap } from '../../streams/core/cluster-map.ts'
import { checkKey, checkMutation } from '../../streams/core/checks.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { VALUE_BYTES_MAX, WATCHERS_MAX } from '../../streams/core/limits.ts'
import type { Mutation, Outcome, RowMutation, Row, TransactionMutation } from '../../streams/core/mutation.ts'
import { partitionOf } from '../../streams/core/partitioner.ts'
import { type Offset, type Partition, epoch, offset, partition } from '../../streams/core/types.ts'
import { checkChanges, checkKeyspace } from '../../streams/keyspace-settings.ts'
import type {
  Barrier,
  Consistency,
  Freshness,
  KeyRange,
  Keyspace,
  KeyspaceChanges,
  KeyspaceInfo,
  KeyspaceSettings,
  Provenance,
  ReadResult,
  ReplicaCopies,
  ReplicaProofs,
  SettleWrite,
  TidemarkNode,
  Token,
  TransactionRead,
  TransactionReads,
  UpdateOptions,
  Vitals,
  Watch,
  WatchEvent,
  WatchMessage,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from '../../streams/face.ts'
import { FakeTruth, type PartitionState, barrierIn, barrierKnown } from './truth.fake.ts'

const EMPTY = new Uint8Array(0)
const LOG_IDENTITY = 'fake-log'

const inRange = (key: Uint8Array, { start, end }: KeyRange): boolean =>
  compareBytes(key, start) >= 0 && (end === undefined || compareBytes(key, end) < 0)

export class FakeNode implements TidemarkNode {
  readonly description
  readonly map$ = new ReplaySubject<ClusterMap>(1)
  readonly connected$ = new BehaviorSubject(true)
  readonly truth: FakeTruth
  /** Partitions that other nodes have. */
  readonly elsewhere = new Set<number>()
  /** What was asked of this node: name of the face's method, in order. */
  readonly asked: string[] = []
  /** Leaderships that were moved: keyspace/partition/to. */
  readonly transferred: string[] = []
  readonly spaces = new Map<string, FakeKeyspace>()
  readonly #listeners = new Set<(ready: boolean) => void>()
  readonly #settled: (() => void)[] = []
  /** For a test to fill in. */
  copies: ReplicaCopies = {
    give: () => {
      throw new TidemarkError('NOT_IMPLEMENTED', 'the fake gives no copies')
    },
    trim: () => Promise.reject(new TidemarkError('NOT_IMPLEMENTED', 'the fake has no log')),
  }
  proofs: ReplicaProofs = {
    tell: () => ({ chains: [], contents: [], wrong: undefined }),
    rebuild: () => Promise.resolve([]),
    begin: () => Promise.reject(new TidemarkError('NOT_IMPLEMENTED', 'the fake has nothing to hash')),
  }
  ready = true
  closed = false
  /** When set, writes wait; `release` lets them go. */
  holding = false
  /** Thrown by all reads and writes. */
  failure: Error | undefined
  watchersMax = WATCHERS_MAX
  watchers = 0
  /** Writes as they were handed over. */
  readonly written: Mutation[] = []
  /** Sizes of the getMany calls. */
  readonly batches: number[] = []

  /** @param other - shares its truth */
  constructor(nodeId = 'node-1', other?: FakeNode) {
    this.truth = other?.truth ?? new FakeTruth()
    this.description = {
      cluster: 'fake',
      nodeId,
      logIdentity: LOG_IDENTITY,
      logKind: 'fake',
      format: 1,
    }
    void this.createKeyspace('default', {})
  }

  keyspace(name: string): FakeKeyspace {
    const found = this.spaces.get(name)
    if (found === undefined) {
      throw new TidemarkError('KEYSPACE_NOT_FOUND', `there is no keyspace ${name}`, {
        metadata: { keyspace: name },
      })
    }
    return found
  }

  keyspaces(): readonly KeyspaceInfo[] {
    return [...this.spaces.values()].map(({ info }) => info)
  }

  async createKeyspace(name: string, settings: Partial<KeyspaceSettings>): Promise<KeyspaceInfo> {
    checkKeyspace(name, settings)
    const info: KeyspaceInfo = {
      name,
      topic: `fake.${name}`,
      partitions: 4,
      partitionBy: { kind: 'key' },
      valueBytesMax: VALUE_BYTES_MAX,
      packing: true,
      defaultTtlMs: 0,
      replication: 3,
      ...settings,
    }
    const known = this.spaces.get(name)
    if (known !== undefined && known.info.partitions !== info.partitions) {
      throw new TidemarkError('KEYSPACE_EXISTS', `the keyspace ${name} exists with other settings`)
    }
    if (known === undefined) this.spaces.set(name, new FakeKeyspace(this, info))
    return info
  }

  replicas(): ReturnType<TidemarkNode['replicas']> {
    return [...this.spaces.values()].flatMap((space) =>
      space.partitions.map((state) => ({
        keyspace: space.info.name,
        partition: state.partition,
        state: this.ready ? ('live' as const) : ('restoring' as const),
        next: offset(state.next),
        logEnd: offset(state.next),
        logEndAgeMs: 0,
        epoch: epoch(0),
        leader: this.description.nodeId,
        rows: state.rows.size,
        chainHash: '00',
        time: 1,
        rejected: 0,
        historyStart: offset(0),
        stopped: undefined,
        checkpoints: [],
      })),
    )
  }

  vitals(): Vitals {
    return {
      writesInFlight: 0,
      writeBytesInFlight: 0,
      watchers: this.watchers,
      readsWaiting: 0,
      sessions: 0,
      leading: 0,
      connected: true,
      map: undefined,
      logHealthy: true,
      store: {},
    }
  }

  async updateKeyspace(
    name: string,
    changes: KeyspaceChanges,
    options: UpdateOptions,
  ): Promise<KeyspaceInfo> {
    checkChanges(changes)
    this.asked.push(
      `update ${name}${options.partitions === undefined ? '' : ` ${options.partitions.join()}`}`,
    )
    const { info } = this.keyspace(name)
    const away = [...this.elsewhere].map((place) => partition(place))
    if (options.partitions === undefined && this.elsewhere.has(0))
      throw new TidemarkError('NOT_LEADER', 'another node leads partition 0')
    Object.assign(info, changes)
    if (options.partitions === undefined && away.length > 0) await options.elsewhere?.(away, changes)
    return info
  }

  async forgetKeyspace(name: string): Promise<void> {
    this.asked.push(`forget ${name}`)
    this.spaces.delete(name)
  }

  async deleteKeyspace(name: string): Promise<void> {
    this.keyspace(name)
    this.spaces.delete(name)
  }

  onReady(listener: (ready: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  setReady(ready: boolean): void {
    this.ready = ready
    for (const listener of this.#listeners) listener(ready)
  }

  hold(): Promise<void> {
    return this.holding ? new Promise((resolve) => this.#settled.push(resolve)) : Promise.resolve()
  }

  release(): void {
    this.holding = false
    for (const settle of this.#settled.splice(0)) settle()
  }

  /** Where it said that it is reached. */
  address = ''

  join(address: string): void {
    this.address = address
  }

  async transferLeadership(keyspace: string, place: Partition, to: string): Promise<string> {
    this.transferred.push(`${keyspace}/${place}/${to}`)
    return to
  }

  async drain(): Promise<void> {
    this.setReady(false)
  }

  async close(): Promise<void> {
    this.closed = true
    this.map$.complete()
  }
}

export class FakeKeyspace implements Keyspace {
  readonly node: FakeNode
  readonly info: KeyspaceInfo
  readonly partitions: readonly PartitionState[]
  readonly #wake: Set<() => void>

  constructor(node: FakeNode, info: KeyspaceInfo) {
    this.node = node
    this.info = info
    this.partitions = node.truth.partitionsOf(info)
    this.#wake = node.truth.wake
  }

  partitionOf(key: Uint8Array): Partition {
    return partitionOf(key, this.info.partitions, this.info.partitionBy)
  }

  #at(place: Partition): PartitionState {
    const state = this.partitions[place]
    if (state === undefined) {
      const message = `keyspace ${this.info.name} has partitions 0 to ${this.partitions.length - 1}, not ${place}`
      throw new TidemarkError('FIELD_INVALID', message, { metadata: { field: 'partition' } })
    }
    return state
  }

  /** What a call begins with. */
  #enter(method: string, places: Iterable<number>): void {
    this.node.asked.push(method)
    if (this.node.failure !== undefined) throw this.node.failure
    for (const place of places) {
      if (!this.node.elsewhere.has(place)) continue
      throw new TidemarkError('PARTITION_ELSEWHERE', `partition ${place} is not on this node`)
    }
  }

  #all(places: readonly Partition[] | undefined): readonly Partition[] {
    return places ?? this.partitions.map((state) => state.partition)
  }

  #provenance(place: Partition, consistency: Consistency | undefined): Provenance {
    const { next } = this.#at(place)
    return {
      partition: place,
      applied: next === 0 ? undefined : offset(next - 1),
      logEnd: offset(next),
      logEndAgeMs: 0,
      consistency: consistency ?? 'linearizable',
    }
  }

  /** Waits as a replica does for a token that is ahead of it: until the deadline. */
  async #fresh(method: string, places: readonly Partition[], freshness: Freshness): Promise<void> {
    this.#enter(method, places)
    const token = freshness.token
    if (token === undefined) return
    if (token.logIdentity !== '' && token.logIdentity !== LOG_IDENTITY) {
      throw new TidemarkError('TOKEN_INVALID', 'the token is of another log')
    }
    const ahead = token.positions.some(
      (position) =>
        places.includes(position.partition) && position.offset >= this.#at(position.partition).next,
    )
    if (!ahead) return
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, freshness.deadline - Date.now())))
    throw new TidemarkError('DEADLINE_EXCEEDED', 'the replica did not reach the token in time')
  }

  submit(mutation: Mutation, options: WriteOptions, settle: SettleWrite, reads?: TransactionReads): void {
    this.write(mutation, options, reads).then(settle, (caught: unknown) => {
      settle(TidemarkError.from(caught))
    })
  }

  async write(mutation: Mutation, options: WriteOptions, reads?: TransactionReads): Promise<WriteResult> {
    checkMutation(mutation, this.info.valueBytesMax)
    const place = mutation.kind === 'txn' ? this.#placeOf(mutation, reads) : this.partitionOf(mutation.key)
    this.#enter('write', [place])
    this.node.written.push(mutation)
    await this.node.hold()
    const state = this.#at(place)
    const at = offset(state.next++)
    const before = new Map(state.rows)
    const known = mutation.requestId === undefined ? undefined : state.seen.get(mutation.requestId)
    const outcome = known === undefined ? this.#apply(state, mutation, at) : { ...known, duplicate: true }
    state.outcomes.set(at, outcome)
    if (mutation.requestId !== undefined) state.seen.set(mutation.requestId, outcome)
    const asked =
      outcome.status === 'applied' && outcome.succeeded === false ? reads?.elseReads : reads?.thenReads
    const read = ({ key, when }: TransactionRead): Row | undefined =>
      (when === 'before' ? before : state.rows).get(bytesToText(key))
    for (const wake of this.#wake) wake()
    return {
      partition: place,
      offset: at,
      outcome: options.durability === 'logged' ? undefined : outcome,
      reads: (asked ?? []).map(read),
      logEnd: offset(state.next),
      logEndAgeMs: 0,
    }
  }

  #placeOf(mutation: TransactionMutation, reads: TransactionReads | undefined): Partition {
    const asked = [...(reads?.thenReads ?? []), ...(reads?.elseReads ?? [])]
    const some = [...mutation.compares, ...mutation.thenChanges, ...mutation.elseChanges, ...asked][0]
    if (some !== undefined) return this.partitionOf(some.key)
    throw new TidemarkError('FIELD_INVALID', 'the transaction names no key', {
      metadata: { field: 'compares' },
    })
  }

  #apply(state: PartitionState, mutation: Mutation, at: Offset): Outcome {
    if (mutation.kind !== 'txn') return this.#applyRow(state, mutation, at)
    const succeeded = mutation.compares.every((compare) => {
      const row = state.rows.get(bytesToText(compare.key))
      if (compare.target === 'value') return row !== undefined && compareBytes(row.value, compare.value) === 0
      const version = row?.version ?? 0
      if (compare.operator === 'greater') return version > compare.version
      if (compare.operator === 'less') return version < compare.version
      return (version === compare.version) === (compare.operator === 'equal')
    })
    for (const change of succeeded ? mutation.thenChanges : mutation.elseChanges)
      this.#applyRow(state, change, at)
    return { status: 'applied', offset: at, succeeded, duplicate: false }
  }

  #applyRow(state: PartitionState, mutation: RowMutation, at: Offset): Outcome {
    const text = bytesToText(mutation.key)
    const old = state.rows.get(text)
    if (mutation.ifVersion !== undefined && mutation.ifVersion !== (old?.version ?? 0)) {
      return {
        status: 'rejected',
        offset: at,
        reason: 'VERSION_MISMATCH',
        duplicate: false,
        ...(old === undefined ? {} : { version: old.version }),
      }
    }
    const key = Uint8Array.from(mutation.key)
    if (mutation.kind === 'delete') {
      state.rows.delete(text)
      this.#event(state, 'deleted', { key, value: EMPTY, version: at, expiresAt: 0, contentType: '' }, old)
      return { status: 'applied', offset: at, duplicate: false }
    }
    let value = mutation.kind === 'put' ? Uint8Array.from(mutation.value) : EMPTY
    let number: bigint | undefined
    if (mutation.kind === 'increment') {
      const current = old === undefined ? '0' : Buffer.from(old.value).toString()
      if (!/^-?\d{1,19}$/.test(current)) {
        return { status: 'rejected', offset: at, reason: 'NOT_A_NUMBER', duplicate: false }
      }
      number = BigInt(current) + mutation.delta
      if (number !== BigInt.asIntN(64, number)) {
        return { status: 'rejected', offset: at, reason: 'NUMBER_OVERFLOW', duplicate: false }
      }
      value = Buffer.from(number.toString())
    }
    const row: Row = {
      key,
      value,
      version: at,
      expiresAt: mutation.ttlMs === undefined ? 0 : 1000 + mutation.ttlMs,
      contentType: mutation.kind === 'put' ? (mutation.contentType ?? '') : '',
    }
    state.rows.set(text, row)
    this.#event(state, 'put', row, old)
    return {
      status: 'applied',
      offset: at,
      version: at,
      duplicate: false,
      ...(number === undefined ? {} : { number }),
    }
  }

  #event(state: PartitionState, kind: WatchEvent['kind'], row: Row, previous: Row | undefined): void {
    state.events.push({ kind, partition: state.partition, row, time: 1, previous })
  }

  async get(key: Uint8Array, freshness: Freshness): Promise<ReadResult> {
    checkKey(key)
    const place = this.partitionOf(key)
    await this.#fresh('get', [place], freshness)
    return {
      ...this.#provenance(place, freshness.consistency),
      row: this.#at(place).rows.get(bytesToText(key)),
    }
  }

  async getAt(key: Uint8Array, at: Offset, freshness: Freshness): Promise<ReadResult> {
    const place = this.partitionOf(key)
    await this.#fresh('getAt', [place], freshness)
    const event = this.#at(place).events.findLast(
      ({ row }) => compareBytes(row.key, key) === 0 && row.version <= at,
    )
    return {
      ...this.#provenance(place, freshness.consistency),
      row: event?.kind === 'put' ? event.row : undefined,
    }
  }

  async barrier(place: Partition, requestId: string): Promise<Barrier> {
    this.#enter('barrier', [place])
    return barrierIn(this.#at(place), requestId)
  }

  async findBarrier(place: Partition, requestId: string): Promise<Barrier | undefined> {
    this.#enter('findBarrier', [place])
    return barrierKnown(this.#at(place), requestId)
  }

  async getMany(keys: readonly Uint8Array[], freshness: Freshness): ReturnType<Keyspace['getMany']> {
    this.node.batches.push(keys.length)
    const places = [...new Set(keys.map((key) => this.partitionOf(key)))]
    await this.#fresh('getMany', places, freshness)
    return {
      rows: keys.map((key) => this.#at(this.partitionOf(key)).rows.get(bytesToText(key))),
      provenance: places.map((place) => this.#provenance(place, freshness.consistency)),
    }
  }

  #rows(range: KeyRange, places: readonly Partition[]): Row[] {
    return places
      .map((place) => this.#at(place))
      .flatMap((state) => [...state.rows.values()])
      .filter(({ key }) => inRange(key, range))
      .sort((left, right) => compareBytes(left.key, right.key))
  }

  #token(places: readonly Partition[]): Token {
    return {
      logIdentity: LOG_IDENTITY,
      positions: places
        .map((place) => this.#at(place))
        .filter(({ next }) => next > 0)
        .map((state) => ({
          keyspace: this.info.name,
          partition: state.partition,
          offset: offset(state.next - 1),
        })),
    }
  }

  async scan(options: Parameters<Keyspace['scan']>[0]): ReturnType<Keyspace['scan']> {
    const places = this.#all(options.partitions)
    await this.#fresh('scan', places, options)
    const rows = this.#rows(options.range, places)
    if (options.reverse === true) rows.reverse()
    const wanted = rows.slice(0, options.limit)
    async function* chunks(): AsyncGenerator<readonly Row[]> {
      for (let at = 0; at < wanted.length; at += 500) yield wanted.slice(at, at + 500)
    }
    return { token: this.#token(places), rows: chunks() }
  }

  async watch(options: WatchOptions): Promise<Watch> {
    const places = this.#all(options.partitions)
    for (const place of places) this.#at(place)
    this.#enter('watch', places)
    if (options.initialRows === true && options.resume !== undefined) {
      throw new TidemarkError('FIELD_INVALID', 'not both', { metadata: { field: 'initial_rows' } })
    }
    if (this.node.watchers >= this.node.watchersMax) {
      throw new TidemarkError('OVERLOADED', `the node has ${this.node.watchers} watchers, which is its limit`)
    }
    this.node.watchers += 1
    const resumed = (place: Partition): number | undefined =>
      options.resume?.positions.find((position) => position.partition === place)?.offset
    /** The last version that was delivered, by partition. */
    const delivered = this.partitions.map((state) => resumed(state.partition) ?? state.next - 1)
    const queue: WatchMessage[] = []
    if (options.initialRows === true) {
      const events = this.#rows(options.range, places).map((row): WatchEvent => ({
        kind: 'put',
        partition: this.partitionOf(row.key),
        row,
        time: 0,
      }))
      queue.push({ mark: 'events', events, positions: [] })
      queue.push({ mark: 'initial-end', events: [], positions: this.#token(places).positions })
    } else queue.push({ mark: 'progress', events: [], positions: this.#token(places).positions })
    let over = false
    let wake = (): void => {}
    const signal = (): void => wake()
    this.#wake.add(signal)
    const news = (): WatchMessage | undefined => {
      const states = places.map((place) => this.#at(place))
      const events = states.flatMap((state) =>
        state.events.filter(
          (event) =>
            event.row.version > (delivered[state.partition] ?? -1) && inRange(event.row.key, options.range),
        ),
      )
      for (const state of states) delivered[state.partition] = state.next - 1
      return events.length === 0
        ? undefined
        : { mark: 'events', events, positions: this.#token(places).positions }
    }
    const watch: Watch = {
      [Symbol.asyncIterator]: () => watch,
      next: async () => {
        for (;;) {
          if (over) return { done: true, value: undefined }
          if (this.node.failure !== undefined) throw this.node.failure
          if (places.some((place) => this.node.elsewhere.has(place)))
            throw new TidemarkError('PARTITION_ELSEWHERE', 'a replica has left this node')
          const message = queue.shift() ?? news()
          if (message !== undefined) return { done: false, value: message }
          await new Promise<void>((resolve) => (wake = resolve))
        }
      },
      return: async () => {
        if (!over) this.node.watchers -= 1
        over = true
        this.#wake.delete(signal)
        wake()
        return { done: true, value: undefined }
      },
    }
    return watch
  }

  /** Ends waiting watchers' sleep, so that they see a failure. */
  wakeWatchers(): void {
    for (const wake of this.#wake) wake()
  }

  async history(key: Uint8Array, limit: number, freshness: Freshness): ReturnType<Keyspace['history']> {
    const place = this.partitionOf(key)
    await this.#fresh('history', [place], freshness)
    checkKey(key)
    const versions = this.#at(place).events.filter(({ row }) => compareBytes(row.key, key) === 0)
    return {
      ...this.#provenance(place, freshness.consistency),
      versions: versions.reverse().slice(0, limit === 0 ? undefined : limit),
      earliest: undefined,
    }
  }

  async outcome(place: Partition, at: Offset): ReturnType<Keyspace['outcome']> {
    this.#enter('outcome', [place])
    const outcome = this.#at(place).outcomes.get(at)
    if (outcome === undefined) throw new TidemarkError('OUTCOME_UNKNOWN', `no record stands at offset ${at}`)
    return { ...this.#provenance(place, 'linearizable'), outcomes: [outcome], time: 1 }
  }
}
