import { crc32c } from '@node-rs/crc32'
import { expect } from 'chai'
import fc from 'fast-check'
import { BATCH_BYTES_MAX } from '../../core/limits.ts'
import type { LogRecord, NewRecord } from '../../core/types.ts'
import { encodeRecordBatch, walkBatches } from './record-batch.ts'
import { RunReader } from './record-reader.ts'
import { writeInt64 } from './wire.ts'

const PRODUCER = { id: 4_294_967_297, epoch: 3 }

const bytes = (maxLength: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength })
const record: fc.Arbitrary<NewRecord> = fc.record({
  key: fc.option(bytes(300)),
  value: fc.option(bytes(300)),
  headers: fc
    .array(fc.tuple(fc.string({ maxLength: 10, unit: 'grapheme' }), bytes(20)), { maxLength: 3 })
    .map((pairs) => new Map(pairs)),
})

/** As the broker keeps it: with an offset, and with the seal that belongs to what stands there. */
function stored(batch: Buffer, baseOffset: number): Buffer {
  const copy = Buffer.from(batch)
  writeInt64(copy, baseOffset, 0)
  return sealed(copy)
}

function sealed(batch: Buffer): Buffer {
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

function readAll(run: Buffer, from: number, step = 3): { records: LogRecord[]; nextOffset: number } {
  const reader = new RunReader(run, from, [])
  const records: LogRecord[] = []
  for (let pieces = 0; !reader.done; pieces++) {
    if (pieces > 100_000) throw new Error('the reader does not end')
    const piece: LogRecord[] = []
    reader.take(piece, step, 1 << 20)
    expect(piece.length).to.be.at.most(step)
    records.push(...piece)
  }
  return { records, nextOffset: reader.nextOffset }
}

const plain = (one: NewRecord): unknown => ({
  key: one.key && [...one.key],
  value: one.value && [...one.value],
  headers: [...one.headers].map(([name, value]) => [name, [...value]]),
})

describe('record batches', () => {
  it('come back as they were encoded, in pieces of any size', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(record, { minLength: 1, maxLength: 8 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 9 }),
        (batches, step) => {
          let base = 1000
          const runs = batches.map((records) => {
            const batch = stored(encodeRecordBatch(records, PRODUCER, 0, 5), base)
            base += records.length
            return batch
          })
          const run = Buffer.concat(runs)
          expect(walkBatches(run, 1000)).to.deep.include({
            bytes: run.length,
            nextOffset: base,
            fault: undefined,
          })
          const read = readAll(run, 1000, step)
          expect(read.nextOffset).to.equal(base)
          expect(read.records.map(plain)).to.deep.equal(batches.flat().map(plain))
          expect(read.records.map((one) => one.offset)).to.deep.equal(batches.flat().map((_, n) => 1000 + n))
        },
      ),
      { numRuns: 200 },
    )
  })

  const three = (): Buffer =>
    stored(
      encodeRecordBatch(
        ['a', 'b', 'c'].map((key) => ({
          key: Buffer.from(key),
          value: Buffer.from('v'),
          headers: new Map(),
        })),
        PRODUCER,
        0,
        5,
      ),
      10,
    )

  it('are read from the middle', () => {
    const { records, nextOffset } = readAll(three(), 11)
    expect(records.map((one) => one.offset)).to.deep.equal([11, 12])
    expect(nextOffset).to.equal(13)
  })

  it('are left alone where the fetch cut them off', () => {
    const one = three()
    const run = Buffer.concat([one, stored(one, 13).subarray(0, one.length - 1)])
    expect(walkBatches(run, 10)).to.deep.include({ bytes: one.length, nextOffset: 13, fault: undefined })
    expect(walkBatches(one.subarray(0, 30), 10)).to.deep.include({
      bytes: 0,
      nextOffset: 10,
      fault: undefined,
    })
  })

  it('are not used when a bit has flipped', () => {
    for (let at = 21; at < three().length; at++) {
      const damaged = three()
      damaged[at] = (damaged[at] ?? 0) ^ 1
      expect(walkBatches(damaged, 10), `byte ${at}`).to.deep.include({
        bytes: 0,
        fault: 'the batch fails its checksum',
      })
    }
  })

  it('become one record without key for each offset where they cannot be read, whatever stands in them', () => {
    fc.assert(
      fc.property(
        bytes(80),
        fc.nat(60),
        fc.nat(5),
        fc.integer({ min: -2, max: 9 }),
        (noise, at, codec, count) => {
          const run = three()
          run.set(noise.subarray(0, Math.max(0, run.length - 61 - at)), Math.min(61 + at, run.length))
          run.writeInt16BE(codec, 21)
          run.writeInt32BE(count, 57)
          const { records, nextOffset } = readAll(sealed(run), 10)
          expect(nextOffset).to.equal(13)
          let least = 10
          for (const one of records) {
            expect(one.offset).to.be.within(least, 12)
            least = one.offset + 1
          }
        },
      ),
      { numRuns: 3000 },
    )
    const unreadable = three()
    unreadable.writeInt16BE(1, 21)
    expect(
      readAll(sealed(unreadable), 10).records.map(({ offset, key, value }) => [offset, key, value]),
    ).to.deep.equal([
      [10, null, null],
      [11, null, null],
      [12, null, null],
    ])
  })

  it('have a bound that the largest value fits', () => {
    const value = Buffer.alloc(BATCH_BYTES_MAX / 2)
    const batch = stored(
      encodeRecordBatch([{ key: Buffer.alloc(4096), value, headers: new Map() }], PRODUCER, 0, 5),
      0,
    )
    expect(readAll(batch, 0).records[0]?.value).to.have.length(value.length)
  })

  it('carry sequences and producers as Kafka lays them out', () => {
    const batch = encodeRecordBatch([{ key: null, value: null, headers: new Map() }], PRODUCER, 77, 1234)
    expect(batch.readBigInt64BE(43)).to.equal(BigInt(PRODUCER.id))
    expect(batch.readInt16BE(51)).to.equal(3)
    expect(batch.readInt32BE(53)).to.equal(77)
    expect(batch.readBigInt64BE(27)).to.equal(1234n)
    expect(batch.readInt32BE(8)).to.equal(batch.length - 12)
  })
})
