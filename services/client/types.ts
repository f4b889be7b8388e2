/** What callers of the client see of rows: options, answers, the keyspace. Types only. */
import type { Bytes } from './bytes.ts'
import type {
  CallOptions,
  ClusterDescription,
  ClusterMap,
  Keyspaces,
  NodeDescription,
} from './cluster-types.ts'
import type { Row } from './row.ts'
import type { Position } from './session-token.ts'
import type { Transaction } from './transaction.ts'

/**
 * How fresh a read is: all writes acknowledged to anyone before it began (`linearizable`), all that this client has seen
 * (`session`), or whatever the replica has (`eventual`).
 */
export type ConsistencyName = 'linearizable' | 'session' | 'eventual'

export interface ConnectOptions {
  /**
   * Some nodes of the cluster: `host:port`, several by comma or as a list, or any gRPC target such as `dns:///name:port`. One
   * that lives is enough: it tells the map with the others. Default: 127.0.0.1:7400.
   */
  readonly server?: string | readonly string[]
  /**
   * False: talks to the addresses given only, to one at a time, and leaves the routing to the nodes: behind a load balancer, or
   * where the nodes' own addresses cannot be reached from here. Default: true.
   */
  readonly discover?: boolean
  /** Failure domain of this client, such as an availability zone: reads that need no leader prefer replicas there. */
  readonly zone?: string
  /** Default: `default`. */
  readonly keyspace?: string
  /** Of reads that name none. Default: `linearizable`. */
  readonly consistency?: ConsistencyName
  /** Milliseconds after which calls end that name no deadline. Default: 10,000. */
  readonly deadlineMs?: number
  /** Connections to each node; each has 1,024 reads and 1,024 writes in flight. A key always takes the same one. Default: 1. */
  readonly connections?: number
  /** TLS: true for the system's certificate authorities, or PEM files' contents. Default: none. */
  readonly tls?: boolean | { readonly ca?: Buffer; readonly certificate?: Buffer; readonly key?: Buffer }
  /**
   * Asked for each operation: the W3C trace context (`00-<trace id>-<span id>-01`) that it belongs to, for instance that of the active
   * span of OpenTelemetry; undefined: none. Nodes that send traces go on with it. Default: no operation has one.
   */
  readonly traceparent?: () => string | undefined
  /** False: calls fail at once where no connection can be made, instead of trying until their deadline. Default: true. */
  readonly retryUnreachable?: boolean
}

export interface ReadOptions extends CallOptions {
  readonly consistency?: ConsistencyName
}

export interface HedgedReadOptions extends ReadOptions {
  /**
   * Asks a second replica too when there is no answer after so many milliseconds; the first answer wins, the other is dropped.
   * Costs a read more where a node is slow. Default: never. Without effect where the cluster has one node.
   */
  readonly hedgeAfterMs?: number
}

export interface AsOfOptions {
  /**
   * Exactly the rows that stood at the positions of this token, for instance that of a cut, while history is kept (else COMPACTED);
   * `consistency` says nothing then. @throws TOKEN_INVALID where it has no position of a partition that is read
   */
  readonly asOf?: string
}

export interface GetOptions extends HedgedReadOptions, AsOfOptions {
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

export interface ScanOptions extends Selection, ReadOptions, AsOfOptions {
  /** At most so many rows. Default: all. */
  readonly limit?: number
  /** From the greatest key down. */
  readonly reverse?: boolean
  /** Leaves the values out. */
  readonly keysOnly?: boolean
  /**
   * A scan shows one snapshot of each partition. When its node is lost it goes on after the last row, on another node, in
   * snapshots that are at least as new: rows from there on may be newer than the first snapshot, as their versions tell. False:
   * it fails instead. True: it goes on, and waits for the node where there is no other, until its deadline. Default: it goes on
   * where the cluster has several nodes; with a single node it fails with NODE_UNREACHABLE. A scan as of a token is the same on all.
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
  getMany(keys: readonly Bytes[], options?: HedgedReadOptions & AsOfOptions): Promise<(Row | undefined)[]>
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
  history(key: Bytes, options?: HedgedReadOptions & { readonly limit?: number }): Promise<History>
  /** What became of the record at a position, for instance that of a Kafka producer's ack. */
  outcome(partition: number, offset: number, options?: CallOptions): Promise<RecordOutcome>
}

/** A client; also its default keyspace. */
export interface Tidemark extends Keyspace {
  /** The addresses that it was given, comma separated. */
  readonly server: string
  /** Another keyspace on the same connections and with the same session. */
  keyspace(name: string): Keyspace
  readonly keyspaces: Keyspaces
  /** The cluster as one node sees it. */
  describe(options?: CallOptions): Promise<ClusterDescription>
  /** Asks every node of the map; one that does not answer has a failure. */
  describeAll(options?: CallOptions): Promise<readonly NodeDescription[]>
  /** The newest map of the cluster; waits for the first one. @throws NOT_IMPLEMENTED where the node is too old to tell one */
  map(options?: CallOptions): Promise<ClusterMap>
  /** Calls with the newest map, if there is one yet, and with each new one. @returns ends that */
  onMap(listener: (map: ClusterMap) => void): () => void
  /**
   * Moves the leadership of a partition to another of its replicas.
   * @param toNode - its id; default: the replica that is furthest
   * @returns the id of the node that leads now
   */
  transferLeadership(
    keyspace: string,
    partition: number,
    toNode?: string,
    options?: CallOptions,
  ): Promise<string>
  /** Makes a node give up what it leads, finish what was begun and end. @throws FIELD_INVALID where no node has this id */
  drain(nodeId: string, options?: CallOptions): Promise<void>
  /** What this client has seen, as text for another client. */
  token(): string
  /** Takes over what another has seen: reads with `session` show at least that. @throws TOKEN_INVALID */
  observe(seen: string | Position): void
  /** Refuses new calls, waits for those begun (each has its deadline), ends scans and watches. */
  close(): Promise<void>
}
