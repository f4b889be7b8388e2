/**
 * Batch boundaries and restarts do not matter (I1, I3): the same log gives the same state, hash, tables and effects however it is
 * cut, and they are those of the model.
 */
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'chai'
import { ByteWriter, bytesToText } from '../core/bytes.ts'
import { writeEffects } from '../core/effects.ts'
import type { Change, RecordEffects } from '../core/effects.ts'
import { encodeFormat } from '../core/encode.ts'
import { metaKey } from '../core/keys.ts'
import { DEDUPE_IDS_MAX, DEDUPE_RENEW_IDS, DUE_ROWS_LOADED, EXPIRIES_PER_RECORD_MAX } from '../core/limits.ts'
import { PackWriter } from '../core/messages.ts'
import type { RowMutation } from '../core/mutation.ts'
import { decodeRow } from '../core/row.ts'
import { encodeState } from '../core/state.ts'
import type { PartitionState } from '../core/state.ts'
import { Model } from '../core/testing/model.ts'
import type { ModelChange, ModelRow } from '../core/testing/model.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import { draft, logged } from '../core/testing/records.ts'
import type { LogRecord, NewRecord } from '../core/types.ts'
import { PREFIX, ScriptedLog, dumpTables, openRig } from './replica.fake.ts'

const KEYS = ['a', 'b', 'c', 'a/1', 'a/2', 'b/1', 'b::x', 'k1', 'k2', 'k3', 'ä', 'x/y::z']

interface Plan {
  readonly records: readonly LogRecord[]
  readonly partitions?: number
  /** Before the record at this index the count of request ids jumps, as if that many had come and gone. */
  readonly jump?: { readonly index: number; readonly ids: number }
}

interface Run {
  readonly state: Readonly<PartitionState>
  readonly tables: readonly string[]
  readonly effects: readonly RecordEffects[]
}

async function run(plan: Plan, batchRecords: () => number, restartAfter: () => number): Promise<Run> {
  const { records, jump, partitions } = plan
  const script = new ScriptedLog()
  script.batchRecords = batchRecords
  let rig = openRig({ script, ...(partitions === undefined ? {} : { partitions }) })
  const effects: RecordEffects[] = []
  for (let at = 0; at < records.length;) {
    let end = Math.min(records.length, at + restartAfter())
    if (jump !== undefined && at < jump.index) end = Math.min(end, jump.index)
    script.append(records.slice(at, end))
    at = end
    await rig.caughtUp()
    effects.push(...rig.effects)
    await rig.replica.close()
    if (at === jump?.index) {
      const batch = rig.store.batch()
      batch.put(metaKey(PREFIX), encodeState({ ...rig.replica.state, ids: jump.ids }))
      rig.store.write(batch)
    }
    rig = await rig.restart()
  }
  await rig.replica.close()
  return { state: rig.replica.state, tables: dumpTables(rig.store), effects }
}

/** What is decided by the log; history and its bounds are each replica's own. */
function decided({ state, tables }: Run): object {
  const { historyStart: _start, historyBytes: _bytes, tombstoneStart: _tombstones, chain, ...rest } = state
  return { ...rest, chain: Buffer.from(chain).toString('hex'), tables }
}

const asRow = (row: Change['previous']): ModelRow | undefined => {
  if (row?.tombstone !== 'none') return undefined
  const { value, version, expiresAt, contentType } = row
  return { value: bytesToText(value), version, expiresAt, contentType }
}
const asModel = ({ kind, key, row, previous, traceparent }: Change): ModelChange => ({
  kind,
  key: bytesToText(key),
  row: asRow(row),
  previous: asRow(previous),
  traceparent,
})

function hashed(effects: RecordEffects): string {
  const writer = new ByteWriter()
  writeEffects(writer, effects)
  return writer.bytes().toString('hex')
}
const plain = (effects: RecordEffects): object => ({
  ...effects,
  changes: effects.changes.map(asModel),
  hashed: hashed(effects),
})

