/**
 * The only face of `streams` that `services` see: one node with its keyspaces. `node.ts` implements it.
 *
 * Offsets at this face are inclusive, as Kafka producers get them in an ack: a token with offset 41 means "I have seen
 * record 41". `applied` of an answer is the newest offset that it shows, undefined while the partition is empty.
 */
import type { Observable } from 'rxjs'
import type { ClusterMap } from './core/cluster-map.ts'
import type { ChangeKind, Mutation, Outcome, Row } from './core/mutation.ts'
import type { Reason, TidemarkError } from './core/errors.ts'
import type { Epoch, Offset, Partition, PartitionBy, Position } from './core/types.ts'
import type { OffsetHash } from './ports.ts'
import type { Hashing } from './replica/evidence.ts'
import type { CopyResume, ReplicaCopy } from './snapshot/copy-sessions.ts'
import type { TrimPoint, Trimmed } from './snapshot/trim.ts'
import type { StoreMeasures } from './store/store.ts'

export type Consistency = 'eventual' | 'session' | 'linearizable'

/** A tide mark: what its owner has seen. */
export interface Token {
  /** Identity of the log; empty is not checked. */
  readonly logIdentity: string
  readonly positions: readonly Position[]
}

/** What a read demands. */
export interface Freshness {
  /** Undefined: session where the token has a position for the partition, linearizable otherwise. */
  readonly consistency?: Consistency | undefined
  readonly token?: Token | undefined
  /** Milliseconds since 1970 at which the caller stops waiting; the read fails with DEADLINE_EXCEEDED then. */
  readonly deadline: number
  /**
   * Reads of rows (get, getMany, scan) show exactly what stood at these positions, and look at nothing else of the above but the deadline.
   * @throws TOKEN_INVALID where a partition has no position, COMPACTED where the history does not reach back to it
   */
  readonly asOf?: Token | undefined
  /** W3C trace contexts of the reads of rows that have one, by their key as it was given (the same object). */
  readonly traces?: ReadonlyMap<Uint8Array, string> | undefined
}

/** Who answered. */
export interface Answered {
  /** Id of the node; undefined: the one that was asked. */
  readonly answeredBy?: string | undefined
}

/** Where and how fresh an answer is. */
export interface Provenance extends Answered {
  readonly partition: Partition
  readonly applied: Offset | undefined
  /** The offset that the next record gets, as last seen, and how long ago that was in milliseconds. */
  readonly logEnd: Offset
  readonly logEndAgeMs: number
  readonly consistency: Consistency
}

export interface ReadResult extends Provenance {
  readonly row: Row | undefined
}

export interface BatchReadResult {
  /** One for each key asked for, in that order. */
  readonly rows: readonly (Row | undefined)[]
  /** One for each partition touched. */
  readonly provenance: readonly Provenance[]
}

export interface WriteOptions {
  readonly durability?: 'applied' | 'logged' | undefined
  readonly deadline: number
}

/** The answer to a write; with durability `logged` the outcome is not known yet, but the position is. */
export interface WriteResult extends Answered {
  readonly partition: Partition
  readonly offset: Offset
  readonly outcome: Outcome | undefined
  /** For a transaction that was applied: one for each read asked for. */
  readonly reads: readonly (Row | undefined)[]
  /** Freshness at the moment of the answer. */
  readonly logEnd: Offset
  readonly logEndAgeMs: number
}

/**
 * Reads of a transaction's branch: key, and whether the row before or after the transaction is wanted.
 * They are answered from history at the record's offset, so that apply stays independent of them.
 */
export interface TransactionReads {
  readonly thenReads: readonly TransactionRead[]
  readonly elseReads: readonly TransactionRead[]
}
export interface TransactionRead {
  readonly key: Uint8Array
  readonly when: 'before' | 'after'
}

export interface KeyRange {
  /** Inclusive. */
  readonly start: Uint8Array
  /** Exclusive; undefined = no end. */
  readonly end: Uint8Array | undefined
}

