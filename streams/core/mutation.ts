/** What a writer asks for, before it becomes a record, and what becomes of it. */
import type { Reason } from './errors.ts'
import type { Offset } from './types.ts'

interface Conditional {
  /** Applies only if the row's version is this; 0 = only if there is no such row. */
  readonly ifVersion?: Offset
}

interface Identified {
  /** 1 to 64 bytes; best `<session>/<sequence>`: that form costs the replica one small row for each session. */
  readonly requestId?: string
  /** W3C trace context, carried to apply and watch. */
  readonly traceparent?: string
}

export interface PutMutation extends Conditional, Identified {
  readonly kind: 'put'
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly ttlMs?: number
  readonly contentType?: string
}

export interface DeleteMutation extends Conditional, Identified {
  readonly kind: 'delete'
  readonly key: Uint8Array
}

export interface IncrementMutation extends Conditional, Identified {
  readonly kind: 'increment'
  readonly key: Uint8Array
  /** Signed 64 bit. */
  readonly delta: bigint
  readonly ttlMs?: number
}

export type RowMutation = PutMutation | DeleteMutation | IncrementMutation

export interface TransactionMutation extends Identified {
  readonly kind: 'txn'
  readonly compares: readonly Compare[]
  readonly thenChanges: readonly TransactionChange[]
  readonly elseChanges: readonly TransactionChange[]
}

export type Mutation = RowMutation | TransactionMutation

export type CompareOperator = 'equal' | 'not-equal' | 'greater' | 'less'

export type Compare =
  | {
      readonly key: Uint8Array
      readonly operator: CompareOperator
      readonly target: 'version'
      readonly version: Offset
    }
  | {
      readonly key: Uint8Array
      readonly operator: CompareOperator
      readonly target: 'value'
      readonly value: Uint8Array
    }

export type TransactionChange =
  | {
      readonly kind: 'put'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly ttlMs?: number
      readonly contentType?: string
    }
  | { readonly kind: 'delete'; readonly key: Uint8Array }
  | {
      readonly kind: 'increment'
      readonly key: Uint8Array
      readonly delta: bigint
      readonly ttlMs?: number
    }

/** Reasons with which apply rejects a record or a mutation. The numbers are FROZEN: they are stored and hashed. */
export const REJECTIONS = {
  RECORD_MALFORMED: 1,
  UNKNOWN_OPERATION: 2,
  MISPLACED_KEY: 3,
  KEY_EMPTY: 4,
  KEY_TOO_LONG: 5,
  VALUE_TOO_LARGE: 6,
  TTL_INVALID: 7,
  REQUEST_ID_INVALID: 8,
  REQUEST_ID_FORGOTTEN: 9,
  VERSION_MISMATCH: 10,
  NOT_A_NUMBER: 11,
  NUMBER_OVERFLOW: 12,
  DUPLICATE_KEY: 13,
  STALE_EPOCH: 14,
  SETTING_FIXED: 15,
} as const satisfies Partial<Record<Reason, number>>

export type Rejection = keyof typeof REJECTIONS

/** What became of a mutation; the same on every replica, for ever. */
export type Outcome =
  | {
      readonly status: 'applied'
      /** The record that decided; for a repeated request id the first one. */
      readonly offset: Offset
      /** Version of the row afterwards; undefined when there is no row (delete) or no single row (txn). */
      readonly version?: Offset
      /** The number after an increment. */
      readonly number?: bigint
      /** Which branch a transaction took: true = then. */
      readonly succeeded?: boolean
      /** True when the request id had been seen: this record changed nothing. */
      readonly duplicate: boolean
    }
  | {
      readonly status: 'rejected'
      readonly offset: Offset
      readonly reason: Rejection
      /** On VERSION_MISMATCH the version found; undefined when there was no row. */
      readonly version?: Offset
      readonly duplicate: boolean
    }

/** A row as it stands. */
export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly version: Offset
  /** Log time at which it expires, milliseconds since 1970; 0 = never. */
  readonly expiresAt: number
  readonly contentType: string
}

export type ChangeKind = 'put' | 'deleted' | 'expired'
