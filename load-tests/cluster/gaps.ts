/** How long something stood still, from what was seen of it. Times are milliseconds of `performance.now()`. */
import type { Acknowledged } from './load.ts'

export interface Gap {
  readonly ms: number
  readonly partition: number
  /** When it began. */
  readonly from: number
}

/** The longest time, within from..to, in which some partition acknowledged nothing. */
export function longestWriteGap(
  writes: readonly Acknowledged[],
  partitions: number,
  from: number,
  to: number,
): Gap {
  const last = new Array<number>(partitions).fill(from)
  let longest: Gap = { ms: 0, partition: 0, from }
  const note = (partition: number, at: number): void => {
    const since = last[partition] ?? from
    if (at - since > longest.ms) longest = { ms: at - since, partition, from: since }
    last[partition] = at
  }
  for (const { partition, answered } of writes) {
    if (answered >= from && answered <= to) note(partition, answered)
  }
  for (let partition = 0; partition < partitions; partition += 1) note(partition, to)
  return longest
}

/** How long after `from` each of the partitions had acknowledged a write that was asked for after it; the slowest counts. */
export function firstWritesAfter(
  writes: readonly Acknowledged[],
  partitions: readonly number[],
  from: number,
): number {
  const first = partitions.map((partition) => {
    const answers = writes
      .filter((write) => write.partition === partition && write.asked >= from)
      .map(({ answered }) => answered)
    return Math.min(...answers) - from
  })
  return Math.max(0, ...first)
}

/** Watches replicas for pauses: a replica pauses while it does not move although the log holds more for it. */
export class PauseMeter {
  readonly #seen = new Map<string, { applied: number; since: number | undefined }>()
  #longest = 0

  /** One look at one replica. @param end - what it could have applied by now */
  look(replica: string, applied: number, end: number, at: number): void {
    const before = this.#seen.get(replica)
    const behind = applied < end
    const moved = before === undefined || applied > before.applied
    const since = behind ? (moved ? at : (before.since ?? at)) : undefined
    if (before?.since !== undefined) this.#longest = Math.max(this.#longest, at - before.since)
    this.#seen.set(replica, { applied, since })
  }

  /** The replica is gone for a while, on purpose. */
  forget(replica: string): void {
    this.#seen.delete(replica)
  }

  get longestMs(): number {
    return this.#longest
  }
}
