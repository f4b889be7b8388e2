import { expect } from 'chai'
import fc from 'fast-check'
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import {
  ByteReader,
  ByteWriter,
  MALFORMED,
  compareBytes,
  keyOfRange,
  prefixEnd,
  readUint64,
  writeUint64,
} from './bytes.ts'

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex')
const written = (write: (writer: ByteWriter) => void): string => {
  const writer = new ByteWriter(1)
  write(writer)
  return writer.bytes().toString('hex')
}
const readAll = <T>(bytes: string, read: (reader: ByteReader) => T): T => {
  const reader = new ByteReader(hex(bytes))
  const value = read(reader)
  expect(reader.done, `something is left of ${bytes}`).to.equal(true)
  return value
}
const refused = (bytes: string, read: (reader: ByteReader) => unknown): void => {
  let caught: unknown
  try {
    read(new ByteReader(hex(bytes)))
  } catch (error) {
    caught = error
  }
  expect(caught, bytes).to.equal(MALFORMED)
}
const safe = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(1000),
  fc.integer({ min: 0, max: 52 }).map((bits) => 2 ** bits),
)

describe('bytes', () => {
  describe('varint', () => {
    const spellings = [
      [0, '00'],
      [1, '01'],
      [127, '7f'],
      [128, '8001'],
      [16_383, 'ff7f'],
      [16_384, '808001'],
      [2 ** 31 - 1, 'ffffffff07'],
      [2 ** 31, '8080808008'],
      [2 ** 32 - 1, 'ffffffff0f'],
      [2 ** 32, '8080808010'],
      [2 ** 49 - 1, 'ffffffffffff7f'],
      [2 ** 49, '8080808080808001'],
      [Number.MAX_SAFE_INTEGER, 'ffffffffffffff0f'],
    ] as const
    for (const [value, spelling] of spellings)
      it(`${value} is ${spelling}`, () => {
        expect(written((writer) => writer.varint(value))).to.equal(spelling)
        expect(readAll(spelling, (reader) => reader.varint())).to.equal(value)
      })

    const wrong = {
      'nothing at all': '',
      'ends in the middle': '80',
      'padded zero': '8000',
      'padded one': '8100',
      'padded 128': '808100',
      'over 2^53': '8080808080808010',
      'nine bytes': '808080808080808001',
      'ten bytes, as a negative number has': 'ffffffffffffffffff01',
    }
    for (const [name, spelling] of Object.entries(wrong))
      it(`refuses: ${name}`, () => refused(spelling, (reader) => reader.varint()))

    it('of 64 bits is read where the number stands for itself, as Infinity from 2^53 on', () => {
      fc.assert(
        fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(63), (number, shift) => {
          const value = number >> BigInt(shift)
          const reader = new ByteReader(Buffer.from(new BinaryWriter().uint64(value).finish()))
          expect(reader.varint64()).to.equal(value < 2n ** 53n ? Number(value) : Infinity)
          expect(reader.done).to.equal(true)
        }),
      )
      for (const spelling of ['', '80', '8000', '80808080808080808002', '8080808080808080808001'])
        refused(spelling, (reader) => reader.varint64())
    })

    it('is spelled as protobuf spells it', () => {
      fc.assert(
        fc.property(safe, (value) => {
          const spelling = Buffer.from(new BinaryWriter().uint64(value).finish())
          expect(written((writer) => writer.varint(value))).to.equal(spelling.toString('hex'))
          expect(new ByteReader(spelling).varint()).to.equal(value)
          expect(Number(new BinaryReader(spelling).uint64())).to.equal(value)
        }),
      )
    })
  })

  it('keeps sizes, text and fixed numbers', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.string({ unit: 'binary' }),
        safe,
        fc.nat(2 ** 32 - 1),
        (raw, text, large, small) => {
          const writer = new ByteWriter(1)
          writer.sized(raw)
          writer.text(text)
          writer.uint64(large)
          writer.uint32le(small)
          writer.byte(7)
          const reader = new ByteReader(writer.bytes())
          expect(Buffer.from(reader.sized()).equals(raw)).to.equal(true)
          expect(reader.text()).to.equal(text)
          expect(reader.uint64()).to.equal(large)
          expect(reader.uint32le()).to.equal(small)
          expect(reader.byte()).to.equal(7)
          expect(reader.done).to.equal(true)
        },
      ),
    )
  })

  it('refuses what is cut off', () => {
    refused('03 61 62', (reader) => reader.sized())
    refused('03 61 62', (reader) => reader.text())
    refused('00 00 00', (reader) => reader.uint32le())
    refused('00 00 00 00 00 00 00', (reader) => reader.uint64())
    refused('', (reader) => reader.byte())
    refused('ff ff ff ff ff ff ff 0f 61', (reader) => reader.sized())
  })

  it('stays inside its window', () => {
    const bytes = hex('01 02 03 04 05 06 07 08 09 0a')
    expect(() => new ByteReader(bytes, 2, 9).uint64()).to.throw(MALFORMED)
    expect(() => new ByteReader(bytes, 2, 4).raw(3)).to.throw(MALFORMED)
    expect(Buffer.from(new ByteReader(bytes, 2, 4).raw(2)).toString('hex')).to.equal('0304')
  })

  it('refuses a 64-bit number that is no safe integer', () => {
    expect(() => readUint64(hex('00 20 00 00 00 00 00 00'), 0)).to.throw(MALFORMED)
    expect(readUint64(hex('00 1f ff ff ff ff ff ff'), 0)).to.equal(Number.MAX_SAFE_INTEGER)
  })

  it('writes 64-bit numbers that sort as numbers', () => {
    const spelled = (value: number): Buffer => {
      const target = Buffer.alloc(8)
      writeUint64(target, 0, value)
      return target
    }
    fc.assert(
      fc.property(safe, safe, (left, right) => {
        expect(spelled(left).readBigUInt64BE(0)).to.equal(BigInt(left))
        expect(Math.sign(compareBytes(spelled(left), spelled(right)))).to.equal(Math.sign(left - right))
      }),
    )
  })

  it('starts anew with fresh memory: what was given away is not written over', () => {
    const writer = new ByteWriter(4)
    writer.text('first')
    const first = writer.bytes()
    writer.text('other')
    expect(first.toString('latin1')).to.equal('\x05first')
    expect(writer.length).to.equal(6)
    writer.reset()
    expect(writer.length).to.equal(0)
  })

  it('finds the end of a prefix', () => {
    const end = (prefix: string): string | undefined => {
      const found = prefixEnd(hex(prefix))
      return found === undefined ? undefined : Buffer.from(found).toString('hex')
    }
    expect(end('61')).to.equal('62')
    expect(end('61ff')).to.equal('62')
    expect(end('ff61')).to.equal('ff62')
    expect(end('ffff')).to.equal(undefined)
    expect(end('')).to.equal(undefined)
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 4 }),
        fc.uint8Array({ maxLength: 4 }),
        fc.uint8Array({ maxLength: 6 }),
        (prefix, rest, other) => {
          const past = prefixEnd(prefix)
          if (past === undefined) return
          expect(compareBytes(Buffer.concat([prefix, rest]), past)).to.be.lessThan(0)
          const inside = compareBytes(other, prefix) >= 0 && compareBytes(other, past) < 0
          expect(inside).to.equal(Buffer.from(other).subarray(0, prefix.length).equals(prefix))
        },
      ),
    )
  })
})

describe('the key of a range', () => {
  const range = (start: string, end: string | undefined) => ({
    start: Buffer.from(start),
    end: end === undefined ? undefined : Buffer.from(end),
  })
  it('is its start where the range holds nothing else, and none otherwise', () => {
    expect(keyOfRange(range('a', 'a\0'))?.toString()).to.equal('a')
    for (const [start, end] of [
      ['', '\0'],
      ['a', undefined],
      ['a', 'b'],
      ['a', 'b\0'],
      ['a', 'a\0\0'],
      ['a', 'a1'],
    ] as const)
      expect(keyOfRange(range(start, end)), `${start} to ${end}`).to.equal(undefined)
  })
})
