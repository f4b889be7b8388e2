import { expect } from 'chai'
import { MALFORMED } from './bytes.ts'
import type { RecordEffects } from './effects.ts'
import { HistoryWriter, readPiece, recordAt } from './history.ts'
import { encodeRow, tombstone } from './row.ts'
import type { StoredRow } from './row.ts'
import type { LogTime, Offset } from './types.ts'

const row = (version: number, value: string): StoredRow => ({
  tombstone: 'none',
  version: version as Offset,
  expiresAt: 0,
  contentType: '',
  value: Buffer.from(value),
})
const effects = (offset: number, more: Partial<RecordEffects> = {}): RecordEffects => ({
  offset: offset as Offset,
  time: (1000 + offset) as LogTime,
  outcomes: [{ status: 'applied', offset: offset as Offset, version: offset as Offset, duplicate: false }],
  changes: [
    {
      kind: 'put',
      key: Buffer.from('k'),
      row: row(offset, 'v'),
      encoded: encodeRow(row(offset, 'v')),
      previous: undefined,
      traceparent: undefined,
    },
  ],
  duplicateOf: undefined,
  ...more,
})
const silent = (offset: number): RecordEffects => effects(offset, { outcomes: [], changes: [] })

const samples: readonly RecordEffects[] = [
  effects(0),
  effects(3, {
    changes: [
      {
        kind: 'expired',
        key: Buffer.from('a'),
        row: tombstone('expired', 3 as Offset),
        encoded: encodeRow(tombstone('expired', 3 as Offset)),
        previous: row(1, 'old'),
        traceparent: undefined,
      },
      {
        kind: 'put',
        key: Buffer.from('a'),
        row: row(3, ''),
        encoded: encodeRow(row(3, '')),
        previous: tombstone('expired', 3 as Offset),
        traceparent: '00-1',
      },
    ],
  }),
  effects(4, {
    outcomes: [{ status: 'applied', offset: 0 as Offset, duplicate: true }],
    changes: [],
    duplicateOf: 0 as Offset,
  }),
  effects(9, {
    outcomes: [{ status: 'rejected', offset: 9 as Offset, reason: 'KEY_EMPTY', duplicate: false }],
    changes: [],
  }),
]

function write(list: readonly RecordEffects[], bytes: number): ReturnType<HistoryWriter['finish']> {
  const writer = new HistoryWriter(bytes)
  for (const one of list) writer.add(one)
  return writer.finish()
}

describe('history', () => {
  it('reads the records that it wrote', () => {
    const [piece, ...others] = write(samples, 10_000)
    expect(others).to.deep.equal([])
    expect([piece?.first, piece?.last]).to.deep.equal([0, 9])
    const read = readPiece(piece?.value ?? Buffer.alloc(0))
    expect(
      read.map((one) => ({
        ...one,
        changes: one.changes.map(({ key, encoded }) => [String(key), Buffer.from(encoded).toString('hex')]),
      })),
    ).to.deep.equal(
      samples.map((one) => ({
        ...one,
        changes: one.changes.map(({ key, encoded }) => [String(key), Buffer.from(encoded).toString('hex')]),
      })),
    )
    expect(
      read[1]?.changes.map(({ kind, previous, traceparent }) => [
        kind,
        previous?.tombstone,
        previous?.version,
        traceparent,
      ]),
    ).to.deep.equal([
      ['expired', 'none', 1, undefined],
      ['put', 'expired', 3, '00-1'],
    ])
    expect(read[2]?.duplicateOf).to.equal(0)
  })

  it('cuts pieces at their size and leaves out records without effects', () => {
    const list = Array.from({ length: 40 }, (_, at) => (at % 4 === 1 ? silent(at) : effects(at)))
    const pieces = write(list, 100)
    expect(pieces.length).to.be.greaterThan(5)
    const read = pieces.flatMap((piece) => {
      const records = readPiece(piece.value)
      expect([piece.first, piece.last]).to.deep.equal([records[0]?.offset, records.at(-1)?.offset])
      return records.map(({ offset }) => offset)
    })
    expect(read).to.deep.equal(list.filter(({ outcomes }) => outcomes.length > 0).map(({ offset }) => offset))
  })

  it('gives nothing for nothing, and starts anew', () => {
    const writer = new HistoryWriter(100)
    writer.add(silent(1))
    expect(writer.finish()).to.deep.equal([])
    writer.add(effects(2))
    expect(writer.finish()).to.have.length(1)
    expect(writer.finish()).to.deep.equal([])
  })

  it('finds the record at an offset', () => {
    expect(recordAt(samples, 3 as Offset)?.offset).to.equal(3)
    for (const at of [1, 2, 5, 10]) expect(recordAt(samples, at as Offset)).to.equal(undefined)
    expect(recordAt([], 0 as Offset)).to.equal(undefined)
  })

  it('refuses a piece that is cut or no piece', () => {
    const value = write(samples, 10_000)[0]?.value ?? Buffer.alloc(0)
    const ends = new Set(samples.map((_, at) => write(samples.slice(0, at + 1), 10_000)[0]?.value.length))
    for (let end = 1; end < value.length; end++)
      if (!ends.has(end)) expect(() => readPiece(value.subarray(0, end)), `${end} bytes`).to.throw(MALFORMED)
    expect(() => readPiece(Buffer.from('0001000001ff', 'hex'))).to.throw(MALFORMED)
  })
})
