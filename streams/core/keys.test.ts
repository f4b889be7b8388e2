import { expect } from 'chai'
import fc from 'fast-check'
import { compareBytes } from './bytes.ts'
import {
  arrivalKey,
  arrivalSpan,
  chunkKey,
  dueSpan,
  effectsKey,
  effectsSpan,
  expiryKey,
  keyOfRow,
  metaKey,
  readArrival,
  readEffectsKey,
  readNumbered,
  replicaPrefix,
  replicaSpan,
  rowKey,
  rowSpan,
  sessionKey,
  tombstoneKey,
  tombstoneSpan,
} from './keys.ts'
import type { KeySpan } from './keys.ts'
import type { Offset } from './types.ts'

const prefix = replicaPrefix(7)
const bytes = fc.uint8Array({ minLength: 1, maxLength: 6 }).map((list) => Buffer.from(list))
const number = fc.oneof(fc.nat(300), fc.maxSafeNat())
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 5 })
const sign = (left: Uint8Array, right: Uint8Array): number => Math.sign(compareBytes(left, right))
const inside = (stored: Uint8Array, span: KeySpan): boolean =>
  compareBytes(stored, span.gte) >= 0 && compareBytes(stored, span.lt) < 0

/** A stored key of any table. */
const stored: fc.Arbitrary<readonly [table: string, stored: Buffer]> = fc.oneof(
  bytes.map((key) => ['row', rowKey(prefix, key)] as const),
  fc.tuple(number, bytes).map(([at, key]) => ['expiry', expiryKey(prefix, at, key)] as const),
  fc.tuple(number, bytes).map(([at, key]) => ['tombstone', tombstoneKey(prefix, at as Offset, key)] as const),
  fc
    .tuple(number, number)
    .map(([a, b]) => ['effects', effectsKey(prefix, a as Offset, b as Offset, 5)] as const),
  text.map((id) => ['session', sessionKey(prefix, id)] as const),
  fc.tuple(text, fc.nat(2 ** 32 - 1)).map(([id, chunk]) => ['chunk', chunkKey(prefix, id, chunk)] as const),
  number.map((at) => ['arrival', arrivalKey(prefix, at)] as const),
  fc.constant(['meta', metaKey(prefix)] as const),
)

describe('keys', () => {
  it('sort rows as their keys', () => {
    fc.assert(
      fc.property(
        bytes,
        bytes,
        (a, b) => void expect(sign(rowKey(prefix, a), rowKey(prefix, b))).to.equal(sign(a, b)),
      ),
    )
    expect(Buffer.from(keyOfRow(rowKey(prefix, Buffer.from('k')))).toString()).to.equal('k')
  })

  it('sort what is numbered by number, then key', () => {
    fc.assert(
      fc.property(number, bytes, number, bytes, (a, x, b, y) => {
        const order = Math.sign(a - b) || sign(x, y)
        expect(sign(expiryKey(prefix, a, x), expiryKey(prefix, b, y))).to.equal(order)
        expect(sign(tombstoneKey(prefix, a as Offset, x), tombstoneKey(prefix, b as Offset, y))).to.equal(
          order,
        )
        expect(sign(arrivalKey(prefix, a), arrivalKey(prefix, b))).to.equal(Math.sign(a - b))
      }),
    )
  })

  it('are read back', () => {
    fc.assert(
      fc.property(number, number, bytes, fc.nat(2 ** 32 - 1), (a, b, key, size) => {
        const { number: at, key: found } = readNumbered(expiryKey(prefix, a, key))
        expect([at, Buffer.from(found).toString('hex')]).to.deep.equal([a, key.toString('hex')])
        expect(readArrival(arrivalKey(prefix, a))).to.equal(a)
        expect(readEffectsKey(effectsKey(prefix, a as Offset, b as Offset, size))).to.deep.equal({
          first: a,
          last: b,
          bytes: size,
        })
      }),
    )
  })

  it('cut ranges where they say', () => {
    fc.assert(
      fc.property(number, number, bytes, (at, bound, key) => {
        fc.pre(bound < Number.MAX_SAFE_INTEGER)
        expect(inside(expiryKey(prefix, at, key), dueSpan(prefix, bound)), 'due at or before').to.equal(
          at <= bound,
        )
        expect(
          inside(tombstoneKey(prefix, at as Offset, key), tombstoneSpan(prefix, bound)),
          'before',
        ).to.equal(at < bound)
        expect(inside(arrivalKey(prefix, at), arrivalSpan(prefix, bound)), 'at or before').to.equal(
          at <= bound,
        )
        const piece = effectsKey(prefix, 0 as Offset, at as Offset, 1)
        expect(inside(piece, effectsSpan(prefix, bound)), 'reaches it').to.equal(at >= bound)
      }),
    )
    fc.assert(
      fc.property(bytes, bytes, fc.option(bytes, { nil: undefined }), (key, start, end) => {
        const wanted = compareBytes(key, start) >= 0 && (end === undefined || compareBytes(key, end) < 0)
        expect(inside(rowKey(prefix, key), rowSpan(prefix, start, end))).to.equal(wanted)
      }),
    )
  })

  it('of different things are different, and no range of one table holds another table', () => {
    fc.assert(
      fc.property(stored, stored, number, ([leftTable, left], [rightTable, right], bound) => {
        const same = left.equals(right)
        if (leftTable !== rightTable) expect(same, `${leftTable} and ${rightTable}`).to.equal(false)
        const spans = {
          row: rowSpan(prefix, Buffer.alloc(0), undefined),
          expiry: dueSpan(prefix, bound),
          tombstone: tombstoneSpan(prefix, bound),
          effects: effectsSpan(prefix, 0),
          arrival: arrivalSpan(prefix, bound),
        }
        for (const [table, span] of Object.entries(spans))
          if (inside(left, span)) expect(leftTable).to.equal(table)
        expect(inside(left, replicaSpan(prefix))).to.equal(true)
        for (const other of [6, 8, 0, 2 ** 32 - 1])
          expect(inside(left, replicaSpan(replicaPrefix(other)))).to.equal(false)
      }),
      { numRuns: 2000 },
    )
  })

  it('keep sessions apart, whatever their ids are', () => {
    const id = fc.oneof(text, fc.stringMatching(/^[ab\0\x04]{1,6}$/))
    fc.assert(
      fc.property(id, fc.nat(9), id, fc.nat(9), (left, leftChunk, right, rightChunk) => {
        fc.pre(left !== right)
        const ofLeft = [sessionKey(prefix, left), chunkKey(prefix, left, leftChunk)]
        const ofRight = [sessionKey(prefix, right), chunkKey(prefix, right, rightChunk)]
        for (const one of ofLeft) for (const other of ofRight) expect(one.equals(other)).to.equal(false)
      }),
      { numRuns: 1000 },
    )
  })

  it('start the numbers of chunks anew after 2^32: a session outlives them', () => {
    expect(chunkKey(prefix, 's', 2 ** 32 + 5).equals(chunkKey(prefix, 's', 5))).to.equal(true)
  })
})
