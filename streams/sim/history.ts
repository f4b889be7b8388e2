/**
 * What clients did and saw, and the log that decides what was true: the evidence that the checkers (check/) read. It is written down by
 * whoever runs a workload (the simulator, real processes) and knows nothing of the product's inside.
 *
 * - `entries` is append-only; `seq` rises by it and is the only order that counts. `atMs` is for people.
 * - An operation is a `call` and later a `return`, matched by `op`; one without a return was never answered. What a watch delivers are
 *   `seen` entries between its call and its return.
 * - `log` is what stands in the log at the end, read back from its first record: the truth.
 * - Bytes are text of one character for each byte (latin1), 64-bit numbers are decimal text: everything survives JSON (history-codec.ts).
 */
import type { ChangeKind, CompareOperator } from '../core/mutation.ts'
import type { LogRecord } from '../core/types.ts'
import type { Consistency } from '../face.ts'

export interface History {
  readonly keyspace: KeyspaceFacts
  readonly entries: readonly Entry[]
  /** By number of partition; offsets rise, and may have gaps. */
  readonly log: readonly (readonly LogRecord[])[]
  /** Replicas as they stood at the end, or at any offset on the way. */
  readonly replicas: readonly ReplicaDump[]
}

export interface KeyspaceFacts {
  readonly name: string
  readonly partitions: number
  /** Keys are placed by the part before its first occurrence; empty = by the whole key. */
  readonly separator: string
}

/** Inclusive: "everything up to and including this record". −1 = the partition was empty. */
export interface At {
  readonly partition: number
  readonly offset: number
}

export interface RowSeen {
  readonly key: string
  /** Empty where only keys were asked for. */
  readonly value: string
  readonly version: number
  readonly expiresAt: number
  readonly contentType: string
}

/** A replica that has applied everything below `next`. */
export interface ReplicaDump {
  readonly node: string
  readonly partition: number
  readonly next: number
  /** Hex. */
  readonly chain: string
  /** Living rows in the order of their keys (by bytes); undefined = only the hash is known. */
  readonly rows: readonly RowSeen[] | undefined
}

// ---- entries ----

interface Timed {
  readonly seq: number
  readonly atMs: number
}

export interface CallEntry extends Timed {
  readonly type: 'call'
  readonly op: number
  /** One that keeps what it has seen: its calls with `token: 'own'` and its order are a session. */
  readonly client: string
  /** Asked; empty where the client library chooses. */
  readonly node: string
  readonly call: Call
}

export interface ReturnEntry extends Timed {
  readonly type: 'return'
  readonly op: number
  readonly result: Result
}

/** A message of a watch. */
export interface SeenEntry extends Timed {
  readonly type: 'seen'
  readonly op: number
  readonly seen: Seen
}

/** A fault begins or ends: `kill n2`, `partition n1|n3`. */
export interface FaultEntry extends Timed {
  readonly type: 'fault'
  readonly name: string
  readonly active: boolean
}

export type Entry = CallEntry | ReturnEntry | SeenEntry | FaultEntry

// ---- calls ----

interface Writing {
  /** As it stands in the record; undefined where the client library chose one and does not tell it. */
  readonly requestId?: string | undefined
  readonly durability?: 'applied' | 'logged' | undefined
}

interface RowWriting extends Writing {
  readonly key: string
  readonly ifVersion?: number | undefined
}

export interface PutCall extends RowWriting {
  readonly kind: 'put'
  readonly value: string
  readonly ttlMs?: number | undefined
  readonly contentType?: string | undefined
}

export interface DeleteCall extends RowWriting {
  readonly kind: 'delete'
}

export interface IncrementCall extends RowWriting {
  readonly kind: 'increment'
  readonly delta: string
  readonly ttlMs?: number | undefined
}

export interface CompareSaid {
  readonly key: string
  readonly operator: CompareOperator
  readonly version?: number | undefined
  readonly value?: string | undefined
}

export type Change =
  | {
      readonly kind: 'put'
      readonly key: string
      readonly value: string
      readonly ttlMs?: number | undefined
      readonly contentType?: string | undefined
    }
  | { readonly kind: 'delete'; readonly key: string }
  | {
      readonly kind: 'increment'
      readonly key: string
      readonly delta: string
      readonly ttlMs?: number | undefined
    }

export interface TransactionRead {
  readonly key: string
  readonly when: 'before' | 'after'
}

export interface TransactionCall extends Writing {
  readonly kind: 'txn'
  readonly compares: readonly CompareSaid[]
  readonly thenChanges: readonly Change[]
  readonly elseChanges: readonly Change[]
  readonly thenReads: readonly TransactionRead[]
  readonly elseReads: readonly TransactionRead[]
}

interface Fresh {
  readonly consistency: Consistency
  /** Positions that were sent along; `own`: the client keeps what it has seen, and sends that. */
  readonly token: readonly At[] | 'own'
}

export interface GetCall extends Fresh {
  readonly kind: 'get'
  readonly key: string
  /** The row as it stood after this record. */
  readonly at?: number | undefined
}

export interface GetManyCall extends Fresh {
  readonly kind: 'getMany'
  readonly keys: readonly string[]
}

export interface Range {
  /** Inclusive; empty = from the first key. */
  readonly start: string
  /** Exclusive; undefined = to the last key. */
  readonly end?: string | undefined
}

