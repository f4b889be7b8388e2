/** One keyspace of this node: checks, waits for the freshness that was asked for, reads replicas, hands writes to the writer. */
import { must } from './core/assert.ts'
import { bytesToText } from './core/bytes.ts'
import { TidemarkError } from './core/errors.ts'
import { checkKey, checkMutation } from './core/checks.ts'
import { HISTORY_ROWS_MAX, WATCHERS_MAX } from './core/limits.ts'
import { partitionOf } from './core/partitioner.ts'
import { recordAt } from './core/history.ts'
import type { Mutation, Row } from './core/mutation.ts'
import type { Offset, Partition } from './core/types.ts'
import type {
  BatchReadResult,
  Freshness,
  HistoryResult,
  Keyspace,
  KeyspaceInfo,
  OutcomeResult,
  ReadResult,
  Scan,
  ScanOptions,
  Token,
  TransactionReads,
  Watch,
  WatchOptions,
  WriteOptions,
  WriteResult,
} from './face.ts'
import { Freshener, provenance } from './freshness.ts'
import type { Log } from './log/log.ts'
import type { Clock } from './ports.ts'
import {
  HistoryReader,
  compacted,
  getRow,
  getRowAt,
  getRowBefore,
  getRows,
  rowHistory,
} from './replica/read.ts'
import type { Replica } from './replica/replica.ts'
import { scanRows } from './replica/scan.ts'
import { checkWatch, toEvent, watchReplicas } from './replica/watch.ts'
import type { Writer, Written } from './replica/writer.ts'
import type { Observable } from 'rxjs'

export interface KeyspaceOptions {
  readonly name: string
  readonly topic: string
  /** One for each partition, in order. */
  readonly replicas: readonly Replica[]
  readonly log: Log
  readonly writer: Writer
  readonly clock: Clock
  readonly draining$: Observable<boolean>
  /** Watchers of the whole node. */
  readonly watchers: { count: number }
}

export class LocalKeyspace implements Keyspace {
  readonly replicas: readonly Replica[]
  readonly #options: KeyspaceOptions
  readonly #freshness: Freshener

  constructor(options: KeyspaceOptions) {
    this.#options = options
    this.replicas = options.replicas
    this.#freshness = new Freshener(options)
  }

  get info(): KeyspaceInfo {
    const { name, topic } = this.#options
    const { partitionBy, valueBytesMax, packing } = this.#replica(0).state
    return { name, topic, partitions: this.replicas.length, partitionBy, valueBytesMax, packing }
  }

  partitionOf(key: Uint8Array): Partition {
    return partitionOf(key, this.replicas.length, this.#replica(0).state.partitionBy)
  }

  #replica(partition: number): Replica {
    const replica = this.replicas[partition]
    if (replica === undefined)
      throw new TidemarkError(
        'FIELD_INVALID',
        `keyspace ${this.#options.name} has partitions 0 to ${this.replicas.length - 1}, not ${partition}`,
        { metadata: { field: 'partition' } },
      )
    return replica
  }