function expectModel({ records, jump, partitions }: Plan, found: Run): void {
  const model = new Model(0, partitions ?? 1)
  records.forEach((record, at) => {
    if (at === jump?.index) model.ids = jump.ids
    const wanted = model.apply(record)
    const effects = found.effects[at]
    if (effects === undefined) throw new Error(`no effects of the record at ${record.offset}`)
    const got = { ...effects, changes: effects.changes.map(asModel) }
    if (!isDeepStrictEqual(got, wanted)) expect(got, `record at ${record.offset}`).to.deep.equal(wanted)
  })
  const { time, epoch, leader, rejected, ids, configured, valueBytesMax, packing } = model
  expect(found.state).to.include({ time, epoch, leader, rejected, ids, configured, valueBytesMax, packing })
  expect(found.state.rows).to.equal(model.rows.size)
  const rows = new Map<string, ModelRow | undefined>()
  for (const line of found.tables) {
    const [table, key, value] = line.split(' ')
    if (table !== 'r') continue
    const row = asRow(decodeRow(Buffer.from(value ?? '', 'hex')))
    if (row !== undefined) rows.set(Buffer.from(key ?? '', 'hex').toString('latin1'), row)
  }
  const sorted = [...model.rows].sort(([a], [b]) => (a < b ? -1 : 1))
  if (!isDeepStrictEqual(rows, new Map(sorted))) expect(rows).to.deep.equal(new Map(sorted))
}

/** @returns what the log gave, however it was cut. */
async function expectSame(seed: number, plan: Plan): Promise<Run> {
  const prng = new Prng(seed)
  const { length } = plan.records
  const whole = await run(
    plan,
    () => 1000,
    () => length,
  )
  let first = true
  const others: readonly (readonly [string, Run])[] = [
    [
      'the first record alone',
      await run(
        plan,
        () => (first ? ((first = false), 1) : 1000),
        () => length,
      ),
    ],
    [
      'one record at a time',
      await run(
        plan,
        () => 1,
        () => length,
      ),
    ],
    [
      'random batches',
      await run(
        plan,
        () => 1 + prng.below(40),
        () => length,
      ),
    ],
    [
      'random batches and restarts',
      await run(
        plan,
        () => 1 + prng.below(40),
        () => 1 + prng.below(90),
      ),
    ],
  ]
  for (const [name, other] of others) {
    expect(other.effects.length, name).to.equal(whole.effects.length)
    whole.effects.forEach((effects, at) => {
      const same = other.effects[at]
      if (same === undefined || !isDeepStrictEqual(plain(same), plain(effects)))
        expect(same, `${name}, seed ${seed}, record at ${effects.offset}`).to.deep.equal(effects)
    })
    expect(decided(other), `${name}, seed ${seed}`).to.deep.equal(decided(whole))
  }
  expectModel(plan, whole)
  return whole
}

const inOrder = (drafts: readonly (readonly [time: number, record: NewRecord])[]): readonly LogRecord[] =>
  drafts.map(([time, record], offset) => logged(offset, time, record))

function pack(mutations: readonly RowMutation[], requestId?: string): NewRecord {
  const writer = new PackWriter()
  for (const mutation of mutations) writer.add(mutation)
  return draft(null, writer.finish(), {
    'tm-op': 'pack',
    ...(requestId === undefined ? {} : { 'tm-request-id': requestId }),
  })
}

const reasons = ({ effects }: Run): readonly string[] =>
  effects.flatMap(({ outcomes }) =>
    outcomes.map((outcome) => (outcome.status === 'applied' ? 'applied' : outcome.reason)),
  )

