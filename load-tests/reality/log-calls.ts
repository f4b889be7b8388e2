/** Random calls of the Log port, with what a direct producer does beside it. Numbers are turned into offsets by whoever makes the calls. */
import fc from 'fast-check'
import { APPEND_BYTES_MAX, PACK_BYTES_TARGET } from '../../streams/core/limits.ts'

export const PARTITIONS = 3
/** The bound of the topics: records are refused somewhere past it. */
export const VALUE_BYTES_MAX = 4096
/** What every topic takes in one record, and no topic does. */
const TAKEN_BYTES = PACK_BYTES_TARGET
const REFUSED_BYTES = APPEND_BYTES_MAX + (2 << 20)

/** Texts stand for their bytes, one each; null is null. */
export interface RecordMade {
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string])[]
  /** The value is repeated up to so many bytes. */
  readonly bytes: number
}

export interface PartMade {
  readonly partition: number
  readonly records: readonly RecordMade[]
}

export type LogCall =
  /** Parts of one lane. */
  | { readonly kind: 'append'; readonly parts: readonly PartMade[] }
  /** @see place */
  | { readonly kind: 'read'; readonly partition: number; readonly from: number }
  /** A reader that stays open: reads on to the end that stands then. */
  | { readonly kind: 'follow'; readonly slot: number; readonly partition: number; readonly from: number }
  | { readonly kind: 'read-on'; readonly slot: number }
  | { readonly kind: 'close'; readonly slot: number }
  | { readonly kind: 'offsets'; readonly partition: number }
  | { readonly kind: 'ends'; readonly partitions: readonly number[] }
  | { readonly kind: 'trim'; readonly partition: number; readonly before: number }
  /** A direct producer: its records are there or not, its control record takes an offset. */
  | { readonly kind: 'transaction'; readonly part: PartMade; readonly commits: boolean }
  | { readonly kind: 'create'; readonly partitions: number }
  | { readonly kind: 'delete' }
  | { readonly kind: 'describe' }
  | { readonly kind: 'list'; readonly prefix: 'mine' | 'other' }
  /** Where brokers can be told so, the partition has another leader. */
  | { readonly kind: 'elect'; readonly partition: number }

const text = fc.string({ unit: 'binary-ascii', maxLength: 12 })

const record: fc.Arbitrary<RecordMade> = fc.record({
  key: fc.option(text, { freq: 4 }),
  value: fc.option(text, { freq: 4 }),
  headers: fc.uniqueArray(fc.tuple(fc.constantFrom('tm-op', 'a', 'é', 'x-long-name', ''), text), {
    maxLength: 3,
    selector: ([name]) => name,
  }),
  bytes: fc.oneof(
    { weight: 200, arbitrary: fc.constant(0) },
    { weight: 30, arbitrary: fc.integer({ min: 100, max: VALUE_BYTES_MAX }) },
    { weight: 4, arbitrary: fc.constant(TAKEN_BYTES) },
    { weight: 1, arbitrary: fc.constant(REFUSED_BYTES) },
  ),
})

const partition = fc.nat(PARTITIONS - 1)
/** Somewhere in the log, mostly: see `place`. */
const spot = fc.nat(60)
const slot = fc.nat(2)

const part = (of: fc.Arbitrary<number>): fc.Arbitrary<PartMade> =>
  fc.record({ partition: of, records: fc.array(record, { minLength: 1, maxLength: 4 }) })

/** @param weight - how often, beside the others */
const often = (
  weight: number,
  arbitrary: fc.Arbitrary<LogCall>,
): { readonly weight: number; readonly arbitrary: fc.Arbitrary<LogCall> } => ({ weight, arbitrary })

const kind = <K extends LogCall['kind']>(name: K): fc.Arbitrary<K> => fc.constant(name)

export const logCalls: fc.Arbitrary<readonly LogCall[]> = fc.array(
  fc.oneof(
    often(
      30,
      fc.record({
        kind: kind('append'),
        // Partitions 0 and 2 share a lane.
        parts: fc.oneof(
          fc.tuple(part(partition)),
          fc.tuple(part(fc.constant(0)), part(fc.constant(2))),
          fc.tuple(part(fc.constant(2)), part(fc.constant(0))),
        ),
      }),
    ),
    often(16, fc.record({ kind: kind('read'), partition, from: spot })),
    often(6, fc.record({ kind: kind('follow'), slot, partition, from: spot })),
    often(12, fc.record({ kind: kind('read-on'), slot })),
    often(2, fc.record({ kind: kind('close'), slot })),
    often(6, fc.record({ kind: kind('offsets'), partition })),
    often(
      8,
      fc.record({ kind: kind('ends'), partitions: fc.uniqueArray(fc.nat(PARTITIONS - 1), { minLength: 1 }) }),
    ),
    often(5, fc.record({ kind: kind('trim'), partition, before: spot })),
    often(4, fc.record({ kind: kind('transaction'), part: part(partition), commits: fc.boolean() })),
    often(
      2,
      fc.record({ kind: kind('create'), partitions: fc.constantFrom(PARTITIONS, PARTITIONS, PARTITIONS, 2) }),
    ),
    often(1, fc.record({ kind: kind('delete') })),
    often(3, fc.record({ kind: kind('describe') })),
    often(2, fc.record({ kind: kind('list'), prefix: fc.constantFrom('mine', 'other') })),
    often(3, fc.record({ kind: kind('elect'), partition })),
  ),
  { minLength: 1, maxLength: 80, size: 'max' },
)

/** Which offset a number means, of a partition that stands so: most lie in it, some at its ends or past them. */
export function place(
  spot: number,
  { start, end }: { readonly start: number; readonly end: number },
): number {
  if (spot === 0) return Math.max(0, start - 1)
  if (spot === 1) return end + 1
  return start + (spot % (end - start + 1))
}