export interface ScanOptions extends Freshness {
  readonly range: KeyRange
  readonly reverse?: boolean
  readonly keysOnly?: boolean
  /** At most so many rows; undefined = all. */
  readonly limit?: number | undefined
  /** Only these; undefined = all. */
  readonly partitions?: readonly Partition[] | undefined
}

/** A scan in progress: `positions` say what it shows, `rows` comes in key order over all partitions. Return the iterator to free its snapshots. */
export interface Scan {
  readonly token: Token
  readonly rows: AsyncIterableIterator<readonly Row[]>
}

export interface WatchOptions {
  readonly range: KeyRange
  /** Partitions with a position deliver everything after it; the others start from now. */
  readonly resume?: Token | undefined
  /** The rows as they stand first, then the mark `initial-end`, then changes. Not with `resume`. */
  readonly initialRows?: boolean
  readonly partitions?: readonly Partition[] | undefined
  readonly progressIntervalMs?: number | undefined
  /** COMPACTED rather than a delta where exact history is gone. */
  readonly exact?: boolean
  readonly previousRows?: boolean
}

export interface WatchEvent {
  readonly kind: ChangeKind
  readonly partition: Partition
  /** The row after the change; for `deleted` and `expired` with an empty value. */
  readonly row: Row
  /** Log time of the record; 0 in initial rows and deltas. */
  readonly time: number
  readonly previous?: Row | undefined
  readonly traceparent?: string | undefined
}

export type WatchMark = 'events' | 'initial-end' | 'progress' | 'delta-begin'

export interface WatchMessage {
  readonly mark: WatchMark
  readonly events: readonly WatchEvent[]
  /** Resumes after everything delivered up to and including this message; only partitions that the watch has a position for. */
  readonly positions: readonly Position[]
}

/**
 * A watch: pull it. It ends with a TidemarkError: COMPACTED (metadata `partition`, `earliest`),
 * PARTITION_STOPPED, NODE_DRAINING. Returning the iterator frees it.
 */
export type Watch = AsyncIterableIterator<WatchMessage>

export interface HistoryResult extends Provenance {
  /** Newest first. */
  readonly versions: readonly WatchEvent[]
  /** Older versions are not kept; undefined = this is all there ever was. */
  readonly earliest: Offset | undefined
}

export interface OutcomeResult extends Provenance {
  readonly outcomes: readonly Outcome[]
  readonly time: number
}

export interface KeyspaceSettings {
  readonly partitions: number
  readonly partitionBy: PartitionBy
  readonly valueBytesMax: number
  readonly packing: boolean
  /** Of rows that are written without a time to live, milliseconds; 0 = they stay. */
  readonly defaultTtlMs: number
  /** Replicas of each partition; fewer where there are fewer nodes. */
  readonly replication: number
}

/** What of a keyspace may change: values may only become larger. Where they are placed is fixed for ever. */
export type KeyspaceChanges = Partial<Omit<KeyspaceSettings, 'partitions' | 'partitionBy'>>

export interface KeyspaceInfo extends KeyspaceSettings {
  readonly name: string
  readonly topic: string
}

export type ReplicaState = 'restoring' | 'live' | 'stopped'

export interface ReplicaStatus {
  readonly keyspace: string
  readonly partition: Partition
  readonly state: ReplicaState
  /** The offset of the next record to apply. */
  readonly next: Offset
  readonly logEnd: Offset
  readonly logEndAgeMs: number
  readonly epoch: Epoch
  readonly leader: string
  readonly rows: number
  readonly chainHash: string
  readonly time: number
  readonly rejected: number
  readonly historyStart: Offset
  readonly stopped: { readonly reason: Reason; readonly message: string } | undefined
  /** The chain at the last checkpoints, oldest first: replicas that share one can be compared without standing still. */
  readonly checkpoints: readonly { readonly at: Offset; readonly chainHash: string }[]
}

export type SettleWrite = (result: WriteResult | TidemarkError) => void

