/**
 * One partition of the simulated Kafka: a leader, followers that copy it, the in-sync set, leader epochs, and the high watermark.
 *
 * - A record is acknowledged, and can be read, when all in-sync brokers have it; an append is refused when these are too few.
 * - A new leader from the in-sync set drops what it does not have: never something acknowledged. One from outside of it (an unclean
 *   election) drops acknowledged records; `losses` says which, for whoever checks.
 * - `truncatedFor` is what a broker tells a reader that names the epoch which it read last (KIP-595).
 */
import { must } from '../core/assert.ts'
import { logTime, offset, type LogRecord, type LogTime, type NewRecord, type Offset } from '../core/types.ts'

interface Stored {
  readonly epoch: number
  /** Undefined: an offset that readers step over, as a control record or one of an aborted transaction. */
  readonly record: LogRecord | undefined
}

export interface Slice {
  readonly records: readonly LogRecord[]
  readonly next: Offset
  /** The leader epoch of the last offset; −1 where there is none. */
  readonly epoch: number
}

interface Waiting {
  readonly end: number
  /** Told with true when everything below `end` is on all in-sync brokers, with false when it was dropped. */
  readonly told: (kept: boolean) => void
}

export class BrokerPartition {
  readonly brokers: readonly number[]
  readonly inSync: Set<number>
  leader: number | undefined
  epoch = 0
  /** The first offset that is still there. */
  start = 0
  /** High watermark: what lies below is acknowledged. */
  end = 0
  /** Acknowledged offsets from here on were lost by an unclean election. */
  readonly losses: { readonly from: number; readonly to: number }[] = []
  readonly #minInSync: number
  #entries: Stored[] = []
  readonly #trimmed: LogRecord[] = []
  /** The end of the log of each broker. */
  readonly #ends: Map<number, number>
  #waiting: Waiting[] = []
  readonly #listeners = new Set<() => void>()

  constructor(brokers: readonly number[], minInSync: number) {
    this.brokers = brokers
    this.inSync = new Set(brokers)
    this.leader = brokers[0]
    this.#minInSync = minInSync
    this.#ends = new Map(brokers.map((broker) => [broker, 0]))
  }

  /** The offset of the next append, acknowledged or not. */
  get logEnd(): number {
    return this.start + this.#entries.length
  }

  /** @returns the first offset; undefined when nobody can take it */
  append(records: readonly (NewRecord | undefined)[], time: LogTime): number | undefined {
    if (this.leader === undefined || this.inSync.size < this.#minInSync) return undefined
    const first = this.logEnd
    for (const record of records) {
      const at = this.logEnd
      const stored =
        record === undefined
          ? undefined
          : { offset: offset(at), time, key: record.key, value: record.value, headers: record.headers }
      this.#entries.push({ epoch: this.epoch, record: stored })
    }
    this.#ends.set(this.leader, this.logEnd)
    this.#advance()
    return first
  }

  /** Calls back once it is known what became of the records below `end`. */
  whenKept(end: number, told: (kept: boolean) => void): void {
    if (end <= this.end) told(true)
    else this.#waiting.push({ end, told })
  }

  /** A follower copies all that the leader has. */
  replicate(broker: number): void {
    if (this.leader === undefined || broker === this.leader) return
    this.#ends.set(broker, this.logEnd)
    this.inSync.add(broker)
    this.#advance()
  }

  /** A follower that does not keep up leaves the in-sync set. */
  shrink(broker: number): void {
    // The last one stays: only it has everything.
    if (broker === this.leader || this.inSync.size === 1 || !this.inSync.delete(broker)) return
    this.#advance()
  }

  /** @returns followers that do not have everything */
  behind(): readonly number[] {
    if (this.leader === undefined) return []
    return this.brokers.filter(
      (broker) =>
        broker !== this.leader && (this.#ends.get(broker) !== this.logEnd || !this.inSync.has(broker)),
    )
  }

  /** The leader is gone. */
  loseLeader(): void {
    if (this.leader === undefined) return
    const gone = this.leader
    this.leader = undefined
    // The last in-sync broker stays in the set: only it has everything.
    if (this.inSync.size > 1) this.inSync.delete(gone)
  }

  /** A leader that was in sync, or any other broker where `unclean`. @returns whether there is one now */
  elect(broker: number, unclean = false): boolean {
    if (!this.inSync.has(broker) && !unclean) return false
    const end = must(this.#ends.get(broker), 'the end of a broker')
    if (end < this.end) {
      this.losses.push({ from: end, to: this.end })
      this.end = end
    }
    this.leader = broker
    this.epoch += 1
    if (unclean) this.inSync.clear()
    this.inSync.add(broker)
    this.#entries.length = Math.max(0, end - this.start)
    for (const [other, has] of this.#ends) this.#ends.set(other, Math.min(has, end))
    const dropped = this.#waiting.filter((waiting) => waiting.end > end)
    this.#waiting = this.#waiting.filter((waiting) => waiting.end <= end)
    for (const { told } of dropped) told(false)
    this.#advance()
    this.#tell()
    return true
  }

  #advance(): void {
    if (this.leader === undefined) return
    let end = this.logEnd
    for (const broker of this.inSync) end = Math.min(end, must(this.#ends.get(broker), 'the end of a broker'))
    if (end <= this.end) return
    this.end = end
    const kept = this.#waiting.filter((waiting) => waiting.end <= end)
    if (kept.length > 0) this.#waiting = this.#waiting.filter((waiting) => waiting.end > end)
    for (const { told } of kept) told(true)
    this.#tell()
  }

  trim(before: number): void {
    if (before <= this.start) return
    for (const { record } of this.#entries.slice(0, before - this.start))
      if (record !== undefined) this.#trimmed.push(record)
    this.#entries = this.#entries.slice(before - this.start)
    this.start = before
    this.#tell()
  }

  // ---- reading ----

  /** Acknowledged entries from `from` on; at most so many offsets. */
  slice(from: number, count: number): Slice {
    const to = Math.min(this.end, from + count)
    const entries = this.#entries.slice(from - this.start, to - this.start)
    const records = entries.flatMap(({ record }) => record ?? [])
    return { records, next: offset(to), epoch: entries.at(-1)?.epoch ?? -1 }
  }

  /** Whether a reader that stands at `position`, and read a record of `epoch` last, has read what is not there. */
  truncatedFor(position: number, epoch: number): boolean {
    if (position > this.logEnd) return true
    if (epoch < 0) return false
    const last = this.#entries[position - this.start - 1]
    return last !== undefined && last.epoch !== epoch
  }

  /** Everything that was ever acknowledged, what was trimmed included. */
  get records(): readonly LogRecord[] {
    return [...this.#trimmed, ...this.slice(this.start, Infinity).records]
  }

  /** Calls back at each change until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The topic is gone: whoever waits hears of it. */
  close(): void {
    for (const { told } of this.#waiting.splice(0)) told(false)
    this.#tell()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

/** As the clock of a broker says it. */
export const appendTime = (ms: number): LogTime => logTime(Math.floor(ms))
