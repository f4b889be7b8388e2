import { expect } from 'chai'
import fc from 'fast-check'
import { Format, Lead, Mark } from '../../proto/generated/tidemark/v1/record.ts'
import {
  readFormat,
  readFormatVersion,
  readLead,
  readMark,
  writeFormat,
  writeLead,
  writeMark,
} from './control-messages.ts'
import type { Offset } from './types.ts'
import { TAMPERED, hex, refused } from './testing/tampered.ts'

describe('control messages', () => {
  describe('format', () => {
    const formats = fc.record({
      version: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      separator: fc.uint8Array({ maxLength: 16 }).map((list) => Buffer.from(list)),
      valueBytesMax: fc.maxSafeNat(),
      packingDisabled: fc.boolean(),
      defaultTtlMs: fc.maxSafeNat(),
      replication: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    })
    it('is written as generated code writes it, and read back', () => {
      fc.assert(
        fc.property(formats, (format) => {
          const value = writeFormat(format)
          const { separator: partitionByPrefix, ...rest } = format
          expect(value.toString('hex')).to.equal(
            Buffer.from(Format.encode({ ...rest, partitionByPrefix }).finish()).toString('hex'),
          )
          const read = readFormat(value)
          expect({ ...read, separator: Buffer.from(read.separator) }).to.deep.equal(format)
          expect(readFormatVersion(value)).to.equal(format.version)
        }),
      )
    })
    it('has its defaults where nothing is said', () => {
      const least = writeFormat({ version: 1 })
      expect(least.toString('hex')).to.equal('0801')
      const { separator, ...rest } = readFormat(least)
      expect(separator).to.have.length(0)
      expect(rest).to.deep.equal({
        version: 1,
        valueBytesMax: 0,
        packingDisabled: false,
        defaultTtlMs: 0,
        replication: 0,
      })
    })
    it('tells its version whatever the rest is', () => {
      expect(readFormatVersion(hex('08 02 ff ff ff'))).to.equal(2)
      refused(() => readFormatVersion(hex('')), 'nothing')
      refused(() => readFormatVersion(hex('12 01 2f 08 02')), 'the version is not first')
      refused(() => readFormatVersion(hex('08 80')), 'cut')
    })
    const format = writeFormat({
      version: 1,
      separator: Buffer.from('/'),
      valueBytesMax: 5,
      packingDisabled: true,
      defaultTtlMs: 9,
      replication: 2,
    })
    for (const [name, tamper] of Object.entries(TAMPERED))
      it(`is refused with ${name}`, () => refused(() => readFormat(tamper(format)), name))
    it('is refused with a truth value that is neither 0 nor 1', () => {
      refused(() => readFormat(hex('08 01 20 02')), 'two')
      expect(readFormat(hex('08 01 20 00')).packingDisabled).to.equal(false)
    })
  })

  describe('lead', () => {
    it('is written as generated code writes it, and read back', () => {
      const text = fc.string({ unit: 'binary', maxLength: 40 })
      fc.assert(
        fc.property(text, text, (nodeId, incarnation) => {
          const value = writeLead(nodeId, incarnation)
          expect(value.toString('hex')).to.equal(
            Buffer.from(Lead.encode({ nodeId, incarnation }).finish()).toString('hex'),
          )
          expect(readLead(value)).to.deep.equal({ nodeId, incarnation })
        }),
      )
    })
    const lead = writeLead('n', 'i')
    for (const [name, tamper] of Object.entries(TAMPERED))
      it(`is refused with ${name}`, () => refused(() => readLead(tamper(lead)), name))
    it('is refused with text that is no UTF-8 or over 256 characters', () => {
      refused(() => readLead(hex('0a 01 ff')), 'no UTF-8')
      refused(() => readLead(writeLead('n'.repeat(257), '')), 'too long')
      expect(readLead(writeLead('n'.repeat(256), '')).nodeId).to.have.length(256)
    })
  })

  describe('mark', () => {
    const chain = Buffer.alloc(32, 7)
    it('is written as generated code writes it, and read back', () => {
      for (const at of [1024, 2048, 1024 * 2 ** 40] as Offset[]) {
        const value = writeMark({ at, chain })
        expect(value.equals(Buffer.from(Mark.encode({ at, chain }).finish()))).to.equal(true)
        const read = readMark(value)
        expect({ at: read.at, chain: Buffer.from(read.chain) }).to.deep.equal({ at, chain })
      }
    })
    it('names a checkpoint and a whole chain', () => {
      const mark = (at: number, bytes: number): Buffer =>
        Buffer.from(Mark.encode({ at, chain: Buffer.alloc(bytes, 1) }).finish())
      refused(() => readMark(mark(0, 32)), 'no offset')
      refused(() => readMark(mark(1000, 32)), 'no checkpoint')
      refused(() => readMark(mark(1024, 31)), 'a short chain')
      refused(() => readMark(mark(1024, 33)), 'a long chain')
      refused(() => readMark(mark(1024, 0)), 'no chain')
      refused(() => readMark(Buffer.concat([mark(1024, 32), Buffer.from([0])])), 'something behind it')
      refused(() => readMark(Buffer.alloc(0)), 'nothing')
    })
  })
})
