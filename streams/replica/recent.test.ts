import { expect } from 'chai'
import type { RecordEffects } from '../core/effects.ts'
import { encodeRow } from '../core/row.ts'
import type { StoredRow } from '../core/row.ts'
import type { LogTime, Offset } from '../core/types.ts'
import { REPLICA_BOUNDS } from './bounds.ts'
import { RecentEffects } from './recent.ts'

const effects = (offset: number, valueBytes = 1, changes = 1): RecordEffects => {
  const row: StoredRow = {
    tombstone: 'none',
    version: offset as Offset,
    expiresAt: 0,
    contentType: '',
    value: Buffer.alloc(valueBytes),
  }
  const change = {
    kind: 'put',
    key: Buffer.from('k'),
    row,
    encoded: encodeRow(row),
    previous: undefined,
    traceparent: undefined,
  } as const
  return {
    offset: offset as Offset,
    time: 0 as LogTime,
    outcomes: [],
    changes: Array.from({ length: changes }, () => change),
    duplicateOf: undefined,
  }
}
const from = (recent: RecentEffects, offset: number): number[] =>
  [...recent.since(offset as Offset)].map((record) => record.offset)

describe('recent effects', () => {
  it('give the records with changes from a place on', () => {
    const recent = new RecentEffects(10 as Offset)
    recent.add([effects(10), effects(11, 1, 0), effects(12)])
    recent.add([effects(15)])
    expect(recent.start).to.equal(10)
    expect([10, 11, 12, 13, 15, 16].map((offset) => from(recent, offset))).to.deep.equal([
      [10, 12, 15],
      [12, 15],
      [12, 15],
      [15],
      [15],
      [],
    ])
  })

  it('keep so many records, and say from where on they are whole', () => {
    const recent = new RecentEffects(0 as Offset, { ...REPLICA_BOUNDS, recentRecords: 3 })
    for (let offset = 0; offset < 5000; offset++) {
      recent.add([effects(offset)])
      expect(recent.start).to.equal(Math.max(0, offset - 2))
      expect(from(recent, recent.start)).to.deep.equal(
        [offset - 2, offset - 1, offset].filter((kept) => kept >= 0),
      )
    }
  })

  it('keep so many bytes, and not even one record that is over them', () => {
    const recent = new RecentEffects(0 as Offset, { ...REPLICA_BOUNDS, recentBytes: 10_000 })
    recent.add([effects(0, 3000), effects(1, 3000)])
    expect(recent.start).to.equal(0)
    recent.add([effects(2, 3000)])
    expect([recent.start, from(recent, 1)]).to.deep.equal([1, [1, 2]])
    recent.add([effects(3, 20_000)])
    expect([recent.start, from(recent, 4)]).to.deep.equal([4, []])
    recent.add([effects(4)])
    expect([recent.start, from(recent, 4)]).to.deep.equal([4, [4]])
  })
})
