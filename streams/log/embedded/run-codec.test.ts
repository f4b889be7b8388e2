import { expect } from 'chai'
import fc from 'fast-check'
import { ByteWriter, MALFORMED } from '../../core/bytes.ts'
import { logTime, offset, partition, type NewRecord } from '../../core/types.ts'
import { runKey } from './rows.ts'
import { decodeRun, encodeRun } from './run-codec.ts'

const KEY = runKey(7, partition(3), offset(1_000_000))

const encode = (records: readonly NewRecord[], time = 1_700_000_000_000): Uint8Array =>
  Uint8Array.from(encodeRun(new ByteWriter(), KEY, logTime(time), records))

const anyBytes = fc.uint8Array({ maxLength: 40 })
const anyRecord: fc.Arbitrary<NewRecord> = fc.record({
  key: fc.option(anyBytes),
  value: fc.option(anyBytes),
  headers: fc
    .array(fc.tuple(fc.string({ unit: 'grapheme', maxLength: 10 }), anyBytes), { maxLength: 4 })
    .map((headers) => new Map(headers.map(([name, value]) => [name, value]))),
})

describe('run codec', () => {
  it('gives back what was encoded (property)', () => {
    fc.assert(
      fc.property(fc.array(anyRecord, { minLength: 1, maxLength: 20 }), fc.maxSafeNat(), (records, time) => {
        const run = decodeRun(KEY, offset(1_000_000), encode(records, time))
        expect(run.time).to.equal(time)
        expect(run.records.map((record) => record.offset)).to.deep.equal(records.map((_, n) => 1_000_000 + n))
        const plain = (record: NewRecord): unknown => ({
          key: record.key && [...record.key],
          value: record.value && [...record.value],
          headers: [...record.headers].map(([name, value]) => [name, [...value]]),
        })
        expect(run.records.map(plain)).to.deep.equal(records.map(plain))
      }),
    )
  })

  it('has the frozen bytes of format 1', () => {
    const records: NewRecord[] = [
      { key: Buffer.from('k'), value: Buffer.from('v'), headers: new Map([['tm-op', Buffer.from('put')]]) },
      { key: Buffer.from('k'), value: null, headers: new Map() },
      { key: null, value: new Uint8Array(0), headers: new Map() },
    ]
    expect(Buffer.from(KEY).toString('hex')).to.equal('04000000070000000300000000000f4240')
    expect(Buffer.from(encode(records)).toString('hex')).to.equal(
      '5ffddada0000018bcfe5680003026b0276010' + '5746d2d6f7003707574026b0000000100',
    )
  })

  it('refuses each flipped bit, each cut, and the row of another key', () => {
    const bytes = encode([{ key: Buffer.from('key'), value: Buffer.from('value'), headers: new Map() }])
    const refused = (key: Uint8Array, damaged: Uint8Array): void => {
      let thrown: unknown
      try {
        decodeRun(key, offset(1_000_000), damaged)
      } catch (caught) {
        thrown = caught
      }
      expect(thrown).to.equal(MALFORMED)
    }
    for (let bit = 0; bit < bytes.length * 8; bit += 1)
      refused(
        KEY,
        bytes.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)),
      )
    for (let length = 0; length < bytes.length; length += 1) refused(KEY, bytes.subarray(0, length))
    refused(runKey(7, partition(3), offset(1_000_001)), bytes)
    refused(runKey(7, partition(4), offset(1_000_000)), bytes)
  })
})
