/** Scans and reads of the past, held against the model at every offset of random logs, on replicas that were cut and fed differently. */
import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import type { Row } from '../core/mutation.ts'
import { Model } from '../core/testing/model.ts'
import type { ModelRow } from '../core/testing/model.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import { PAST_SCANS_MAX } from '../core/limits.ts'
import { draft, logged } from '../core/testing/records.ts'
import { keyOfRow, rowSpan } from '../core/keys.ts'
import { decodeRow, isLive } from '../core/row.ts'
import type { LogRecord, Offset } from '../core/types.ts'
import type { KeyRange } from '../face.ts'
import { systemClock } from '../system.ts'
import type { ReplicaBounds } from './bounds.ts'
import { Past, getRowsAt } from './past.ts'
import { PREFIX, ScriptedLog, openRig } from './replica.fake.ts'
import type { Rig } from './replica.fake.ts'
import { scanRows } from './scan.ts'

const KEYS = Array.from({ length: 40 }, (_, at) => `k${at}`)
const EVERYTHING: KeyRange = { start: Buffer.alloc(0), end: undefined }
/** Turns without timers: these logs have far more pieces than real ones. */
const open = { count: 0 }
const clock = { ...systemClock, sleep: () => Promise.resolve() }

/** The living rows after each record, by key in its order. */
function moments(
  records: readonly LogRecord[],
): readonly (readonly [number, readonly [string, ModelRow][]])[] {
  const model = new Model(0, 1)
  return records.map((record) => {
    const done = model.apply(record)
    if (done === 'stop') throw new Error('a log without formats of the future')
    const living = [...model.rows].filter(([, { expiresAt }]) => expiresAt === 0 || expiresAt > done.time)
    return [record.offset, living.sort(([left], [right]) => (left < right ? -1 : 1))]
  })
}

const asModel = (row: Row): [string, ModelRow] => [
  Buffer.from(row.key).toString('latin1'),
  {
    value: Buffer.from(row.value).toString('latin1'),
    version: row.version,
    expiresAt: row.expiresAt,
    contentType: row.contentType,
  },
]

const reasonOf = (work: () => unknown): TidemarkError | undefined => {
  try {
    work()
    return undefined
  } catch (caught) {
    return TidemarkError.from(caught)
  }
}

