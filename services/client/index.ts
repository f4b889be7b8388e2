/**
 * The TypeScript client of Tidemark.
 *
 *   import { connect } from 'tidemark'
 *
 *   const db = connect()                                   // 127.0.0.1:7400
 *   await db.put('greeting', 'hello', { ttlMs: 60_000 })
 *   const row = await db.get('greeting')                   // Row | undefined
 *   row?.text()                                            // 'hello'
 *   await db.put('greeting', 'hi', { ifVersion: row?.version ?? 0 })   // throws VERSION_MISMATCH if someone was faster
 *   for await (const row of db.scan({ prefix: 'user:' })) …
 *   for await (const event of db.watch({ prefix: 'user:' })) …         // resumes by itself
 *   await db.close()
 *
 * - Single calls batch themselves: start many without awaiting each (`Promise.all`) and they share frames and group commits.
 * - Everything fails with one class, `TidemarkError`, whose `reason` is one of a closed catalogue.
 * - Failures that a retry can mend are retried until the deadline. A write keeps its request id through all retries, so it is
 *   applied at most once; if the deadline passes first, the error says that its outcome is unknown.
 * - Reads see every acknowledged write (`linearizable`) unless `consistency` says otherwise. What the client has seen is
 *   kept in its session token: see `token` and `observe`.
 */
import type { Bytes } from './bytes.ts'
import type { Row } from './row.ts'
import type { Position } from './session-token.ts'
import type { Transaction } from './transaction.ts'

export type { Bytes } from './bytes.ts'
export type { Position } from './session-token.ts'
export type { Condition, Is, Step, Transaction } from './transaction.ts'
export type { CatalogueRow, GrpcCode, Reason } from '../../streams/core/errors.ts'
export { CATALOGUE, TidemarkError } from '../../streams/core/errors.ts'
export { connect } from './connect.ts'
export { Row } from './row.ts'

/**
 * How fresh a read is: all writes acknowledged to anyone before it began (`linearizable`), all that this client has seen
 * (`session`), or whatever the replica has (`eventual`).
 */
export type ConsistencyName = 'linearizable' | 'session' | 'eventual'

export interface ConnectOptions {
  /** `host:port`, or any gRPC target such as `dns:///name:port`. Default: 127.0.0.1:7400. */
  readonly server?: string
  /** Default: `default`. */
  readonly keyspace?: string
  /** Of reads that name none. Default: `linearizable`. */
  readonly consistency?: ConsistencyName
  /** Milliseconds after which calls end that name no deadline. Default: 10,000. */
  readonly deadlineMs?: number
  /** Connections to the node; each has 1,024 reads and 1,024 writes in flight. A key always takes the same one. Default: 1. */
  readonly connections?: number
  /** TLS: true for the system's certificate authorities, or PEM files' contents. Default: none. */
  readonly tls?: boolean | { readonly ca?: Buffer; readonly certificate?: Buffer; readonly key?: Buffer }
  /** False: calls fail at once where no connection can be made, instead of trying until their deadline. Default: true. */
  readonly retryUnreachable?: boolean
}

interface CallOptions {
  /** Milliseconds until the call ends with DEADLINE_EXCEEDED (or NODE_UNREACHABLE). Default: that of the client. */
  readonly deadlineMs?: number
}

export interface ReadOptions extends CallOptions {
  readonly consistency?: ConsistencyName
}

export interface GetOptions extends ReadOptions {
  /** The row as all records of its partition up to this version left it, while history is kept (else COMPACTED). */
  readonly atVersion?: number
}

export interface WriteOptions extends CallOptions {
  /**
   * `applied` (default): answered when the log has it durably and the node has applied it. `logged`: as soon as the log has
   * it; what became of it can be asked for with `outcome`.
   */
  readonly durability?: 'applied' | 'logged'
}

export interface DeleteOptions extends WriteOptions {
  /** Only if the row's version is this (else VERSION_MISMATCH); 0 = only if there is no such row. */
  readonly ifVersion?: number
}

export interface PutOptions extends DeleteOptions {
  /** The row expires so many milliseconds after the record's log time. */
  readonly ttlMs?: number
  /** Kept with the row. */
  readonly contentType?: string
}

export interface IncrementOptions extends DeleteOptions {
  /** As for put; absent: an expiry that the row has stays. */
  readonly ttlMs?: number
}

