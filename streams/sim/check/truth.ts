/**
 * What the log says: each partition replayed by the model (core/testing/model.ts), which is written from proto/record.md and knows nothing of
 * the product's apply. Every question costs a binary search.
 */
import { Model } from '../../core/testing/model.ts'
import type { ModelChange, ModelRow } from '../../core/testing/model.ts'
import type { Outcome } from '../../core/mutation.ts'
import { murmur2 } from '../../core/partitioner.ts'
import type { LogRecord } from '../../core/types.ts'
import type { KeyspaceFacts, Range, RowSeen } from '../history.ts'
import { wantedOf } from './asked.ts'
import type { Wanted } from './asked.ts'

/** A record and what became of it. */
export interface Told {
  readonly offset: number
  /** Partition time after it. */
  readonly time: number
  readonly wanted: readonly Wanted[]
  /** One for each mutation; a single one where the record was rejected or repeated as a whole. */
  readonly outcomes: readonly Outcome[]
  readonly changes: readonly ModelChange[]
}

/** A state of a key: from `offset` up to the next version. */
export interface Version {
  readonly offset: number
  readonly kind: ModelChange['kind']
  /** Undefined where there is none. */
  readonly row: ModelRow | undefined
  /** Partition time of its record. */
  readonly time: number
}

export class PartitionTruth {
  readonly records: readonly Told[]
  /** Of those that change a row, rising. */
  readonly changing: readonly Told[]
  /** Every key that ever was, in order. */
  readonly keys: readonly string[]
  readonly #versions = new Map<string, Version[]>()

  constructor(partition: number, partitions: number, log: readonly LogRecord[]) {
    const model = new Model(partition, partitions)
    const records: Told[] = []
    for (const record of log) {
      const effects = model.apply(record)
      if (effects === 'stop') break
      const { offset, time, outcomes, changes } = effects
      records.push({ offset, time, wanted: wantedOf(record), outcomes, changes })
      for (const { kind, key, row } of changes) {
        const version = { offset, kind, row, time }
        const known = this.#versions.get(key)
        if (known === undefined) this.#versions.set(key, [version])
        else known.push(version)
      }
    }
    this.records = records
    this.changing = records.filter(({ changes }) => changes.length > 0)
    this.keys = [...this.#versions.keys()].sort()
  }

  /** Of the last record; −1 where there is none. */
  get last(): number {
    return this.records.at(-1)?.offset ?? -1
  }

  record(offset: number): Told | undefined {
    const found = this.records[this.indexAt(offset)]
    return found?.offset === offset ? found : undefined
  }

  /** Of the last record at or before `offset`; −1 before the first. */
  indexAt(offset: number): number {
    return countWhile(this.records, (record) => record.offset <= offset) - 1
  }

  timeAt(offset: number): number {
    return this.records[this.indexAt(offset)]?.time ?? 0
  }

  /** All versions of a key, oldest first. */
  versions(key: string): readonly Version[] {
    return this.#versions.get(key) ?? []
  }

  /** How many versions of the key there are up to and including `offset`. */
  versionsUpTo(key: string, offset: number): number {
    return countWhile(this.versions(key), (version) => version.offset <= offset)
  }

  /** What a read at this offset shows: a row that is due is gone, also where its turn to expire has not come. */
  rowAt(key: string, offset: number): ModelRow | undefined {
    const row = this.standingAt(key, offset)
    return row === undefined || this.#isDue(row, offset) ? undefined : row
  }

  /** The row as it stands, due or not. */
  standingAt(key: string, offset: number): ModelRow | undefined {
    return this.versions(key)[this.versionsUpTo(key, offset) - 1]?.row
  }

  /** The first offset at or after `from` at which a read shows this version of the key (undefined: no row); undefined = none ever. */
  firstShowing(key: string, version: number | undefined, from: number): number | undefined {
    const versions = this.versions(key)
    let at = Math.max(0, this.versionsUpTo(key, from) - 1)
    if (version === undefined && (versions[0]?.offset ?? Infinity) > from) return from
    for (; at < versions.length; at++) {
      const found = versions[at]
      if (found === undefined) return undefined
      const begin = Math.max(found.offset, from)
      const end = versions[at + 1]?.offset ?? Infinity
      if (end <= begin) continue
      if (found.row === undefined) {
        if (version === undefined) return begin
        continue
      }
      const due = this.#dueFrom(found.row)
      if (version === undefined) {
        if (due < end) return Math.max(due, begin)
      } else if (found.row.version === version) return begin < Math.min(end, due) ? begin : undefined
    }
    return undefined
  }

  keysIn({ start, end }: Range): readonly string[] {
    const from = countWhile(this.keys, (key) => key < start)
    const to = end === undefined ? this.keys.length : countWhile(this.keys, (key) => key < end)
    return this.keys.slice(from, Math.max(from, to))
  }

  #isDue(row: ModelRow, offset: number): boolean {
    return row.expiresAt !== 0 && row.expiresAt <= this.timeAt(offset)
  }

  /** Offset of the first record at which the row is due. */
  #dueFrom(row: ModelRow): number {
    if (row.expiresAt === 0) return Infinity
    const at = countWhile(this.records, ({ time }) => time < row.expiresAt)
    return this.records[at]?.offset ?? Infinity
  }
}

export class Truth {
  readonly #partitions: readonly PartitionTruth[]
  readonly #keyspace: KeyspaceFacts

  constructor(keyspace: KeyspaceFacts, log: readonly (readonly LogRecord[])[]) {
    this.#keyspace = keyspace
    this.#partitions = Array.from(
      { length: keyspace.partitions },
      (_, partition) => new PartitionTruth(partition, keyspace.partitions, log[partition] ?? []),
    )
  }

  get partitions(): readonly PartitionTruth[] {
    return this.#partitions
  }

  /** One that the keyspace does not have is empty. */
  of(partition: number): PartitionTruth {
    return this.#partitions[partition] ?? new PartitionTruth(partition, 1, [])
  }

  partitionOf(key: string): number {
    const { separator, partitions } = this.#keyspace
    const end = separator === '' ? -1 : key.indexOf(separator)
    const placed = Buffer.from(end < 0 ? key : key.slice(0, end), 'latin1')
    return (murmur2(placed) & 0x7fffffff) % partitions
  }
}

export const toSeen = (key: string, { value, version, expiresAt, contentType }: ModelRow): RowSeen => ({
  key,
  value,
  version,
  expiresAt,
  contentType,
})

export const inRange = (key: string, { start, end }: Range): boolean =>
  key >= start && (end === undefined || key < end)

/** How many come first for which it holds; it holds for a first part and for none after it. */
export function countWhile<T>(sorted: readonly T[], holds: (item: T) => boolean): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = sorted[middle]
    if (item !== undefined && holds(item)) low = middle + 1
    else high = middle
  }
  return low
}
