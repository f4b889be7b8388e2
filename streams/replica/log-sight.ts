/**
 * What a replica has seen of its log, and how long ago: its end, and what time it is there. Log time goes on while nothing is written,
 * as fast as any clock; so the time of the last record and what has elapsed since tell when a row is due, and no date of this node does.
 */
import type { Offset } from '../core/types.ts'
import type { LogBatch } from '../log/log.ts'
import type { Clock } from '../ports.ts'

export class LogSight {
  readonly #clock: Clock
  #end: Offset
  #endSeenAt: number | undefined
  /** Log time at the moment 0 of `elapsed()`, as the last record tells it. */
  #begin = -Infinity

  constructor(clock: Clock, end: Offset) {
    this.#clock = clock
    this.#end = end
  }

  get end(): Offset {
    return this.#end
  }

  /** How long ago the end was seen, whole milliseconds; 0 before that. */
  get endAgeMs(): number {
    return this.#endSeenAt === undefined ? 0 : Math.floor(this.#clock.elapsed() - this.#endSeenAt)
  }

  /** What time it is in the log by now, at least; −Infinity before the first record. */
  get time(): number {
    return this.#begin + this.#clock.elapsed()
  }

  saw({ logEnd, records }: Pick<LogBatch, 'logEnd' | 'records'>): void {
    const now = this.#clock.elapsed()
    this.#end = logEnd
    this.#endSeenAt = now
    const last = records.at(-1)
    if (last !== undefined) this.#begin = last.time - now
  }

  /** Somebody else has seen it there. */
  reaches(end: Offset): void {
    if (end > this.#end) this.#end = end
  }
}
