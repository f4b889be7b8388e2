import { expect } from 'chai'
import fc from 'fast-check'
import { ByteReader, ByteWriter, MALFORMED } from './bytes.ts'
import { CATALOGUE } from './errors.ts'
import { REJECTIONS } from './mutation.ts'
import type { Outcome, Rejection } from './mutation.ts'
import { readOutcome, writeOutcome } from './outcome-codec.ts'
import type { Offset } from './types.ts'

const written = (outcome: Outcome): Buffer => {
  const writer = new ByteWriter()
  writeOutcome(writer, outcome)
  return writer.bytes()
}
const offset = fc.oneof(fc.nat(9), fc.maxSafeNat()).map((number) => number as Offset)
const perhaps = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
const outcomes: fc.Arbitrary<Outcome> = fc
  .oneof(
    fc.record({
      status: fc.constant('applied' as const),
      offset,
      version: perhaps(offset),
      number: perhaps(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      succeeded: perhaps(fc.boolean()),
      duplicate: fc.boolean(),
    }),
    fc.record({
      status: fc.constant('rejected' as const),
      offset,
      reason: fc.constantFrom(...(Object.keys(REJECTIONS) as Rejection[])),
      version: perhaps(offset),
      duplicate: fc.boolean(),
    }),
  )
  .map(
    (outcome) =>
      Object.fromEntries(Object.entries(outcome).filter(([, value]) => value !== undefined)) as Outcome,
  )

describe('outcome codec', () => {
  it('reads what it wrote, one after the other', () => {
    fc.assert(
      fc.property(fc.array(outcomes, { maxLength: 5 }), (list) => {
        const reader = new ByteReader(Buffer.concat(list.map(written)))
        expect(list.map(() => readOutcome(reader))).to.deep.equal(list)
        expect(reader.done).to.equal(true)
      }),
    )
  })

  it('has frozen bytes', () => {
    const hex = (outcome: Outcome): string => written(outcome).toString('hex')
    const at = 300 as Offset
    expect(hex({ status: 'applied', offset: at, version: at, duplicate: false })).to.equal('0020ac02')
    expect(hex({ status: 'applied', offset: at, version: 5 as Offset, duplicate: true })).to.equal(
      '0003ac0205',
    )
    expect(hex({ status: 'applied', offset: at, version: at, number: -12n, duplicate: false })).to.equal(
      '0024ac02032d3132',
    )
    expect(hex({ status: 'applied', offset: at, succeeded: true, duplicate: false })).to.equal('0018ac02')
    expect(hex({ status: 'applied', offset: at, succeeded: false, duplicate: false })).to.equal('0008ac02')
    expect(
      hex({
        status: 'rejected',
        offset: at,
        reason: 'VERSION_MISMATCH',
        version: 5 as Offset,
        duplicate: false,
      }),
    ).to.equal('0a02ac0205')
  })

  it('has frozen numbers of rejections, each with a row in the catalogue', () => {
    expect(REJECTIONS).to.deep.equal({
      RECORD_MALFORMED: 1,
      UNKNOWN_OPERATION: 2,
      MISPLACED_KEY: 3,
      KEY_EMPTY: 4,
      KEY_TOO_LONG: 5,
      VALUE_TOO_LARGE: 6,
      TTL_INVALID: 7,
      REQUEST_ID_INVALID: 8,
      REQUEST_ID_FORGOTTEN: 9,
      VERSION_MISMATCH: 10,
      NOT_A_NUMBER: 11,
      NUMBER_OVERFLOW: 12,
      DUPLICATE_KEY: 13,
      STALE_EPOCH: 14,
      SETTING_FIXED: 15,
    })
    for (const reason of Object.keys(REJECTIONS)) expect(CATALOGUE).to.have.property(reason)
  })

  it('refuses an unknown reason and what is cut off', () => {
    expect(() => readOutcome(new ByteReader(Buffer.from('6300ac02', 'hex')))).to.throw(MALFORMED)
    const whole = written({
      status: 'applied',
      offset: 300 as Offset,
      version: 5 as Offset,
      number: 7n,
      duplicate: false,
    })
    for (let end = 0; end < whole.length; end++)
      expect(() => readOutcome(new ByteReader(whole.subarray(0, end))), `${end} bytes`).to.throw(MALFORMED)
  })
})
