/**
 * The Log port: the only truth. A keyspace is one topic with a fixed number of partitions; each partition is one ordered
 * sequence of records. Implementations: `kafka` (a real Apache Kafka), `embedded` (durable, in this process),
 * `simulated` (in memory, for tests). Every one passes log.contract.ts.
 *
 * Order: offsets of a partition rise; records are read in the order of their offsets; an offset may be skipped (a
 * control record, an aborted transaction), never repeated. Ownership: byte arrays handed over are not changed by either side.
 */
import type { TidemarkError } from '../core/errors.ts'
import type { LogRecord, LogTime, NewRecord, Offset, Partition } from '../core/types.ts'

/** What tells one incarnation of a topic from the next: a recreated topic has another. */
export type TopicIdentity = string

export interface TopicDescription {
  /** Kafka's topic name, `<cluster>.<keyspace>`. */
  readonly topic: string
  readonly identity: TopicIdentity
  readonly partitions: number
  /** One sentence for each setting that can lose acknowledged writes, with the command that mends it; empty when safe. */
  readonly unsafe: readonly string[]
}

export interface TopicSettings {
  readonly partitions: number
  /** Largest value in bytes that the topic must carry (a record is a little larger). */
  readonly valueBytesMax: number
  /** Copies of the topic, and how many must have a record before it is acknowledged. Ignored by the embedded log. */
  readonly replication: number
}

/** Records for one partition; they are appended in this order, as one unit of group commit. */
export interface Append {
  readonly topic: string
  readonly partition: Partition
  readonly records: readonly NewRecord[]
}

/** Where an Append landed: its n-th record stands at `firstOffset + n`. */
export interface Appended {
  readonly firstOffset: Offset
}

/** For who cannot wait for the slowest part of an append. */
export interface AppendListener {
  /** What became of a part, once for each, as soon as it is known: before the promise of the call settles. */
  part(index: number, result: Appended | TidemarkError): void
  /** The lane takes its next call now. May be said more than once. */
  free(): void
}

/** A run of records of one partition. */
export interface LogBatch {
  /** Rising offsets, all at or past the offset that was asked for. May be empty. */
  readonly records: readonly LogRecord[]
  /** The offset after everything that this batch covers, skipped offsets included. */
  readonly nextOffset: Offset
  /** The partition's end offset (high watermark) as the log told it with this batch. */
  readonly logEnd: Offset
  /** Bytes of keys, values and headers, about. */
  readonly bytes: number
}

/** One reader of one partition. */
export interface PartitionReader {
  /**
   * The next records, in order; waits for them, but returns an empty batch after at most about a second so that
   * `logEnd` stays fresh. At most one call at a time. The implementation reads ahead up to FETCH_AHEAD_BYTES_MAX.
   * Network faults are retried for ever inside (reported through `onTrouble`). Fails with a TidemarkError, after which the reader is
   * of no more use, only where reading on would skip or repeat (invariant I5): LOG_TRIMMED, LOG_TRUNCATED,
   * TOPIC_RECREATED, PARTITIONS_CHANGED, or CANCELLED after close().
   */
  next(): Promise<LogBatch>
  close(): void
}

export interface Offsets {
  /** The first offset that the log still holds. */
  readonly start: Offset
  /** The offset that the next record gets. */
  readonly end: Offset
}

export interface Log {
  /** Which log this is: the id of the Kafka cluster, or of the embedded log's directory. Rows of one log are never used with another. */
  readonly identity: string

  /** Creates the topic where there is none. Safe against two creators at once. @throws KEYSPACE_EXISTS with another partition count. */
  createTopic(topic: string, settings: TopicSettings): Promise<TopicDescription>
  /**
   * @param valueBytesMax - values that it must take; default: VALUE_BYTES_MAX
   * @returns undefined where there is no such topic.
   */
  describeTopic(topic: string, valueBytesMax?: number): Promise<TopicDescription | undefined>
  /** The names of all topics that start with `prefix`. */
  listTopics(prefix: string): Promise<readonly string[]>
  deleteTopic(topic: string): Promise<void>

  /**
   * Appends all parts; resolves when every record is durable as the topic promises (acks=all; embedded: synced). Rejects when a part
   * failed; others may have been appended all the same, and so may that one: the caller sends the same records again, and request ids
   * make that harmless. @throws LOG_UNAVAILABLE (retriable), DISK_FULL (nothing appended), VALUE_TOO_LARGE (that part is not appended).
   *
   * A lane takes one call at a time: the next one when the promise has settled, or when `listener.free` was called. A partition
   * whose part is not settled then stands in no other call. A log whose parts stand or fall together need not tell the listener anything.
   */
  append(lane: number, parts: readonly Append[], listener?: AppendListener): Promise<readonly Appended[]>
  /** How many lanes there are; a partition's appends must all use lane `partition % lanes`. */
  readonly lanes: number

  /** Reads one partition from `from`, which must lie within [start, end]. Any number of readers; none disturbs another. */
  read(topic: string, partition: Partition, from: Offset, expect: TopicExpectation): PartitionReader

  /**
   * The end offset of each partition, such that every append that was acknowledged to anyone before the call began is below it.
   * One round serves all partitions asked for. @throws LOG_UNAVAILABLE when that cannot be proved within the deadline.
   */
  verifiedEnds(topic: string, partitions: readonly Partition[]): Promise<ReadonlyMap<Partition, Offset>>
  /** Start and end as one broker says, without proof. */
  offsets(topic: string, partition: Partition): Promise<Offsets>
  /** Drops the records before `before`. */
  trim(topic: string, partition: Partition, before: Offset): Promise<void>

  /** True while the log answers; for health. */
  readonly healthy: boolean
  close(): Promise<void>
}

/** What the replica knows of the topic that it was built from; a reader that finds another fails. */
export interface TopicExpectation {
  readonly identity: TopicIdentity
  readonly partitions: number
}

/** The clock of a log that stamps its records itself (embedded, simulated). */
export type LogClock = () => LogTime