/** What became of a write. */
export interface Written {
  readonly partition: number
  /** Offset of the record: where `outcome` finds it, and what a later read with `session` waits for. */
  readonly offset: number | undefined
  /** Version of the row now; undefined where there is no row (delete) or no single one (transact). */
  readonly version: number | undefined
  /** True when a retry found that an earlier sending had been applied. */
  readonly duplicate: boolean
}

export interface Incremented extends Written {
  readonly number: bigint
}

export interface Transacted extends Written {
  /** True: all conditions held and `then` was done; false: `else`. */
  readonly succeeded: boolean
  /** One for each step of the branch taken: the row that a `get` read, undefined for a missing row and for changes. */
  readonly rows: readonly (Row | undefined)[]
}

/** All keys, or those with a prefix, or a half-open range. */
export interface Selection {
  readonly prefix?: Bytes
  /** First key. */
  readonly start?: Bytes
  /** The key after the last one. */
  readonly end?: Bytes
}

export interface ScanOptions extends Selection, ReadOptions {
  /** At most so many rows. Default: all. */
  readonly limit?: number
  /** From the greatest key down. */
  readonly reverse?: boolean
  /** Leaves the values out. */
  readonly keysOnly?: boolean
  /**
   * A scan shows one snapshot of each partition, so it fails with NODE_UNREACHABLE when the connection is lost. True: it goes
   * on after the last row instead, in a newer snapshot.
   */
  readonly restartable?: boolean
}

export interface WatchOptions extends Selection {
  /** Only this key. */
  readonly key?: Bytes
  /** Token of an earlier event: delivers everything after it. Default: from now. */
  readonly resume?: string
  /** The rows as they stand first, then an `initial-end`, then changes. Not with `resume`. */
  readonly initialRows?: boolean
  /** Refuse with COMPACTED rather than deliver a delta where the exact history is gone. */
  readonly exact?: boolean
  /** Adds the row before to each change, while history is kept. */
  readonly previousRows?: boolean
  /** Only these partitions. */
  readonly partitions?: readonly number[]
  /** Yields a `progress` at least so often while nothing happens, milliseconds. Default: none is yielded. */
  readonly progressMs?: number
  /** When the history before the resume position is gone: fail with COMPACTED, or `restart` with initial rows. Default: `fail`. */
  readonly onCompacted?: 'fail' | 'restart'
}

/** A change of a row. */
export interface WatchChange {
  readonly type: 'put' | 'deleted' | 'expired'
  /** The row after the change; its version is the offset of the record. */
  readonly row: Row
  /** Log time of the record, milliseconds since 1970; 0 in initial rows and deltas. */
  readonly timeMs: number
  /** The row before, where it was asked for and is known. */
  readonly previous: Row | undefined
  /** W3C trace context of the write; empty = none. */
  readonly traceparent: string
  /**
   * Resumes after this change. Inside a record that changed several rows it is the place before the record. Undefined during
   * initial rows, which cannot be resumed.
   */
  readonly token: string | undefined
}

/** Something to know between changes. */
export interface WatchMark {
  /**
   * `initial-end`: all rows as they stood (or the whole delta) have been delivered. `delta-begin`: what follows up to
   * `initial-end` are the final states of the rows changed since the resume position, not each change. `restart`: what was
   * delivered of the initial rows is void, they come again (the connection was lost among them, or history was gone).
   * `progress`: nothing is missing up to the token.
   */
  readonly type: 'initial-end' | 'delta-begin' | 'restart' | 'progress'
  readonly token: string | undefined
}

export type WatchItem = WatchChange | WatchMark

/** Leaving the loop, or `return()`, frees it. Resumes by itself after a lost connection, without a gap or a repetition. */
export interface Watch extends AsyncIterableIterator<WatchItem> {
  /** Settles when the node has begun to watch: every write that starts after that is seen. */
  readonly started: Promise<void>
}

export interface History {
  /** Newest first. */
  readonly versions: readonly WatchChange[]
  /** Versions older than this are no longer kept; 0 = nothing is missing. */
  readonly earliestVersion: number
}

/** What became of one mutation of a record. */
export interface Outcome {
  readonly applied: boolean
  /** Why it was rejected: a reason of the catalogue; empty when it was applied. */
  readonly reason: string
  readonly version: number | undefined
  readonly number: bigint | undefined
  readonly succeeded: boolean | undefined
  readonly duplicate: boolean
}

