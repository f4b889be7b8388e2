import { expect } from 'chai'
import fc from 'fast-check'
import { checkKey, checkMutation, checkRequestId, checkTtl } from './checks.ts'
import { encodeMutation } from './encode.ts'
import { TidemarkError } from './errors.ts'
import { TXN_OPERATIONS_MAX, TTL_MS_MAX, VALUE_BYTES_MAX } from './limits.ts'
import type { Mutation, RowMutation, TransactionChange } from './mutation.ts'
import { mutations } from './testing/arbitraries.ts'
import { CoreDriver } from './testing/core-driver.ts'
import { logged } from './testing/records.ts'

function reasonOf(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (caught) {
    return TidemarkError.from(caught).reason
  }
}
const key = Buffer.from('k')
const put = (more: object = {}): RowMutation => ({ kind: 'put', key, value: Buffer.from('v'), ...more })
const check = (mutation: Mutation, valueBytesMax = 10): string | undefined =>
  reasonOf(() => checkMutation(mutation, valueBytesMax))

describe('checks before the log', () => {
  it('let pass what apply will take', () => {
    fc.assert(fc.property(mutations, (mutation) => check(mutation, VALUE_BYTES_MAX) === undefined))
  })

  const refused: readonly (readonly [RowMutation, string])[] = [
    [put({ key: Buffer.alloc(0) }), 'KEY_EMPTY'],
    [put({ key: Buffer.alloc(4097) }), 'KEY_TOO_LONG'],
    [put({ value: Buffer.alloc(VALUE_BYTES_MAX + 1) }), 'VALUE_TOO_LARGE'],
    [put({ ttlMs: 0 }), 'TTL_INVALID'],
    [put({ ttlMs: TTL_MS_MAX + 1 }), 'TTL_INVALID'],
    [put({ ttlMs: -1 }), 'TTL_INVALID'],
    [put({ requestId: '' }), 'REQUEST_ID_INVALID'],
    [put({ requestId: 'ä'.repeat(33) }), 'REQUEST_ID_INVALID'],
  ]
  for (const [mutation, reason] of refused)
    it(`refuse with ${reason}, as apply does: ${JSON.stringify(mutation).slice(0, 60)}`, () => {
      expect(check(mutation, VALUE_BYTES_MAX)).to.equal(reason)
      const [effects] = new CoreDriver().run([logged(0, 0, encodeMutation(mutation))]).effects
      expect(effects?.outcomes[0]).to.include({ status: 'rejected', reason })
    })

  it('refuse at the limit plus one, not at the limit', () => {
    expect([4095, 4096, 4097].map((length) => reasonOf(() => checkKey(Buffer.alloc(length))))).to.deep.equal([
      undefined,
      undefined,
      'KEY_TOO_LONG',
    ])
    expect([9, 10, 11].map((length) => check(put({ value: Buffer.alloc(length) })))).to.deep.equal([
      undefined,
      undefined,
      'VALUE_TOO_LARGE',
    ])
    expect([63, 64, 65].map((length) => reasonOf(() => checkRequestId('x'.repeat(length))))).to.deep.equal([
      undefined,
      undefined,
      'REQUEST_ID_INVALID',
    ])
    expect([0, 1, TTL_MS_MAX, TTL_MS_MAX + 1, NaN].map((ttl) => reasonOf(() => checkTtl(ttl)))).to.deep.equal(
      ['TTL_INVALID', undefined, undefined, 'TTL_INVALID', 'TTL_INVALID'],
    )
    expect([512, 513].map((length) => check(put({ contentType: 'x'.repeat(length) })))).to.deep.equal([
      undefined,
      'FIELD_INVALID',
    ])
  })

  describe('of a transaction', () => {
    const txn = (parts: Partial<Mutation & { readonly kind: 'txn' }>): Mutation => ({
      kind: 'txn',
      compares: [],
      thenChanges: [],
      elseChanges: [],
      ...parts,
    })
    const change = (name: string, more: object = {}): TransactionChange => ({
      kind: 'put',
      key: Buffer.from(name),
      value: Buffer.from('v'),
      ...more,
    })

    it('look at both branches', () => {
      expect(check(txn({ thenChanges: [change('a'), change('b')], elseChanges: [change('a')] }))).to.equal(
        undefined,
      )
      expect(check(txn({ thenChanges: [change('a'), change('a')] }))).to.equal('DUPLICATE_KEY')
      expect(check(txn({ elseChanges: [change('a'), { kind: 'delete', key: Buffer.from('a') }] }))).to.equal(
        'DUPLICATE_KEY',
      )
      expect(check(txn({ elseChanges: [change('a', { value: Buffer.alloc(11) })] }))).to.equal(
        'VALUE_TOO_LARGE',
      )
      expect(check(txn({ elseChanges: [change('a', { ttlMs: 0 })] }))).to.equal('TTL_INVALID')
      expect(check(txn({ thenChanges: [{ kind: 'increment', key, delta: 2n ** 63n }] }))).to.equal(
        'NUMBER_OVERFLOW',
      )
      expect(check(txn({ requestId: '' }))).to.equal('REQUEST_ID_INVALID')
    })
    it('hold it to its number of operations and to the bytes of one record', () => {
      const many = Array.from({ length: TXN_OPERATIONS_MAX + 1 }, (_, at) => change(String(at)))
      expect(check(txn({ thenChanges: many.slice(1) }))).to.equal(undefined)
      expect(check(txn({ thenChanges: many }))).to.equal('BATCH_TOO_LARGE')
      const half = change('h', { value: Buffer.alloc(VALUE_BYTES_MAX / 2) })
      const other = change('i', { value: Buffer.alloc(VALUE_BYTES_MAX / 2 + 9000) })
      expect(check(txn({ thenChanges: [half, { ...half, key }] }), VALUE_BYTES_MAX)).to.equal(undefined)
      expect(check(txn({ thenChanges: [half], elseChanges: [other] }), VALUE_BYTES_MAX)).to.equal(
        'BATCH_TOO_LARGE',
      )
    })
    it('let every record that passes fit into the log', () => {
      const types = Array.from({ length: TXN_OPERATIONS_MAX }, (_, at) =>
        change(String(at), { contentType: 'x'.repeat(512) }),
      )
      expect(check(txn({ thenChanges: types }), 10)).to.equal('BATCH_TOO_LARGE')
    })
  })
})
