/**
 * One keyspace of this node: checks, waits for the freshness that was asked for, reads replicas, hands writes to the writer.
 * The node need not have all replicas: what concerns a partition that is not here fails with PARTITION_ELSEWHERE. A replica can
 * leave the node during any await, so each call looks again (`refused`) in the turn in which it reads.
 */
import { must } from './core/assert.ts'
import { keyOfRange } from './core/bytes.ts'
import type { MapSettings } from './core/cluster-map.ts'
import { TidemarkError } from './core/errors.ts'
import { checkKey, checkMutation, checkRequestId, onePartition } from './core/checks.ts'
import { HISTORY_ROWS_MAX, WATCHERS_MAX } from './core/limits.ts'
import { partitionOf } from './core/partitioner.ts'
import { recordAt } from './core/history.ts'
import type { Mutation, Row } from './core/mutation.ts'
import type { Offset, Partition } from './core/types.ts'
import { demandedBy, offsetIn } from './as-of.ts'
import { appendBarrier, findBarrier } from './barrier.ts'
import { dueAt } from './deadline.ts'
import type {
  Barrier,
  BatchReadResult,
  Freshness,
  HistoryResult,
  Keyspace,
  KeyspaceInfo,
  OutcomeResult,
  ReadResult,
  Scan,
  ScanOptions,
  SettleWrite,
  Token,
  TransactionReads,
  Watch,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from './face.ts'
import { Freshener, provenance } from './freshness.ts'
import { DEFAULT_SETTINGS } from './keyspace-settings.ts'
import type { Log } from './log/log.ts'
import type { Clock } from './ports.ts'
import { elsewhere, serving, unread } from './refusals.ts'
import { HistoryReader, compacted, getRow, getRowAt, getRows, rowHistory } from './replica/read.ts'
import type { Replica } from './replica/replica.ts'
import { getRowsAt } from './replica/past.ts'
import { scanRows } from './replica/scan.ts'
import type { Moment } from './replica/scan.ts'
import { Fanout } from './replica/fanout.ts'
import { toEvent } from './replica/watch-events.ts'
import { checkWatch, watchReplicas } from './replica/watch.ts'
import type { Writer } from './replica/writer.ts'
import { writeResult } from './write-result.ts'
import type { Observable } from 'rxjs'

export interface KeyspaceOptions {
  readonly name: string
  readonly topic: string
  readonly partitions: number
  /** Replicas of each partition where the log does not say how many. */
  readonly replication: number
  /** Those that this node has; they come and go. */
  readonly replicas: ReadonlyMap<Partition, Replica>
  /** What others say of the keyspace, for when no replica here has read it from the log; undefined: nobody has. */
  readonly settings: () => MapSettings | undefined
  readonly log: Log
  readonly writer: Writer
  readonly clock: Clock
  readonly draining$: Observable<boolean>
  /** Watchers of the whole node, and scans of the past. */
  readonly watchers: { count: number }
  readonly pasts: { count: number }
}

export class LocalKeyspace implements Keyspace {
  readonly #options: KeyspaceOptions
  readonly #freshness: Freshener
  readonly #fanout: Fanout
  /** A replica that knows the settings; looked for again once it has left. */
  #informed: Replica | undefined

  constructor(options: KeyspaceOptions) {
    this.#options = options
    this.#freshness = new Freshener(options)
    this.#fanout = new Fanout(options.clock)
  }

  get info(): KeyspaceInfo {
    const { name, topic, partitions } = this.#options
    const settings = this.settings ?? DEFAULT_SETTINGS
    const { partitionBy, valueBytesMax, packing, defaultTtlMs } = settings
    const replication = settings.replication === 0 ? this.#options.replication : settings.replication
    return { name, topic, partitions, partitionBy, valueBytesMax, packing, defaultTtlMs, replication }
  }

  /** Undefined until somebody has read them from the log. */
  get settings(): MapSettings | undefined {
    if (this.#informed === undefined || this.#informed.refused !== undefined)
      this.#informed = [...this.#options.replicas.values()].find(
        ({ state, refused }) => state.configured && refused === undefined,
      )
    return this.#informed?.state ?? this.#options.settings()
  }

  /** @throws PARTITION_RESTORING, PARTITION_STOPPED */
  #settled(): MapSettings {
    const { settings } = this
    if (settings !== undefined) return settings
    throw unread(this.#options.name, this.#options.replicas.values())
  }

  partitionOf(key: Uint8Array): Partition {
    return partitionOf(key, this.#options.partitions, this.#settled().partitionBy)
  }

  /** @throws PARTITION_ELSEWHERE, PARTITION_STOPPED */
  replica(partition: Partition): Replica {
    const { replicas, name, partitions } = this.#options
    const replica = replicas.get(partition)
    if (replica !== undefined) return serving(replica)
    if (partition >= 0 && partition < partitions) throw elsewhere(name, partition)
    throw new TidemarkError(
      'FIELD_INVALID',
      `keyspace ${name} has partitions 0 to ${partitions - 1}, not ${partition}`,
      { metadata: { field: 'partition' } },
    )
  }

  #replicaOf(key: Uint8Array): Replica {
    checkKey(key)
    return this.replica(this.partitionOf(key))
  }

  /** The partitions that were named, all where none is. @throws as replica */
  #chosen(partitions: readonly Partition[] | undefined): readonly Replica[] {
    const chosen = partitions ?? Array.from({ length: this.#options.partitions }, (_, at) => at as Partition)
    return [...new Set(chosen)].map((partition) => this.replica(partition))
  }

  // ---- writing ----

  write(mutation: Mutation, options: WriteOptions, reads?: TransactionReads): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      const settle = (result: WriteResult | TidemarkError): void => {
        if (result instanceof TidemarkError) reject(result)
        else resolve(result)
      }
      this.submit(mutation, options, settle, reads)
    })
  }

  submit(mutation: Mutation, options: WriteOptions, settle: SettleWrite, reads?: TransactionReads): void {
    let replica: Replica
    try {
      replica = this.#writable(mutation, reads)
    } catch (caught) {
      settle(TidemarkError.from(caught))
      return
    }
    const { writer, clock } = this.#options
    const due = dueAt(clock, options.deadline)
    writer.submit(replica, mutation, options.durability ?? 'applied', due, (written) => {
      settle(written instanceof TidemarkError ? written : writeResult(replica, written, reads))
    })
  }

  /** The replica that the mutation goes through, once it was checked. */
  #writable(mutation: Mutation, reads: TransactionReads | undefined): Replica {
    checkMutation(mutation, this.#settled().valueBytesMax)
    const replica =
      mutation.kind === 'txn' ? this.#transactionReplica(mutation, reads) : this.#replicaOf(mutation.key)
    if (replica.state.configured) return replica
    throw new TidemarkError('PARTITION_RESTORING', 'the node has not read the settings of the keyspace yet')
  }

  #transactionReplica(
    mutation: Mutation & { readonly kind: 'txn' },
    reads: TransactionReads | undefined,
  ): Replica {
    const keys = [
      ...mutation.compares,
      ...mutation.thenChanges,
      ...mutation.elseChanges,
      ...(reads?.thenReads ?? []),
      ...(reads?.elseReads ?? []),
    ].map(({ key }) => key)
    return this.replica(onePartition(keys, (key) => this.partitionOf(key)))
  }

  // ---- reading ----

  async get(key: Uint8Array, freshness: Freshness): Promise<ReadResult> {
    const replica = this.#replicaOf(key)
    const { asOf } = freshness
    if (asOf !== undefined) {
      const applied = offsetIn(asOf, this.#options.name, replica.state.partition)
      return { ...(await this.getAt(key, applied, demandedBy(freshness))), applied }
    }
    const consistency = await this.#freshness.of(replica, freshness)
    return { ...provenance(serving(replica), consistency), row: getRow(replica, key) }
  }

  async getAt(key: Uint8Array, at: Offset, freshness: Freshness): Promise<ReadResult> {
    const replica = this.#replicaOf(key)
    const position = { keyspace: this.#options.name, partition: replica.state.partition, offset: at }
    await this.#freshness.of(replica, {
      ...freshness,
      consistency: 'session',
      token: { logIdentity: '', positions: [position] },
    })
    const consistency = await this.#freshness.of(replica, freshness)
    return { ...provenance(serving(replica), consistency), row: getRowAt(replica, key, at) }
  }

  async getMany(keys: readonly Uint8Array[], freshness: Freshness): Promise<BatchReadResult> {
    const groups = new Map<Replica, number[]>()
    keys.forEach((key, at) => {
      const replica = this.#replicaOf(key)
      const group = groups.get(replica)
      if (group === undefined) groups.set(replica, [at])
      else group.push(at)
    })
    const touched = [...groups.keys()]
    const moment = this.#moment(touched, freshness.asOf)
    const demanded = demandedBy(freshness)
    const kept = await Promise.all(touched.map((replica) => this.#freshness.of(replica, demanded)))
    // All are read in this turn, and so is what is said of them.
    const reads = touched.map((replica, index) => {
      const wanted = (groups.get(replica) ?? []).map((at) => must(keys[at], 'a key'))
      const found =
        moment === undefined
          ? Promise.resolve(getRows(serving(replica), wanted))
          : getRowsAt(serving(replica), wanted, must(moment.offsets[index], 'an offset'), moment.clock)
      const seen = provenance(replica, must(kept[index], 'a consistency'))
      return { found, seen: moment === undefined ? seen : { ...seen, applied: moment.offsets[index] } }
    })
    const rows = new Array<Row | undefined>(keys.length)
    const found = await Promise.all(reads.map((read) => read.found))
    touched.forEach((replica, index) => {
      groups.get(replica)?.forEach((at, order) => (rows[at] = found[index]?.[order]))
    })
    return { rows, provenance: reads.map(({ seen }) => seen) }
  }

  /** Where in each of these replicas a token stands. @throws TOKEN_INVALID */
  #moment(replicas: readonly Replica[], asOf: Token | undefined): Moment | undefined {
    const { name, clock, pasts } = this.#options
    return asOf === undefined
      ? undefined
      : { offsets: replicas.map(({ state }) => offsetIn(asOf, name, state.partition)), clock, open: pasts }
  }

  async scan(options: ScanOptions): Promise<Scan> {
    const replicas = this.#chosen(options.partitions)
    const moment = this.#moment(replicas, options.asOf)
    const demanded = demandedBy(options)
    await Promise.all(replicas.map((replica) => this.#freshness.of(replica, demanded)))
    // From here to the snapshots nothing is awaited: token and rows are of one moment.
    replicas.forEach(serving)
    const token: Token = {
      logIdentity: this.#options.log.identity,
      positions: replicas
        .map(({ state }, index) => ({
          keyspace: this.#options.name,
          partition: state.partition,
          offset: moment?.offsets[index] ?? ((state.next - 1) as Offset),
        }))
        .filter(({ offset }) => offset >= 0),
    }
    const rows = scanRows(
      replicas,
      options.range,
      {
        reverse: options.reverse === true,
        keysOnly: options.keysOnly === true,
        limit: options.limit ?? Infinity,
      },
      moment,
    )
    return { token, rows }
  }

  async watch(options: WatchOptions): Promise<Watch> {
    checkWatch(options)
    const { watchers, clock, draining$ } = this.#options
    if (watchers.count >= WATCHERS_MAX)
      throw new TidemarkError(
        'OVERLOADED',
        `the node has ${WATCHERS_MAX} watchers, its bound: watch on another node`,
      )
    const one = keyOfRange(options.range)
    const only = one === undefined ? undefined : this.partitionOf(one)
    const replicas = this.#chosen(
      only === undefined
        ? options.partitions
        : (options.partitions ?? [only]).filter((partition) => partition === only),
    )
    await this.#checkResume(replicas, options)
    watchers.count += 1
    return watchReplicas(replicas, options, clock, draining$, this.#fanout, () => (watchers.count -= 1))
  }

  /** What cannot be delivered is refused at once, not in the middle of the stream. */
  async #checkResume(replicas: readonly Replica[], options: WatchOptions): Promise<void> {
    if (options.resume === undefined) return
    this.#freshness.checkToken(options.resume)
    for (const replica of replicas) {
      const { partition, historyStart, tombstoneStart, next } = replica.state
      const seen = this.#freshness.seen(options.resume, partition)
      if (seen === undefined) continue
      const wanted = (seen + 1) as Offset
      if (wanted < historyStart && (options.exact === true || wanted < tombstoneStart))
        throw compacted(replica, wanted, options.exact === true ? historyStart : tombstoneStart)
      if (wanted > next) await this.#freshness.checkReached(replica, seen)
    }
  }

  async history(key: Uint8Array, limit: number, freshness: Freshness): Promise<HistoryResult> {
    const replica = this.#replicaOf(key)
    const consistency = await this.#freshness.of(replica, freshness)
    const { versions, complete } = rowHistory(
      serving(replica),
      key,
      Math.min(limit === 0 ? HISTORY_ROWS_MAX : limit, HISTORY_ROWS_MAX),
    )
    return {
      ...provenance(replica, consistency),
      versions: versions.map(({ change, time }) => toEvent(replica, change, { time }, false)),
      earliest: complete ? undefined : replica.state.historyStart,
    }
  }

  async barrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier> {
    checkRequestId(requestId)
    const { writer, clock } = this.#options
    return appendBarrier(writer, this.replica(partition), requestId, dueAt(clock, deadline))
  }

  async findBarrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier | undefined> {
    checkRequestId(requestId)
    const replica = this.replica(partition)
    await this.#freshness.of(replica, { consistency: 'linearizable', deadline })
    return findBarrier(serving(replica), requestId)
  }

  async outcome(partition: Partition, offset: Offset, deadline: number): Promise<OutcomeResult> {
    const replica = this.replica(partition)
    const position = { keyspace: this.#options.name, partition, offset }
    await this.#freshness.of(replica, {
      consistency: 'session',
      token: { logIdentity: '', positions: [position] },
      deadline,
    })
    if (offset < serving(replica).state.historyStart)
      throw new TidemarkError(
        'OUTCOME_EXPIRED',
        `partition ${partition} keeps outcomes from offset ${replica.state.historyStart} on; that of ${offset} is gone`,
        { metadata: { earliest: String(replica.state.historyStart) } },
      )
    const record = recordAt(new HistoryReader(replica).pieceFrom(offset), offset)
    if (record === undefined || record.outcomes.length === 0)
      throw new TidemarkError(
        'OUTCOME_UNKNOWN',
        `offset ${offset} of partition ${partition} holds no mutation: a control record, an aborted transaction or a gap`,
      )
    return { ...provenance(replica, 'session'), outcomes: record.outcomes, time: record.time }
  }
}
