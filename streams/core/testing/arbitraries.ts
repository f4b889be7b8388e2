/** fast-check's generators of mutations as they may be written: valid ones, with keys and values of every kind of byte. */
import fc from 'fast-check'
import type { Compare, Mutation, RowMutation, TransactionChange, TransactionMutation } from '../mutation.ts'
import { CONTENT_TYPE_BYTES_MAX, REQUEST_ID_BYTES_MAX, TTL_MS_MAX } from '../limits.ts'
import type { Offset } from '../types.ts'

const utf8 = (bytesMax: number): fc.Arbitrary<string> =>
  fc
    .string({ unit: 'binary', minLength: 1, maxLength: 24 })
    .filter((text) => Buffer.byteLength(text) <= bytesMax)

const bytes = (minLength: number, maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((list) => Buffer.from(list))

const key = bytes(1, 20)
const value = bytes(0, 40)
const version = fc.oneof(fc.nat(300), fc.maxSafeNat()).map((number) => number as Offset)
const delta = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const ttlMs = fc.integer({ min: 1, max: TTL_MS_MAX })
const contentType = utf8(CONTENT_TYPE_BYTES_MAX)

/** Leaves out what is undefined, as exact optional properties ask for. */
function present<T extends object>(record: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, field]) => field !== undefined)) as never
}

const optional = { ifVersion: fc.option(version, { nil: undefined }) }
const identified = {
  requestId: fc.option(utf8(REQUEST_ID_BYTES_MAX), { nil: undefined }),
  traceparent: fc.option(utf8(128), { nil: undefined }),
}
const perhapsTtl = { ttlMs: fc.option(ttlMs, { nil: undefined }) }
const perhapsType = { contentType: fc.option(contentType, { nil: undefined }) }

export const rowMutations: fc.Arbitrary<RowMutation> = fc.oneof(
  fc
    .record({
      kind: fc.constant('put' as const),
      key,
      value,
      ...optional,
      ...identified,
      ...perhapsTtl,
      ...perhapsType,
    })
    .map((put) => present(put)),
  fc
    .record({ kind: fc.constant('delete' as const), key, ...optional, ...identified })
    .map((remove) => present(remove)),
  fc
    .record({
      kind: fc.constant('increment' as const),
      key,
      delta,
      ...optional,
      ...identified,
      ...perhapsTtl,
    })
    .map((increment) => present(increment)),
)

const operator = fc.constantFrom('equal', 'not-equal', 'greater', 'less')
const compares: fc.Arbitrary<Compare> = fc.oneof(
  fc.record({ key, operator, target: fc.constant('version' as const), version }),
  fc.record({ key, operator, target: fc.constant('value' as const), value }),
)
const changes: fc.Arbitrary<TransactionChange> = fc.oneof(
  fc
    .record({ kind: fc.constant('put' as const), key, value, ...perhapsTtl, ...perhapsType })
    .map((put) => present(put)),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc
    .record({ kind: fc.constant('increment' as const), key, delta, ...perhapsTtl })
    .map((increment) => present(increment)),
)
const branch = fc.uniqueArray(changes, {
  maxLength: 5,
  selector: (change) => Buffer.from(change.key).toString('latin1'),
})

export const transactions: fc.Arbitrary<TransactionMutation> = fc
  .record({
    kind: fc.constant('txn' as const),
    compares: fc.array(compares, { maxLength: 4 }),
    thenChanges: branch,
    elseChanges: branch,
    ...identified,
  })
  .map((transaction) => present(transaction))

export const mutations: fc.Arbitrary<Mutation> = fc.oneof(rowMutations, transactions)

/** Each key at most once. */
export const packs: fc.Arbitrary<RowMutation[]> = fc.uniqueArray(rowMutations, {
  minLength: 1,
  maxLength: 8,
  selector: (mutation) => Buffer.from(mutation.key).toString('latin1'),
})