export interface Keyspace {
  readonly info: KeyspaceInfo
  partitionOf(key: Uint8Array): Partition
  /** Resolves with the outcome, a rejected one too. @throws TidemarkError when the outcome is not known or the input is refused. */
  write(mutation: Mutation, options: WriteOptions, reads?: TransactionReads): Promise<WriteResult>
  /** As write, without the cost of a promise: `settle` is told once, maybe before this returns, and must not throw. */
  submit(mutation: Mutation, options: WriteOptions, settle: SettleWrite, reads?: TransactionReads): void
  get(key: Uint8Array, freshness: Freshness): Promise<ReadResult>
  /** The row as all records up to and including `at` left it. @throws COMPACTED */
  getAt(key: Uint8Array, at: Offset, freshness: Freshness): Promise<ReadResult>
  getMany(keys: readonly Uint8Array[], freshness: Freshness): Promise<BatchReadResult>
  scan(options: ScanOptions): Promise<Scan>
  /** @throws at once on COMPACTED, TOKEN_INVALID, OVERLOADED */
  watch(options: WatchOptions): Promise<Watch>
  history(key: Uint8Array, limit: number, freshness: Freshness): Promise<HistoryResult>
  /** Appends a record that changes nothing; the first one of a request id decides where the barrier stands. */
  barrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier>
  /** Appends nothing; undefined where no record with this request id is remembered. */
  findBarrier(partition: Partition, requestId: string, deadline: number): Promise<Barrier | undefined>
  /** @throws OUTCOME_EXPIRED, OUTCOME_UNKNOWN, DEADLINE_EXCEEDED when the offset is not reached in time. */
  outcome(partition: Partition, offset: Offset, deadline: number): Promise<OutcomeResult>
}

/** A named place in the log of a partition: barrier.ts. */
export interface Barrier extends Answered {
  readonly partition: Partition
  /** The first record with this request id: everything that was acknowledged before it was asked for lies before it. */
  readonly offset: Offset
  /** The record that this call appended; the same, where it was the first. */
  readonly at: Offset
  /** Log time there, milliseconds since 1970; undefined where the history does not reach back to it. */
  readonly time: number | undefined
  /** It had been asked for before. */
  readonly repeated: boolean
}

export interface NodeDescription {
  readonly cluster: string
  readonly nodeId: string
  readonly logIdentity: string
  readonly logKind: string
  readonly format: number
}

/** Copies of this node's own replicas; never those of another. */
export interface ReplicaCopies {
  /**
   * A copy of a replica as of one offset (snapshot/chunk.ts), or what is left of one that broke.
   * @throws KEYSPACE_NOT_FOUND, FIELD_INVALID, PARTITION_STOPPED, PARTITION_RESTORING, OVERLOADED, COPY_EXPIRED
   */
  give(keyspace: string, partition: Partition, resume?: CopyResume): ReplicaCopy
  /** Drops records of the log for ever, where that is safe. @param dryRun - only looks. @throws TRIM_REFUSED, LOG_UNAVAILABLE */
  trim(point: TrimPoint, dryRun: boolean): Promise<Trimmed>
}

/** What a replica can be compared by with others of its partition. */
export interface ReplicaProof {
  /** The chain of effects where it is remembered. */
  readonly chains: readonly OffsetHash[]
  /** The last hash of its content, and one that is being made. */
  readonly contents: readonly Hashing[]
  /** Where this node last found its replica of the partition wrong, and how; another is in its place, or will be. */
  readonly wrong: { readonly at: Offset; readonly why: string } | undefined
}

/** Of this node's own replicas; never of those of another. */
export interface ReplicaProofs {
  /**
   * @param suspicion - the chain that the asker has, where somebody has another one
   * @throws KEYSPACE_NOT_FOUND, PARTITION_ELSEWHERE, PARTITION_STOPPED
   */
  tell(keyspace: string, partition: Partition, suspicion?: OffsetHash): ReplicaProof
  /**
   * Has every live replica of the partition hash its content at one offset, and returns that: all records below it are covered.
   * @throws as a write does
   */
  begin(keyspace: string, partition: Partition, deadline: number): Promise<Offset>
  /**
   * Somebody says that the replica here is wrong: it is served no more and built again.
   * @returns nodes that it is built from @throws as tell, FIELD_INVALID where no other node answers with a live one
   */
  rebuild(keyspace: string, partition: Partition): Promise<readonly string[]>
}

