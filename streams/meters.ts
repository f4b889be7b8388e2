/**
 * What a node counts: plain numbers that the way of the data adds to, and that a scrape or a flush reads when it comes. Counting
 * allocates nothing and calls nobody, so it costs the same whether somebody looks or not. Names are those of the metric catalogue
 * (services/node/metrics/catalogue.ts), which says what each means.
 */

import { CATALOGUE, type Reason } from './core/errors.ts'
import { REJECTIONS } from './core/mutation.ts'

/** Upper bounds of the buckets of a duration, seconds: 100 µs to 10 s, five for each power of ten (Renard's R5). */
export const BOUNDS_SECONDS = [
  0.0001, 0.00016, 0.00025, 0.0004, 0.00063, 0.001, 0.0016, 0.0025, 0.004, 0.0063, 0.01, 0.016, 0.025, 0.04,
  0.063, 0.1, 0.16, 0.25, 0.4, 0.63, 1, 1.6, 2.5, 4, 6.3, 10,
] as const

const BUCKETS = BOUNDS_SECONDS.length + 1
/** Values that one tag of a metric may have before further ones are counted as OTHER: what the names of keyspaces need a bound for. */
export const TAG_VALUES_MAX = 50
export const OTHER = 'other'

/** Durations by bucket: how many, and their sum, so that the mean of a bucket is known exactly. The last one is over all bounds. */
export interface Distribution {
  readonly count: Float64Array
  readonly seconds: Float64Array
}

export const newDistribution = (): Distribution => ({
  count: new Float64Array(BUCKETS),
  seconds: new Float64Array(BUCKETS),
})

export function record({ count, seconds }: Distribution, duration: number): void {
  let bucket = 0
  while (bucket < BUCKETS - 1 && duration > (BOUNDS_SECONDS[bucket] ?? 0)) bucket += 1
  count[bucket] = (count[bucket] ?? 0) + 1
  seconds[bucket] = (seconds[bucket] ?? 0) + duration
}

/** A moment for durations, seconds. */
export const seconds = (): number => performance.now() / 1000

/** Totals by the value of one tag. */
export class Tally {
  readonly #totals: Map<string, number>
  readonly #known: number

  /** @param known - values that stand from the start with 0: a series that begins with its first event hides it from a rate */
  constructor(known: readonly string[] = []) {
    this.#known = known.length
    this.#totals = new Map(known.map((tag) => [tag, 0]))
  }

  add(tag: string, more = 1): void {
    const total = this.#totals.get(tag)
    if (total !== undefined) this.#totals.set(tag, total + more)
    else if (this.#totals.size < TAG_VALUES_MAX + this.#known) this.#totals.set(tag, more)
    else this.#totals.set(OTHER, (this.#totals.get(OTHER) ?? 0) + more)
  }

  get totals(): ReadonlyMap<string, number> {
    return this.#totals
  }
}

/** Durations by the value of one tag; whoever adds knows that the values are few. */
export class Distributions {
  readonly all = new Map<string, Distribution>()

  of(tag: string): Distribution {
    const known = this.all.get(tag)
    if (known !== undefined) return known
    const made = newDistribution()
    this.all.set(tag, made)
    return made
  }
}

/** Totals since the start. */
const COUNTS = [
  'apply.mutations',
  'apply.duplicates',
  'apply.expiries',
  'apply.ticks',
  'apply.marks.compared',
  'apply.marks.diverged',
  'elections.won',
  'elections.lost',
  'log.append.records',
  'log.append.bytes',
  'log.read.records',
  'log.read.bytes',
  'kafka.connections.opened',
  'kafka.connections.closed',
  'restore.copy.bytes',
  'watch.events',
  'watch.waits',
  'troubles',
] as const

/** Why a partition stops (invariants I5 and I9). */
const STOPS: readonly Reason[] = [
  'LOG_TRIMMED',
  'LOG_TRUNCATED',
  'TOPIC_RECREATED',
  'PARTITIONS_CHANGED',
  'REPLICA_DIVERGED',
  'FORMAT_TOO_NEW',
  'STORE_CORRUPT',
  'INTERNAL',
]

/** Totals by one tag, with the values of it that are known before. */
const TALLIES = {
  'apply.records': [],
  'apply.rejections': Object.keys(REJECTIONS),
  'log.append.errors': ['LOG_UNAVAILABLE'],
  'log.read_index.errors': ['LOG_UNAVAILABLE'],
  'kafka.request.errors': [],
  'restore.copies': ['installed', 'failed'],
  'partitions.stopped': STOPS,
  errors: Object.keys(CATALOGUE),
  'router.forwards': ['answered', 'failed', 'late'],
  'snapshot.parts': ['written', 'published', 'failed'],
  'traces.spans': ['sent', 'failed', 'dropped'],
} as const satisfies Readonly<Record<string, readonly string[]>>

/** What stands now, set by who knows. */
const LEVELS = [
  'log.appends.in_flight',
  'kafka.requests.in_flight',
  'restore.copies.running',
  'replicas.disputed',
] as const

const DURATIONS = ['apply.duration', 'log.append.duration', 'log.read_index.duration'] as const

/** Durations by one tag. */
const TAGGED_DURATIONS = ['kafka.request.duration'] as const

type Each<Names extends readonly string[], Value> = Record<Names[number], Value>

export interface Meters {
  readonly counts: Each<typeof COUNTS, number>
  readonly tallies: Readonly<Record<keyof typeof TALLIES, Tally>>
  readonly levels: Each<typeof LEVELS, number>
  readonly durations: Readonly<Each<typeof DURATIONS, Distribution>>
  readonly taggedDurations: Readonly<Each<typeof TAGGED_DURATIONS, Distributions>>
}

const each = <const Names extends readonly string[], Value>(
  names: Names,
  make: () => Value,
): Each<Names, Value> => Object.fromEntries(names.map((name) => [name, make()])) as Each<Names, Value>

export const newMeters = (): Meters => ({
  counts: each(COUNTS, () => 0),
  tallies: Object.fromEntries(
    Object.entries(TALLIES).map(([name, known]) => [name, new Tally(known)]),
  ) as Record<keyof typeof TALLIES, Tally>,
  levels: each(LEVELS, () => 0),
  durations: each(DURATIONS, newDistribution),
  taggedDurations: each(TAGGED_DURATIONS, () => new Distributions()),
})