describe('rows of the past', () => {
  const rigs: Rig[] = []
  afterEach(async () => {
    expect(open.count).to.equal(0)
    for (const { replica } of rigs.splice(0)) await replica.close()
  })

  async function rigOf(
    records: readonly LogRecord[],
    seed: number,
    bounds: Partial<ReplicaBounds> = {},
  ): Promise<Rig> {
    const prng = new Prng(seed)
    const script = new ScriptedLog()
    script.batchRecords = () => 1 + prng.below(30)
    script.append(records)
    const rig = openRig({ script, bounds })
    rigs.push(rig)
    await rig.caughtUp()
    return rig
  }

  async function scanned(
    rig: Rig,
    at: number,
    { range = EVERYTHING, reverse = false, limit = Infinity } = {},
  ): Promise<[string, ModelRow][]> {
    const shape = { reverse, keysOnly: false, limit }
    const rows: [string, ModelRow][] = []
    for await (const some of scanRows([rig.replica], range, shape, { offsets: [at as Offset], clock, open }))
      rows.push(...some.map(asModel))
    return rows
  }

  for (let seed = 1; seed <= 2; seed++)
    it(`are those that stood at each offset, on every replica, seed ${seed}`, async () => {
      const records = randomLog(new Prng(seed), { records: 300, partition: 0, partitions: 1, keys: KEYS })
      const past = moments(records)
      const both = [
        await rigOf(records, seed, { segmentBytes: 300 }),
        await rigOf(records, seed + 100, { segmentBytes: 5000 }),
      ]
      const keys = KEYS.map((key) => Buffer.from(key))
      for (const [offset, rows] of past)
        for (const rig of both) {
          expect(await scanned(rig, offset), `at ${offset}`).to.deep.equal(rows)
          const many = await getRowsAt(rig.replica, keys, offset as Offset, clock)
          const wanted = new Map(rows)
          expect(
            many.map((row) => (row === undefined ? undefined : asModel(row)[1])),
            `keys at ${offset}`,
          ).to.deep.equal(KEYS.map((key) => wanted.get(key)))
        }
    })

  it('come in ranges, both ways and at most so many', async () => {
    const prng = new Prng(9)
    const records = randomLog(prng, { records: 300, partition: 0, partitions: 1, keys: KEYS })
    const rig = await rigOf(records, 9)
    for (const [offset, rows] of moments(records).filter((_, at) => at % 7 === 0)) {
      const [start = '', end = ''] = [prng.below(40), prng.below(40)].map((at) => `k${at}`).sort()
      const range = { start: Buffer.from(start), end: Buffer.from(end) }
      const inside = rows.filter(([key]) => key >= start && key < end)
      expect(await scanned(rig, offset, { range })).to.deep.equal(inside)
      expect(await scanned(rig, offset, { range, reverse: true, limit: 5 })).to.deep.equal(
        inside.toReversed().slice(0, 5),
      )
    }
  })

  it('are the same where only a few of them fit into memory at a time', async () => {
    const records = randomLog(new Prng(5), { records: 400, partition: 0, partitions: 1, keys: KEYS })
    const rig = await rigOf(records, 5, { segmentBytes: 300 })
    for (const [offset, rows] of moments(records).filter((_, at) => at % 40 === 0))
      for (const reverse of [false, true])
        for (const bytesMax of [1, 600, 3000]) {
          const past = new Past(
            rig.replica,
            offset as Offset,
            { range: EVERYTHING, reverse },
            bytesMax,
            clock,
          )
          const cursor = rig.store.cursor({ ...rowSpan(PREFIX, EVERYTHING.start, undefined), reverse })
          const found: string[] = []
          for (const { key, value } of cursor.next(1000)) {
            const row = await past.row(keyOfRow(key), decodeRow(value))
            if (isLive(row, past.time)) found.push(Buffer.from(keyOfRow(key)).toString('latin1'))
          }
          cursor.close()
          past.close()
          const wanted = rows.map(([key]) => key)
          expect(found).to.deep.equal(reverse ? wanted.reverse() : wanted)
        }
  })

  it('stay whole for who has begun, while records are applied and the history is cut', async () => {
    const put = (offset: number, key: string, value: string): LogRecord =>
      logged(offset, 0, draft(key, value))
    const first = Array.from({ length: 1200 }, (_, at) => put(at, `k${String(at).padStart(4, '0')}`, 'old'))
    const rig = await rigOf(first, 1, { historyRecords: 2000, tombstoneRecords: 4000 })
    const second = Array.from({ length: 1200 }, (_, at) =>
      put(1200 + at, `k${String(at).padStart(4, '0')}`, 'new'),
    )
    rig.script.append(second.slice(0, 600))
    await rig.caughtUp()
    const shape = { reverse: false, keysOnly: false, limit: Infinity }
    const moment = { offsets: [1199 as Offset], clock, open }
    const rows = scanRows([rig.replica], EVERYTHING, shape, moment)
    const late = scanRows([rig.replica], EVERYTHING, shape, moment)
    const begun = await rows.next()
    const more = Array.from({ length: 3000 }, (_, at) => put(2400 + at, 'x', String(at)))
    rig.script.append([...second.slice(600), ...more])
    await rig.caughtUp()
    expect(rig.replica.state.historyStart).to.be.greaterThan(1199)
    const found = [...(begun.value as readonly Row[])]
    for await (const some of rows) found.push(...some)
    expect(found.length).to.equal(1200)
    expect(new Set(found.map((row) => asModel(row)[1].value))).to.deep.equal(new Set(['old']))
    // Opened before, pulled afterwards.
    let counted = 0
    for await (const some of late) counted += some.length
    expect(counted).to.equal(1200)
    const refused = reasonOf(() => scanRows([rig.replica], EVERYTHING, shape, moment))
    expect([refused?.reason, refused?.metadata['earliest']]).to.deep.equal([
      'COMPACTED',
      String(rig.replica.state.historyStart),
    ])
  })

  it('are read by a bounded number of scans at a time; one that nobody pulls counts until it is returned', async () => {
    const rig = await rigOf([logged(0, 0, draft('a', '1')), logged(1, 0, draft('a', '2'))], 1)
    let cursors = 0
    const store = rig.replica.store
    const counting = new Proxy(store, {
      get(target, name) {
        if (name !== 'cursor') return Reflect.get(target, name) as unknown
        return (range: Parameters<typeof store.cursor>[0]) => {
          cursors += 1
          const cursor = target.cursor(range)
          const close = (): void => {
            cursors -= 1
            cursor.close()
          }
          return { next: cursor.next.bind(cursor), rewind: cursor.rewind.bind(cursor), close }
        }
      },
    })
    const replica = Object.create(rig.replica, { store: { value: counting } }) as typeof rig.replica
    Object.defineProperty(replica, 'state', { value: rig.replica.state })
    const shape = { reverse: false, keysOnly: false, limit: Infinity }
    const scan = () => scanRows([replica], EVERYTHING, shape, { offsets: [0 as Offset], clock, open })
    const scans = Array.from({ length: PAST_SCANS_MAX }, scan)
    expect(reasonOf(scan)?.reason).to.equal('OVERLOADED')
    for (const rows of scans.slice(1)) await rows.return?.()
    for await (const some of scans[0] ?? [])
      expect(some.map((row) => asModel(row)[1].value)).to.deep.equal(['1'])
    const present = scanRows([replica], EVERYTHING, shape)
    await present.return?.()
    expect(cursors).to.equal(0)
  })

  it('are refused where no history is kept, but for those that stand', async () => {
    const records = Array.from({ length: 200 }, (_, at) => logged(at, 0, draft('a', String(at))))
    const rig = await rigOf(records, 1, { historyRecords: 0, tombstoneRecords: 0 })
    const { next } = rig.replica.state
    const refused = reasonOf(() =>
      scanRows(
        [rig.replica],
        EVERYTHING,
        { reverse: false, keysOnly: false, limit: 1 },
        { offsets: [(next - 2) as Offset], clock, open },
      ),
    )
    expect(refused?.reason).to.equal('COMPACTED')
    expect(refused?.message).to.include(`keeps no history before offset ${next}`)
    expect((await scanned(rig, next - 1)).map(([key, { value }]) => [key, value])).to.deep.equal([
      ['a', '199'],
    ])
  })

  it('do not show what was due and waited for its turn, at the edge of what is kept', async () => {
    // 600 rows are due at once: 512 expire with one record, 88 wait for the next.
    const many = Array.from({ length: 600 }, (_, at) =>
      logged(at, 0, draft(`k${String(at).padStart(3, '0')}`, 'v', { 'tm-ttl-ms': '10' })),
    )
    const rig = await rigOf(
      [...many, logged(600, 10, draft('x', '1')), logged(605, 10, draft('x', '2'))],
      1,
      {
        segmentBytes: 1,
      },
    )
    expect((await scanned(rig, 599)).length).to.equal(600)
    for (const at of [600, 601, 604, 605])
      expect(
        (await scanned(rig, at)).map(([key]) => key),
        `at ${at}`,
      ).to.deep.equal(['x'])
  })
})
