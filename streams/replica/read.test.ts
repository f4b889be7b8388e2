/** Reads of the present and of the past, held against the model at every offset of random logs. */
import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import type { Row } from '../core/mutation.ts'
import { Model } from '../core/testing/model.ts'
import type { ModelChange, ModelRow } from '../core/testing/model.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import { draft, logged } from '../core/testing/records.ts'
import type { LogRecord, Offset } from '../core/types.ts'
import type { ReplicaBounds } from './bounds.ts'
import { HistoryReader, getRow, getRowAt, getRowBefore, getRows, rowHistory } from './read.ts'
import { ScriptedLog, openRig } from './replica.fake.ts'
import type { Rig } from './replica.fake.ts'

const KEYS = ['a', 'b', 'c', 'a/1', 'k1', 'k2', 'ä']

interface Moment {
  readonly offset: number
  readonly time: number
  readonly rows: ReadonlyMap<string, ModelRow>
  readonly changes: readonly ModelChange[]
}

/** The rows after each record, and what each did. */
function moments(records: readonly LogRecord[]): readonly Moment[] {
  const model = new Model(0, 1)
  return records.map((record) => {
    const done = model.apply(record)
    if (done === 'stop') throw new Error('a log without formats of the future')
    return { offset: record.offset, time: done.time, rows: new Map(model.rows), changes: done.changes }
  })
}

const bytes = (key: string): Buffer => Buffer.from(key, 'latin1')
const asModel = (row: Row | undefined): ModelRow | undefined =>
  row === undefined
    ? undefined
    : {
        value: Buffer.from(row.value).toString('latin1'),
        version: row.version,
        expiresAt: row.expiresAt,
        contentType: row.contentType,
      }
const living = (row: ModelRow | undefined, time: number): ModelRow | undefined =>
  row === undefined || (row.expiresAt !== 0 && row.expiresAt <= time) ? undefined : row
const utf8Keys = KEYS.map((key) => Buffer.from(key, 'utf8').toString('latin1'))

async function rigOf(
  records: readonly LogRecord[],
  seed: number,
  bounds: Partial<ReplicaBounds>,
): Promise<Rig> {
  const prng = new Prng(seed)
  const script = new ScriptedLog()
  script.batchRecords = () => 1 + prng.below(20)
  script.append(records)
  const rig = openRig({ script, bounds })
  await rig.caughtUp()
  return rig
}

