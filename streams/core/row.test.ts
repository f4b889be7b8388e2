import { expect } from 'chai'
import fc from 'fast-check'
import { MALFORMED } from './bytes.ts'
import { decodeRow, encodeRow, isLive, toRow, tombstone } from './row.ts'
import type { StoredRow } from './row.ts'
import type { Offset } from './types.ts'

const rows: fc.Arbitrary<StoredRow> = fc.record({
  tombstone: fc.constant('none' as const),
  version: fc.maxSafeNat().map((version) => version as Offset),
  expiresAt: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  contentType: fc.string({ unit: 'binary', maxLength: 20 }),
  value: fc.uint8Array({ maxLength: 40 }).map((list) => Buffer.from(list)),
})
const shown = (row: StoredRow): object => ({ ...row, value: Buffer.from(row.value).toString('hex') })

describe('row', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(rows, (row) => void expect(shown(decodeRow(encodeRow(row)))).to.deep.equal(shown(row))),
    )
    for (const kind of ['deleted', 'expired'] as const) {
      const dead = tombstone(kind, 7 as Offset)
      expect(decodeRow(encodeRow(dead))).to.deep.equal(dead)
    }
  })

  it('has frozen bytes', () => {
    const row = {
      tombstone: 'none',
      version: 258 as Offset,
      expiresAt: 0,
      contentType: '',
      value: Buffer.from('v'),
    } as const
    expect(encodeRow(row).toString('hex')).to.equal('00' + '0000000000000102' + '76')
    expect(encodeRow({ ...row, expiresAt: 3, contentType: 'a/b' }).toString('hex')).to.equal(
      '06' + '0000000000000102' + '0000000000000003' + '0003612f62' + '76',
    )
    expect(encodeRow(tombstone('deleted', 1 as Offset)).toString('hex')).to.equal('01' + '0000000000000001')
    expect(encodeRow(tombstone('expired', 1 as Offset)).toString('hex')).to.equal('09' + '0000000000000001')
  })

  it('refuses bytes that are no row, and never reads past them', () => {
    const whole = encodeRow({
      tombstone: 'none',
      version: 1 as Offset,
      expiresAt: 5,
      contentType: 'a/b',
      value: Buffer.from(''),
    })
    for (let end = 0; end < whole.length; end++)
      expect(() => decodeRow(whole.subarray(0, end)), `${end} bytes`).to.throw(MALFORMED)
    expect(
      () => decodeRow(Buffer.concat([Buffer.from([16]), whole.subarray(1)])),
      'an unknown flag',
    ).to.throw(MALFORMED)
  })

  it('lives until it is due, and a tombstone never', () => {
    const row: StoredRow = {
      tombstone: 'none',
      version: 1 as Offset,
      expiresAt: 100,
      contentType: '',
      value: Buffer.from(''),
    }
    expect([99, 100, 101].map((time) => isLive(row, time))).to.deep.equal([true, false, false])
    expect(isLive({ ...row, expiresAt: 0 }, Number.MAX_SAFE_INTEGER)).to.equal(true)
    expect(isLive(tombstone('deleted', 1 as Offset), 0)).to.equal(false)
    expect(isLive(undefined, 0)).to.equal(false)
    const key = Buffer.from('k')
    expect(toRow(key, row)).to.deep.equal({
      key,
      value: row.value,
      version: 1,
      expiresAt: 100,
      contentType: '',
    })
  })
})