export interface RecordOutcome {
  /** One for each mutation of the record. */
  readonly outcomes: readonly Outcome[]
  /** Log time of the record, milliseconds since 1970. */
  readonly timeMs: number
}

export interface Keyspace {
  readonly name: string
  /** The row, or undefined. */
  get(key: Bytes, options?: GetOptions): Promise<Row | undefined>
  /** One for each key, in that order; one snapshot of each partition for up to 4,096 keys and 20 MiB of rows. */
  getMany(keys: readonly Bytes[], options?: ReadOptions): Promise<(Row | undefined)[]>
  put(key: Bytes, value: Bytes, options?: PutOptions): Promise<Written>
  /** Deleting a row that is not there succeeds. */
  delete(key: Bytes, options?: DeleteOptions): Promise<Written>
  /** Adds to a row that holds a decimal signed 64-bit number; a missing one counts as 0. Default: 1. */
  increment(key: Bytes, delta?: bigint | number, options?: IncrementOptions): Promise<Incremented>
  /** Compare, then one of two branches, atomically, over keys of one partition. */
  transact(transaction: Transaction, options?: WriteOptions): Promise<Transacted>
  /** Rows in the order of their keys. Leaving the loop frees it. */
  scan(options?: ScanOptions): AsyncIterableIterator<Row>
  watch(options?: WatchOptions): Watch
  /** The kept versions of a row, newest first; at most `limit` (default and bound: 1,000). */
  history(key: Bytes, options?: ReadOptions & { readonly limit?: number }): Promise<History>
  /** What became of the record at a position, for instance that of a Kafka producer's ack. */
  outcome(partition: number, offset: number, options?: CallOptions): Promise<RecordOutcome>
}

export interface KeyspaceDescription {
  readonly name: string
  /** Its Kafka topic. */
  readonly topic: string
  readonly partitions: number
  /** Keys are placed by the part before its first occurrence; empty = by the whole key. */
  readonly partitionByPrefix: Uint8Array
  readonly valueBytesMax: number
  readonly packingDisabled: boolean
}

export interface CreateKeyspaceOptions extends CallOptions {
  /** Fixed for ever. Default: the node's. */
  readonly partitions?: number
  readonly partitionByPrefix?: Bytes
  /** Default: 1 MiB. */
  readonly valueBytesMax?: number
  /** Writes single mutations as plain records only, for raw consumers of the topic. */
  readonly packingDisabled?: boolean
}

export interface Keyspaces {
  /** Creating it again with the same settings is fine. */
  create(name: string, options?: CreateKeyspaceOptions): Promise<KeyspaceDescription>
  list(options?: CallOptions): Promise<readonly KeyspaceDescription[]>
}

export interface ReplicaDescription {
  readonly keyspace: string
  readonly partition: number
  readonly state: 'restoring' | 'live' | 'stopped'
  /** All records below this offset are applied. */
  readonly applied: number
  /** End of the partition in the log as last seen, and how long ago that was. */
  readonly logEnd: number
  readonly logEndAgeMs: number
  readonly epoch: number
  readonly leader: string
  readonly rows: number
  readonly chainHash: string
  readonly timeMs: number
  readonly rejected: number
  readonly historyStart: number
  /** Empty while it runs. */
  readonly stoppedReason: string
  readonly stoppedMessage: string
  /** The chain at the last checkpoints, oldest first. */
  readonly checkpoints: readonly { readonly at: number; readonly chainHash: string }[]
}

export interface ClusterDescription {
  readonly cluster: string
  readonly logIdentity: string
  readonly nodeId: string
  readonly version: string
  readonly logKind: string
  readonly format: number
  readonly replicas: readonly ReplicaDescription[]
}

/** A client; also its default keyspace. */
export interface Tidemark extends Keyspace {
  readonly server: string
  /** Another keyspace on the same connections and with the same session. */
  keyspace(name: string): Keyspace
  readonly keyspaces: Keyspaces
  describe(options?: CallOptions): Promise<ClusterDescription>
  /** What this client has seen, as text for another client. */
  token(): string
  /** Takes over what another has seen: reads with `session` show at least that. @throws TOKEN_INVALID */
  observe(seen: string | Position): void
  /** Refuses new calls, waits for those begun (each has its deadline), ends scans and watches. */
  close(): Promise<void>
}