describe('reads', () => {
  for (let seed = 1; seed <= 6; seed++)
    it(`show the rows as they stood at each offset, seed ${seed}`, async () => {
      const records = randomLog(new Prng(seed), { records: 400, partition: 0, partitions: 1, keys: KEYS })
      const past = moments(records)
      const { replica } = await rigOf(records, seed, { segmentBytes: 300 })
      const last = past.at(-1)
      for (const key of utf8Keys) {
        expect(asModel(getRow(replica, bytes(key)))).to.deep.equal(
          living(last?.rows.get(key), replica.state.time),
        )
        let at = 0
        for (let offset = 0; offset < replica.state.next + 2; offset++) {
          while (at + 1 < past.length && (past[at + 1]?.offset ?? Infinity) <= offset) at += 1
          const moment = past[at]
          const wanted =
            moment === undefined || moment.offset > offset
              ? undefined
              : living(moment.rows.get(key), moment.time)
          const found = asModel(getRowAt(replica, bytes(key), offset as Offset))
          if (JSON.stringify(found) !== JSON.stringify(wanted))
            expect(found, `${key} at ${offset}`).to.deep.equal(wanted)
        }
      }
      expect(getRows(replica, utf8Keys.map(bytes)).map(asModel)).to.deep.equal(
        utf8Keys.map((key) => living(last?.rows.get(key), replica.state.time)),
      )
      await replica.close()
    })

  for (let seed = 11; seed <= 14; seed++)
    it(`show a row as the record that changed it found it, and all its versions, seed ${seed}`, async () => {
      const records = randomLog(new Prng(seed), { records: 400, partition: 0, partitions: 1, keys: KEYS })
      const past = moments(records)
      const { replica } = await rigOf(records, seed, { segmentBytes: 300 })
      past.forEach(({ offset, time, rows }, at) => {
        const before = past[at - 1]?.rows ?? new Map<string, ModelRow>()
        for (const key of utf8Keys) {
          const changed = before.get(key) !== rows.get(key)
          const wanted = changed ? living(before.get(key), time) : living(rows.get(key), time)
          expect(
            asModel(getRowBefore(replica, bytes(key), offset as Offset)),
            `${key} before ${offset}`,
          ).to.deep.equal(wanted)
        }
      })
      for (const key of utf8Keys) {
        const all = past
          .flatMap(({ offset, time, changes }) => changes.map((change) => ({ offset, time, ...change })))
          .filter((change) => change.key === key)
          .reverse()
        const wanted = all.map(({ kind, offset, time, row, traceparent }) => [
          kind,
          offset,
          time,
          row?.value ?? '',
          traceparent,
        ])
        const shown = (limit: number): unknown[] =>
          rowHistory(replica, bytes(key), limit).versions.map(({ change, time }) => [
            change.kind,
            change.row.version,
            time,
            Buffer.from(change.row.value).toString('latin1'),
            change.traceparent,
          ])
        expect(shown(Infinity)).to.deep.equal(wanted)
        expect(rowHistory(replica, bytes(key), Infinity).complete).to.equal(true)
        for (const limit of [1, 2, 3, all.length]) {
          expect(shown(limit), `at most ${limit}`).to.deep.equal(wanted.slice(0, limit))
          expect(rowHistory(replica, bytes(key), limit).complete).to.equal(limit >= all.length)
        }
      }
      await replica.close()
    })

  for (let seed = 21; seed <= 23; seed++)
    it(`show the past that is kept, and refuse the rest, seed ${seed}`, async () => {
      const records = randomLog(new Prng(seed), { records: 700, partition: 0, partitions: 1, keys: KEYS })
      const past = moments(records)
      const { replica } = await rigOf(records, seed, {
        segmentBytes: 300,
        historyRecords: 150,
        tombstoneRecords: 300,
      })
      const { historyStart } = replica.state
      expect(historyStart).to.be.greaterThan(300)
      for (const key of utf8Keys) {
        for (const { offset, time, rows } of past) {
          const read = (): Row | undefined => getRowAt(replica, bytes(key), offset as Offset)
          if (offset < historyStart) {
            const error = ((): TidemarkError | undefined => {
              try {
                read()
                return undefined
              } catch (caught) {
                return TidemarkError.from(caught)
              }
            })()
            expect([error?.reason, error?.metadata['earliest']], `${key} at ${offset}`).to.deep.equal([
              'COMPACTED',
              String(historyStart),
            ])
          } else expect(asModel(read()), `${key} at ${offset}`).to.deep.equal(living(rows.get(key), time))
        }
        const { versions, complete } = rowHistory(replica, bytes(key), Infinity)
        const kept = past.flatMap(({ offset, changes }) =>
          changes.filter((change) => change.key === key && offset >= historyStart),
        )
        expect(versions.length).to.be.oneOf([kept.length, kept.length + 1])
        expect(complete).to.equal(false)
      }
      await replica.close()
    })

  it('refuse what stood before the newest record, where not even that one is kept', async () => {
    const records = [logged(0, 0, draft('x', '1')), logged(1, 10, draft('x', '2'))]
    const { replica } = await rigOf(records, 1, { segmentBytes: 1, historyRecords: 0 })
    expect(replica.state.historyStart).to.equal(2)
    const key = Buffer.from('x')
    expect(getRowAt(replica, key, 1 as Offset)?.version).to.equal(1)
    expect(() => getRowBefore(replica, key, 1 as Offset)).to.throw(/keeps no history before offset 2/)
    await replica.close()
  })

  it('show a row that is due and waits for its turn as gone, at gaps too', async () => {
    // 600 rows are due at once: 512 expire with one record, 88 wait for the next, which comes after a gap.
    const many = Array.from({ length: 600 }, (_, at) =>
      logged(at, 0, draft(`k${String(at).padStart(3, '0')}`, 'v', { 'tm-ttl-ms': '10' })),
    )
    const { replica } = await rigOf(
      [...many, logged(600, 10, draft('x', '1')), logged(605, 10, draft('x', '2'))],
      1,
      { segmentBytes: 1 },
    )
    const key = Buffer.from('k599')
    expect(getRowAt(replica, key, 599 as Offset)?.version, 'before').to.equal(599)
    for (const at of [600, 601, 604, 605])
      expect(getRowAt(replica, key, at as Offset), `at ${at}`).to.equal(undefined)
    const reader = new HistoryReader(replica)
    expect([599, 600, 604, 605].map((at) => reader.timeAt(at as Offset))).to.deep.equal([0, 10, 10, 10])
    await replica.close()
  })
})