export interface UpdateOptions {
  /** Milliseconds since 1970. */
  readonly deadline: number
  /** Only these partitions, of which this node has replicas: its part of an update that another node leads. */
  readonly partitions?: readonly Partition[] | undefined
  /** Another node has sent it on: it is not sent on again. */
  readonly forwarded?: boolean | undefined
  /** Has nodes that have replicas of these partitions change them; without it every partition must be here. */
  readonly elsewhere?:
    ((partitions: readonly Partition[], changes: KeyspaceChanges) => Promise<void>) | undefined
}

/** Numbers of a node of this moment, for metrics. */
export interface Vitals {
  /** Mutations on their way to the log or to their answer, and their bytes. */
  readonly writesInFlight: number
  readonly writeBytesInFlight: number
  readonly watchers: number
  /** Reads that wait for their replica to be fresh enough. */
  readonly readsWaiting: number
  /** Sessions of writers kept in memory. */
  readonly sessions: number
  /** Partitions that this node leads. */
  readonly leading: number
  /** The membership knows this node, and the map has it. */
  readonly connected: boolean
  /** The newest; undefined before the first. */
  readonly map: ClusterMap | undefined
  readonly logHealthy: boolean
  readonly store: StoreMeasures
}

export interface TidemarkNode {
  readonly description: NodeDescription
  /** @throws KEYSPACE_NOT_FOUND */
  keyspace(name: string): Keyspace
  keyspaces(): readonly KeyspaceInfo[]
  createKeyspace(name: string, settings: Partial<KeyspaceSettings>): Promise<KeyspaceInfo>
  /**
   * Changes settings in every partition; what is not named stays. One of two updates at once comes first, in all partitions. An update
   * that fails halfway is finished by the next one.
   * @throws KEYSPACE_NOT_FOUND, FIELD_INVALID, NOT_LEADER where another node leads partition 0, PARTITION_ELSEWHERE while nobody does
   */
  updateKeyspace(name: string, changes: KeyspaceChanges, options: UpdateOptions): Promise<KeyspaceInfo>
  /** Deletes its topic, and so all its rows on all nodes, for ever. @throws KEYSPACE_NOT_FOUND, FIELD_INVALID for "default" */
  deleteKeyspace(name: string): Promise<void>
  /** Another node has deleted it: looks at the log, and drops it here where that is so. */
  forgetKeyspace(name: string): Promise<void>
  replicas(): readonly ReplicaStatus[]
  /** Cheap: made for each look at the metrics. */
  vitals(): Vitals
  /** True when the log answers, the map has this node, and every replica that the map lists here is live. */
  readonly ready: boolean
  /** Calls back at each change of `ready`; returns what ends that. */
  onReady(listener: (ready: boolean) => void): () => void
  /** For peers that build replicas, and for snapshots. */
  readonly copies: ReplicaCopies
  /** For peers and tools that compare replicas. */
  readonly proofs: ReplicaProofs
  /** Tells the others where this node serves gRPC (`host:port`): from then on the map has it. */
  join(address: string): void
  /** The newest map of the cluster, whole; replays the last one. Completes when the node closes. */
  readonly map$: Observable<ClusterMap>
  /** False while the others may have taken this node for dead without its knowing: its map may be old. Replays the last value. */
  readonly connected$: Observable<boolean>
  /** Moves leadership of a partition to another of its replicas; resolves with the id of the node that leads then. `to` empty = the furthest. */
  transferLeadership(keyspace: string, partition: Partition, to: string): Promise<string>
  /**
   * Hands its leaderships to the others, at most until `deadline`, and goes on serving meanwhile; the map says that it drains.
   * `close` comes next. Idempotent.
   */
  drain(deadline: number): Promise<void>
  /** Refuses new writes and watches, waits for those in flight, at most until `deadline`, then closes everything. Idempotent. */
  close(deadline: number): Promise<void>
}