export interface ScanCall extends Fresh, Range {
  readonly kind: 'scan'
  readonly reverse?: boolean | undefined
  readonly keysOnly?: boolean | undefined
  readonly limit?: number | undefined
  /** Undefined = all. */
  readonly partitions?: readonly number[] | undefined
}

export interface WatchCall extends Range {
  readonly kind: 'watch'
  /** Undefined = all. */
  readonly partitions?: readonly number[] | undefined
  /** Delivers everything after these; partitions that are not named start from now. */
  readonly resume: readonly At[]
  readonly initialRows: boolean
  readonly exact: boolean
  readonly previousRows: boolean
}

export interface HistoryCall extends Fresh {
  readonly kind: 'history'
  readonly key: string
  readonly limit: number
}

export interface OutcomeCall {
  readonly kind: 'outcome'
  readonly partition: number
  readonly offset: number
}

/** A record produced past the nodes: one that means something, or `rubbish`. Header values are bytes too. */
export interface ForeignCall {
  readonly kind: 'foreign' | 'rubbish'
  readonly partition: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

/** The client drops its connections, and takes its watches up again where they were. */
export interface CutCall {
  readonly kind: 'cut'
}

export type WriteCall = PutCall | DeleteCall | IncrementCall | TransactionCall
export type ReadCall = GetCall | GetManyCall | ScanCall
export type Call = WriteCall | ReadCall | WatchCall | HistoryCall | OutcomeCall | ForeignCall | CutCall

// ---- results ----

export type Result =
  | { readonly status: 'ok'; readonly answer: Answer }
  /** It did not happen and never will: refused at the door, or rejected by the record's turn in the log. Or a read that failed. */
  | { readonly status: 'failed'; readonly reason: string }
  /** Never answered, or with an error that leaves it open. */
  | { readonly status: 'unknown'; readonly reason: string }

export interface OutcomeSeen {
  readonly applied: boolean
  /** The record that decided, for a repeated request id the first one; undefined where the client is not told. */
  readonly offset?: number | undefined
  /** Of the catalogue; undefined when it was applied. */
  readonly reason?: string | undefined
  readonly version?: number | undefined
  /** After an increment. */
  readonly number?: string | undefined
  /** Of a transaction: true = then. */
  readonly succeeded?: boolean | undefined
  readonly duplicate: boolean
}

/** Where the answer to a read stands in a partition. */
export interface Shown {
  readonly partition: number
  /** The newest record that the answer shows, −1 for none; undefined where the client is not told. */
  readonly applied: number | undefined
}

export type Answer =
  /** To a write. A rejected one is an answer too, when its position is known. */
  | {
      readonly kind: 'written'
      readonly partition: number
      /** Of the record; undefined where the client is not told. */
      readonly offset: number | undefined
      /** Undefined with durability `logged`. */
      readonly outcome: OutcomeSeen | undefined
      /** Of a transaction that was applied. */
      readonly reads: readonly (RowSeen | null)[]
    }
  /** To a get, getMany and scan: get has one row or null, getMany one for each key, scan those that are there. */
  | {
      readonly kind: 'rows'
      readonly rows: readonly (RowSeen | null)[]
      /** One for each partition touched; empty where the client is not told. */
      readonly shown: readonly Shown[]
    }
  | {
      readonly kind: 'versions'
      readonly shown: readonly Shown[]
      /** Newest first. */
      readonly versions: readonly EventSeen[]
      /** Older ones are not kept; undefined = this is all. */
      readonly earliest: number | undefined
    }
  | { readonly kind: 'outcomes'; readonly outcomes: readonly OutcomeSeen[]; readonly time: number }
  | { readonly kind: 'appended'; readonly partition: number; readonly offset: number }
  /** Of a watch that its client left, and of a cut. */
  | { readonly kind: 'ended' }

// ---- watches ----

export interface EventSeen {
  readonly kind: ChangeKind
  /** Its version is the record's offset. */
  readonly row: RowSeen
  readonly partition: number
  /** Log time of the record; 0 in initial rows and deltas. */
  readonly time: number
  /** Undefined: not asked for, or not known; null: there was none. */
  readonly previous?: RowSeen | null | undefined
}

/**
 * `started`: the node watches; every write that is called after this is seen. `restart`: initial rows so far are void and come again.
 * The others as in face.ts.
 */
export interface Seen {
  readonly mark: 'started' | 'events' | 'initial-end' | 'progress' | 'delta-begin' | 'restart'
  readonly events: readonly EventSeen[]
  /** Resumes after everything delivered up to and including this message; undefined where the client is not told. */
  readonly positions: readonly At[] | undefined
}

export type OperationKind =
  | 'put'
  | 'cas'
  | 'ttl'
  | 'delete'
  | 'increment'
  | 'txn'
  | 'get-linearizable'
  | 'get-session'
  | 'get-eventual'
  | 'get-at'
  | 'getMany'
  | 'scan'
  | 'watch'
  | 'history'
  | 'outcome'
  | 'foreign'
  | 'rubbish'
  | 'cut'

/** What coverage counts as one kind. */
export function operationKind(call: Call): OperationKind {
  switch (call.kind) {
    case 'put':
      if (call.ifVersion !== undefined) return 'cas'
      return call.ttlMs === undefined ? 'put' : 'ttl'
    case 'get':
      return call.at === undefined ? `get-${call.consistency}` : 'get-at'
    default:
      return call.kind
  }
}

export const isWrite = (call: Call): call is WriteCall =>
  call.kind === 'put' || call.kind === 'delete' || call.kind === 'increment' || call.kind === 'txn'