describe('batch boundaries do not matter, and the model agrees', () => {
  for (let seed = 1; seed <= 30; seed++)
    it(`random log, seed ${seed}`, () =>
      expectSame(seed, {
        records: randomLog(new Prng(seed), { records: 600, partition: 0, partitions: 1, keys: KEYS }),
      }))

  for (let seed = 101; seed <= 104; seed++)
    it(`keys of a keyspace that is placed by prefix, some misplaced, seed ${seed}`, async () => {
      const separator = Buffer.from('/')
      const format = encodeFormat({ version: 1, separator, valueBytesMax: 0, packingDisabled: false })
      const random = randomLog(new Prng(seed), { records: 500, partition: 0, partitions: 3, keys: KEYS })
      const records = [
        logged(0, 1, format),
        ...random.map((record) => ({ ...record, offset: (record.offset + 1) as never })),
      ]
      const found = await expectSame(seed, { records, partitions: 3 })
      expect(reasons(found)).to.include('MISPLACED_KEY')
      expect(found.state.partitionBy.kind).to.equal('prefix')
    })

  for (let seed = 201; seed <= 204; seed++)
    it(`sessions that outlive their window, seed ${seed}`, async () => {
      const prng = new Prng(seed)
      let next = 0
      const id = (): string => `s/${prng.chance(20) ? Math.max(0, next - prng.below(1300)) : next++}`
      const records = Array.from({ length: 400 }, (_, offset) => {
        const mutations = Array.from({ length: 1 + prng.below(14) }, (_unused, at): RowMutation => {
          const requestId = id()
          return { kind: 'increment', key: Buffer.from(`k${at}`), delta: 1n, requestId }
        })
        // Now and then the pack bears the id of one of its mutations.
        const own = prng.chance(30)
          ? mutations[prng.below(mutations.length)]?.requestId
          : prng.chance(30)
            ? id()
            : undefined
        return logged(offset, offset, pack(mutations, own))
      })
      const found = await expectSame(seed, { records })
      expect(reasons(found)).to.include('REQUEST_ID_FORGOTTEN')
    })

  for (let seed = 301; seed <= 306; seed++)
    it(`sessions that are forgotten, seed ${seed}`, async () => {
      const random = randomLog(new Prng(seed), {
        records: 800,
        partition: 0,
        partitions: 1,
        keys: KEYS,
        sessions: 60,
      })
      const ids = seed % 2 === 0 ? DEDUPE_IDS_MAX - 30 : DEDUPE_RENEW_IDS + 60
      const found = await expectSame(seed, { records: random, jump: { index: 300, ids } })
      expect(found.state.ids).to.be.greaterThan(ids + 60)
    })

  it('when more rows are due than one record expires and one batch loads', async () => {
    const rows = DUE_ROWS_LOADED + 3 * EXPIRIES_PER_RECORD_MAX
    const key = (at: number): Buffer => Buffer.from(`row-${String(at).padStart(5, '0')}`)
    const mutations = Array.from({ length: rows }, (_, at): RowMutation => {
      // Their times to live run against the order of the keys.
      return { kind: 'put', key: key(at), value: Buffer.from('v'), ttlMs: 1000 - (at % 100) }
    })
    const found = await expectSame(7, {
      records: inOrder([
        [0, pack(mutations)],
        [1, draft('other', 'x')],
        [5000, draft('other', 'y')],
        ...Array.from({ length: 14 }, (_, at) => [5000, draft(`row-0${at}000`, 'new')] as const),
      ]),
    })
    const expired = found.effects.map(
      ({ changes }) => changes.filter(({ kind }) => kind === 'expired').length,
    )
    expect(expired.slice(0, 3)).to.deep.equal([0, 0, EXPIRIES_PER_RECORD_MAX])
    expect(expired.reduce((sum, count) => sum + count, 0)).to.equal(rows)
  })

  it('when a pack writes over most of the rows that were loaded as due', async () => {
    const rows = DUE_ROWS_LOADED + 2000
    const key = (at: number): Buffer => Buffer.from(`row-${String(at).padStart(5, '0')}`)
    const puts = (count: number, ttlMs?: number): RowMutation[] =>
      Array.from({ length: count }, (_, at) => ({
        kind: 'put',
        key: key(at),
        value: Buffer.from('v'),
        ...(ttlMs === undefined ? {} : { ttlMs }),
      }))
    const found = await expectSame(8, {
      records: inOrder([
        [0, pack(puts(rows, 10))],
        // Expires 512 and writes over nearly all others that a batch has loaded as due: the next record needs more of them.
        [100, pack(puts(DUE_ROWS_LOADED - 50))],
        [100, draft('other', '1')],
        [100, draft('other', '2')],
        [100, draft('other', '3')],
      ]),
    })
    const expired = found.effects.map(
      ({ changes }) => changes.filter(({ kind }) => kind === 'expired').length,
    )
    expect(expired[2]).to.equal(EXPIRIES_PER_RECORD_MAX)
  })

  it('when a pack bears the id of its last mutation and a chunk of the session ends between them', async () => {
    const filled = Array.from({ length: 63 }, (_, at): RowMutation => {
      return { kind: 'put', key: Buffer.from(`k${at}`), value: Buffer.from('v'), requestId: `s/${at}` }
    })
    const late = {
      kind: 'put',
      key: Buffer.from('late'),
      value: Buffer.from('v'),
      requestId: 's/9000',
    } as const
    const more = Array.from({ length: 17 }, (_, round) =>
      pack(
        Array.from({ length: 64 }, (_unused, at): RowMutation => {
          const requestId = `s/${1000 + round * 64 + at}`
          return { kind: 'put', key: Buffer.from(`k${at}`), value: Buffer.from('v'), requestId }
        }),
      ),
    )
    const drafts = [
      pack(filled),
      pack([late], 's/9000'),
      ...more,
      pack([late], 's/9000'),
      draft('k', 'v', { 'tm-request-id': 's/9000' }),
    ]
    const found = await expectSame(10, { records: inOrder(drafts.map((record, at) => [at, record])) })
    expect(reasons(found).slice(-2)).to.deep.equal(['REQUEST_ID_FORGOTTEN', 'REQUEST_ID_FORGOTTEN'])
  })
})