  #replicaOf(key: Uint8Array): Replica {
    checkKey(key)
    const replica = this.#replica(this.partitionOf(key))
    if (replica.stopped !== undefined) throw replica.refusal()
    return replica
  }

  // ---- writing ----

  // Not async, one promise for each write: this is the narrowest place of all writing.
  write(mutation: Mutation, options: WriteOptions, reads?: TransactionReads): Promise<WriteResult> {
    try {
      return this.#write(mutation, options, reads)
    } catch (caught) {
      return Promise.reject(TidemarkError.from(caught))
    }
  }

  #write(
    mutation: Mutation,
    options: WriteOptions,
    reads: TransactionReads | undefined,
  ): Promise<WriteResult> {
    checkMutation(mutation, this.#replica(0).state.valueBytesMax)
    const replica =
      mutation.kind === 'txn' ? this.#transactionReplica(mutation, reads) : this.#replicaOf(mutation.key)
    if (!replica.state.configured)
      throw new TidemarkError('PARTITION_RESTORING', 'the node has not read the settings of the keyspace yet')
    return this.#options.writer.write(
      replica,
      mutation,
      options.durability ?? 'applied',
      options.deadline,
      reads === undefined ? withoutReads : (from, written) => withReads(from, written, reads),
    )
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
    const first = keys[0]
    if (first === undefined)
      throw new TidemarkError('FIELD_INVALID', 'the transaction names no key', {
        metadata: { field: 'compares' },
      })
    const partition = this.partitionOf(first)
    for (const key of keys) {
      checkKey(key)
      const other = this.partitionOf(key)
      if (other !== partition)
        throw new TidemarkError(
          'TXN_SPANS_PARTITIONS',
          `the keys ${show(first)} (partition ${partition}) and ${show(key)} (partition ${other}) cannot be in one transaction: ` +
            'use keys of one partition, for instance in a keyspace that is partitioned by prefix',
          { metadata: { partition: String(partition), other: String(other) } },
        )
    }
    return this.#replicaOf(first)
  }

  // ---- reading ----

  async get(key: Uint8Array, freshness: Freshness): Promise<ReadResult> {
    const replica = this.#replicaOf(key)
    const consistency = await this.#freshness.of(replica, freshness)
    return { ...provenance(replica, consistency), row: getRow(replica, key) }
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
    return { ...provenance(replica, consistency), row: getRowAt(replica, key, at) }
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
    const kept = await Promise.all(touched.map((replica) => this.#freshness.of(replica, freshness)))
    const rows = new Array<Row | undefined>(keys.length)
    const seen = touched.map((replica, index) => {
      const places = groups.get(replica) ?? []
      const found = getRows(
        replica,
        places.map((at) => must(keys[at], 'a key')),
      )
      places.forEach((at, order) => (rows[at] = found[order]))
      return provenance(replica, must(kept[index], 'a consistency'))
    })
    return { rows, provenance: seen }
  }

  async scan(options: ScanOptions): Promise<Scan> {
    for (const replica of this.replicas) if (replica.stopped !== undefined) throw replica.refusal()
    await Promise.all(this.replicas.map((replica) => this.#freshness.of(replica, options)))
    // From here to the snapshots nothing is awaited: token and rows are of one moment.
    const token: Token = {
      logIdentity: this.#options.log.identity,
      positions: this.replicas
        .filter((replica) => replica.state.next > 0)
        .map((replica) => ({
          keyspace: this.#options.name,
          partition: replica.state.partition,
          offset: (replica.state.next - 1) as Offset,
        })),
    }
    const rows = scanRows(this.replicas, options.range, {
      reverse: options.reverse === true,
      keysOnly: options.keysOnly === true,
      limit: options.limit ?? Infinity,
    })
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
    const chosen = (options.partitions ?? this.replicas.map((_, at) => at)).map((at) => this.#replica(at))
    const one = singleKey(options)
    const replicas =
      one === undefined ? chosen : chosen.filter((r) => r.state.partition === this.partitionOf(one))
    for (const replica of replicas) if (replica.stopped !== undefined) throw replica.refusal()
    await this.#checkResume(replicas, options)
    watchers.count += 1
    const inner = watchReplicas(replicas, options, clock, draining$)
    return counted(inner, () => (watchers.count -= 1))
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
      replica,
      key,
      Math.min(limit === 0 ? HISTORY_ROWS_MAX : limit, HISTORY_ROWS_MAX),
    )
    return {
      ...provenance(replica, consistency),
      versions: versions.map(({ change, time }) => toEvent(replica, change, { time }, false)),
      earliest: complete ? undefined : replica.state.historyStart,
    }
  }

  async outcome(partition: Partition, offset: Offset, deadline: number): Promise<OutcomeResult> {
    const replica = this.#replica(partition)
    if (replica.stopped !== undefined) throw replica.refusal()
    const position = { keyspace: this.#options.name, partition, offset }
    await this.#freshness.of(replica, {
      consistency: 'session',
      token: { logIdentity: '', positions: [position] },
      deadline,
    })
    if (offset < replica.state.historyStart)
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

const NO_ROWS: readonly (Row | undefined)[] = []

const withoutReads = (replica: Replica, { offset, outcome }: Written): WriteResult => ({
  partition: replica.state.partition,
  offset,
  outcome,
  reads: NO_ROWS,
  logEnd: replica.logEnd,
  logEndAgeMs: replica.logEndAgeMs,
})

/** With the rows that the transaction's branch asks for, before or after its record. */
function withReads(replica: Replica, written: Written, reads: TransactionReads): WriteResult {
  const { outcome } = written
  if (outcome?.status !== 'applied') return withoutReads(replica, written)
  const wanted = outcome.succeeded === true ? reads.thenReads : reads.elseReads
  const rows = wanted.map(({ key, when }) =>
    (when === 'before' ? getRowBefore : getRowAt)(replica, key, outcome.offset),
  )
  return { ...withoutReads(replica, written), reads: rows }
}

/** The key when the range holds just one. */
function singleKey({ range }: WatchOptions): Uint8Array | undefined {
  const { start, end } = range
  if (end?.length !== start.length + 1 || end[start.length] !== 0) return undefined
  return bytesToText(end.subarray(0, start.length)) === bytesToText(start) && start.length > 0
    ? start
    : undefined
}

/** The same iterator; `done` is called once when it ends or is returned. */
function counted<T>(inner: AsyncIterableIterator<T>, done: () => void): AsyncIterableIterator<T> {
  let open = true
  const end = (): void => {
    if (open) done()
    open = false
  }
  return {
    async next() {
      try {
        const result = await inner.next()
        if (result.done === true) end()
        return result
      } catch (caught) {
        end()
        throw caught
      }
    },
    async return(value?: unknown) {
      end()
      return (await inner.return?.(value)) ?? { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

const show = (key: Uint8Array): string => JSON.stringify(Buffer.from(key).toString('utf8').slice(0, 64))
