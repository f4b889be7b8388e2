/**
 * What clients do next, by seed and by what was seen: few keys, some hot, so that everything meets. Pure: the same random numbers and the
 * same answers give the same calls. It knows just what clients can know: versions and positions that answers told.
 */
import { CALL_MAKERS } from './calls.ts'
import type { Coverage } from './coverage.ts'
import { OPERATION_KINDS } from './coverage.ts'
import { isWrite } from './history.ts'
import type { At, Call, OperationKind, Result, Seen, WriteCall } from './history.ts'

/** Of streams/core/testing/prng.ts, or any other with a seed. */
export interface Numbers {
  /** 0 to `bound` − 1. */
  below(bound: number): number
  /** True `percent` times of a hundred. */
  chance(percent: number): boolean
}

export interface WorkloadOptions {
  readonly partitions: number
  /** As the keyspace places keys. */
  readonly partitionOf: (key: string) => number
  /** Of each sort: texts, counters, rows that transactions change. */
  readonly keys?: number
  /** Kinds that this run has. Default: all. */
  readonly kinds?: readonly OperationKind[]
  /** Whether calls name their request ids (a client library makes its own). Default: true. */
  readonly requestIds?: boolean
  /** Whether clients keep their token themselves (a client library does). Default: false. */
  readonly ownTokens?: boolean
  /** Times to live, milliseconds. Default: 1 to 2,000. */
  readonly ttlMsMax?: number
}

/** What all clients together have learned, and each by itself. */
export class Workload {
  readonly options: Required<WorkloadOptions>
  readonly numbers: Numbers
  /** Newest version that was told of a key; 0 where none was. */
  readonly versions = new Map<string, number>()
  /** By client: what it has seen of each partition. */
  readonly #seen = new Map<string, Map<number, number>>()
  /** By client: writes that were not answered, to be sent again. */
  readonly #doubtful = new Map<string, WriteCall[]>()
  readonly #sequences = new Map<string, number>()
  /** Places of records that somebody was told. */
  readonly places: At[] = []
  /** Where watches stood when they ended. */
  readonly ends: (readonly At[])[] = []

  constructor(numbers: Numbers, options: WorkloadOptions) {
    this.numbers = numbers
    this.options = {
      keys: 6,
      kinds: OPERATION_KINDS,
      requestIds: true,
      ownTokens: false,
      ttlMsMax: 2000,
      ...options,
    }
  }

  /** @param coverage - of the run: kinds that meet what was not met yet are preferred */
  next(client: string, coverage?: Coverage): Call {
    const doubtful = this.#doubtful.get(client)
    const again = doubtful?.[0]
    if (again !== undefined && this.numbers.chance(40)) {
      doubtful?.shift()
      return again
    }
    return CALL_MAKERS[this.#kind(coverage)](this, client)
  }

  /** Every answer, in the order of answers. */
  learn(client: string, call: Call, result: Result): void {
    if (result.status !== 'ok') {
      const isDoubtful = result.status === 'unknown' && isWrite(call) && call.requestId !== undefined
      if (isDoubtful && isWrite(call)) this.#doubtfulOf(client).push(call)
      return
    }
    const { answer } = result
    switch (answer.kind) {
      case 'written': {
        const { partition, offset, outcome } = answer
        if (offset !== undefined) this.#place(client, { partition, offset })
        if (outcome?.version !== undefined && 'key' in call && call.key !== null)
          this.versions.set(call.key, outcome.version)
        // Now and then one that was answered is sent again.
        if (isWrite(call) && call.requestId !== undefined && this.numbers.chance(4))
          this.#doubtfulOf(client).push(call)
        break
      }
      case 'rows':
        for (const row of answer.rows) if (row !== null) this.versions.set(row.key, row.version)
        for (const { partition, applied } of answer.shown)
          if (applied !== undefined && applied >= 0) this.#see(client, { partition, offset: applied })
        break
      case 'appended':
        this.#place(client, answer)
        break
      case 'versions':
      case 'outcomes':
      case 'ended':
        break
    }
  }

  /** The newest message of a watch, when it ends. */
  ended({ positions }: Pick<Seen, 'positions'>): void {
    if (positions === undefined || positions.length === 0) return
    this.ends.push(positions)
    if (this.ends.length > 16) this.ends.shift()
  }

  // ---- for calls.ts ----

  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.numbers.below(list.length)] ?? list[0]
  }

  some<T>(list: readonly T[]): T | undefined {
    return list[this.numbers.below(Math.max(1, list.length))]
  }

  /** `t` texts, `n` counters, `x` rows of transactions; more than half of the picks go to the first two. */
  key(sort: 't' | 'n' | 'x'): string {
    const at = this.numbers.chance(60) ? this.numbers.below(2) : this.numbers.below(this.options.keys)
    return `${sort}${at}`
  }

  anyKey(): string {
    return this.key(this.pick(['t', 't', 'n', 'x']))
  }

  /** Rises for each client: values are unique, request ids as well. */
  sequence(client: string): number {
    const next = (this.#sequences.get(client) ?? 0) + 1
    this.#sequences.set(client, next)
    return next
  }

  tokenOf(client: string): readonly At[] | 'own' {
    if (this.options.ownTokens) return 'own'
    return [...(this.#seen.get(client) ?? [])].map(([partition, offset]) => ({ partition, offset }))
  }

  #kind(coverage: Coverage | undefined): OperationKind {
    const { kinds } = this.options
    let best = this.some(kinds) ?? 'put'
    if (coverage === undefined || this.numbers.chance(50)) return best
    for (let tries = 0; tries < 4; tries++) {
      const other = this.some(kinds) ?? best
      if (coverage.wouldMeet(other) > coverage.wouldMeet(best)) best = other
    }
    return best
  }

  #doubtfulOf(client: string): WriteCall[] {
    let calls = this.#doubtful.get(client)
    if (calls === undefined) this.#doubtful.set(client, (calls = []))
    return calls
  }

  #place(client: string, { partition, offset }: At): void {
    this.#see(client, { partition, offset })
    this.places.push({ partition, offset })
    if (this.places.length > 64) this.places.shift()
  }

  #see(client: string, { partition, offset }: At): void {
    let seen = this.#seen.get(client)
    if (seen === undefined) this.#seen.set(client, (seen = new Map<number, number>()))
    if (offset > (seen.get(partition) ?? -1)) seen.set(partition, offset)
  }
}
