/**
 * The words of the domain as types. Offsets are JavaScript numbers, documented safe integers (< 2^53): a partition
 * that appends a million records a second reaches that bound after 285 years, and a number costs no allocation.
 * The adapters refuse an offset past it; nothing behind them checks again.
 */

declare const brand: unique symbol
type Brand<T, Name extends string> = T & { readonly [brand]: Name }

/** A record's place in its partition, from 0; also a row's version. Safe integer. */
export type Offset = Brand<number, 'Offset'>
/** A partition's number inside its keyspace, from 0. */
export type Partition = Brand<number, 'Partition'>
/** The offset of the `lead` record of the current leader; 0 before the first. */
export type Epoch = Brand<number, 'Epoch'>
/** Milliseconds since 1970 as the log stamped them (LogAppendTime), never a node's clock. */
export type LogTime = Brand<number, 'LogTime'>

export const offset = (value: number): Offset => value as Offset
export const partition = (value: number): Partition => value as Partition
export const epoch = (value: number): Epoch => value as Epoch
export const logTime = (value: number): LogTime => value as LogTime

/** What a record carries beside key and value; header names as in proto/record.md, values as the bytes that stand there. */
export type Headers = ReadonlyMap<string, Uint8Array>

/** One message of the log, as every producer may write it. */
export interface LogRecord {
  readonly offset: Offset
  /** LogAppendTime of the broker, milliseconds. May step back when a partition changes its broker; apply never does. */
  readonly time: LogTime
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
}

/** A record on its way to the log: the log gives offset and time. */
export interface NewRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
  /** Trace contexts of the writes in it that are sampled. Not appended: for who follows the record to the log. */
  readonly traces?: readonly string[]
}

export const NO_HEADERS: Headers = new Map()

export interface Position {
  readonly keyspace: string
  readonly partition: Partition
  readonly offset: Offset
}

/** How a keyspace maps a key to its partition: the whole key, or the part before the first separator. */
export type PartitionBy =
  { readonly kind: 'key' } | { readonly kind: 'prefix'; readonly separator: Uint8Array }
