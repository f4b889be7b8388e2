import { expect } from 'chai'
import fc from 'fast-check'
import { compareBytes } from '../../streams/core/bytes.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import type { KeyRange } from '../../streams/face.ts'
import { intersection, rangeOf, rangeOfKey, rangeOfPrefix } from './range.ts'

const bytes = fc
  .array(fc.constantFrom(0, 1, 0x61, 0xfe, 0xff), { maxLength: 4 })
  .map((numbers) => Buffer.from(numbers))
const key = bytes.filter(({ length }) => length > 0)

const holds = ({ start, end }: KeyRange, row: Buffer): boolean =>
  compareBytes(row, start) >= 0 && (end === undefined || compareBytes(row, end) < 0)

describe('ranges of keys', () => {
  it('of a prefix hold the keys that begin with it', () => {
    fc.assert(
      fc.property(bytes, key, (prefix, row) => {
        expect(holds(rangeOfPrefix(prefix), row)).to.equal(row.subarray(0, prefix.length).equals(prefix))
      }),
    )
  })

  it('of a key hold it alone', () => {
    fc.assert(
      fc.property(key, key, (one, row) => {
        expect(holds(rangeOfKey(one), row)).to.equal(one.equals(row))
      }),
    )
  })

  it('meet where both hold', () => {
    fc.assert(
      fc.property(bytes, bytes, bytes, key, (prefix, start, end, row) => {
        fc.pre(end.length === 0 || compareBytes(start, end) <= 0)
        const left = rangeOfPrefix(prefix)
        const right = rangeOf(start, end)
        expect(holds(intersection(left, right), row)).to.equal(holds(left, row) && holds(right, row))
      }),
    )
  })

  it('may be empty, but not end before they begin', () => {
    expect(rangeOf(Buffer.from('b'), Buffer.from('b'))).to.deep.equal({
      start: Buffer.from('b'),
      end: Buffer.from('b'),
    })
    expect(() => rangeOf(Buffer.from('b'), Buffer.from('a')))
      .to.throw(TidemarkError, 'the range ends before it begins')
      .with.property('reason', 'FIELD_INVALID')
  })
})
