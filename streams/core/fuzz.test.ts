/**
 * Apply is total (I2): whatever bytes stand in the log, it neither throws nor stalls, two replicas come to the same state, and its
 * work is bounded by the size of the record. TIDEMARK_FUZZ_SEED repeats a run, TIDEMARK_FUZZ_RECORDS makes it longer.
 */
import { expect } from 'chai'
import type { RecordEffects } from './effects.ts'
import { encodeFormat } from './encode.ts'
import { PACK_MUTATIONS_MAX } from './limits.ts'
import { PackWriter } from './messages.ts'
import { CoreDriver } from './testing/core-driver.ts'
import { spoiledLog } from './testing/mutate.ts'
import { Prng } from './testing/prng.ts'
import { randomLog } from './testing/random-log.ts'
import { draft, logged, sealPack } from './testing/records.ts'
import type { LogRecord, NewRecord } from './types.ts'

const SEED = Number(process.env['TIDEMARK_FUZZ_SEED'] ?? Date.now() % 1_000_000_007)
const RECORDS = Number(process.env['TIDEMARK_FUZZ_RECORDS'] ?? 1_000_000)
/** Records of one log: short enough to see young partitions, long enough for full dedupe windows. */
const ROUND = 50_000
const KEYS = ['a', 'b', 'c', 'a/1', 'a/2', 'k1', 'k2', 'k3', 'ä', 'x/y::z']

const corpus = (prng: Prng): readonly LogRecord[] => [
  ...randomLog(prng, { records: 1500, partition: 0, partitions: 1, keys: KEYS }),
  ...randomLog(prng, { records: 500, partition: 1, partitions: 3, keys: KEYS, sessions: 40 }),
]

/** A partition whose values are small meets values that are too large. */
const SMALL_VALUES = encodeFormat({ version: 1, valueBytesMax: 4096 })

const chainOf = ({ state }: CoreDriver): string => Buffer.from(state.chain).toString('hex')

/** The same log on two replicas, one record at a time and in batches of any size. @returns what the first one did. */
function play(prng: Prng, records: readonly LogRecord[]): Readonly<Record<string, number>> {
  const one = new CoreDriver()
  const other = new CoreDriver()
  const verdicts: Record<string, number> = { stops: 0 }
  const count = ({ outcomes }: RecordEffects): void => {
    for (const outcome of outcomes) {
      const name = outcome.status === 'applied' ? 'applied' : outcome.reason
      verdicts[name] = (verdicts[name] ?? 0) + 1
    }
  }
  for (let at = 0; at < records.length;) {
    const batch = records.slice(at, at + 1 + prng.below(300))
    at += batch.length
    for (const record of batch) {
      const { effects, stop } = one.run([record])
      if (stop !== undefined) verdicts['stops'] = (verdicts['stops'] ?? 0) + 1
      effects.forEach(count)
    }
    // A record that asks to stop is stepped over here, which no replica does: it is the same record that stops both.
    for (let left = batch; left.length > 0;) {
      const { effects, stop } = other.run(left)
      left = left.slice(effects.length + (stop === undefined ? 0 : 1))
    }
    if (chainOf(one) !== chainOf(other))
      throw new Error(`the replicas differ within ${batch.length} records before index ${at}`)
  }
  expect({ ...other.state, chain: '' }).to.deep.equal({ ...one.state, chain: '' })
  expect(one.state.rows).to.equal(
    [...one.rows.values()].filter(({ tombstone }) => tombstone === 'none').length,
  )
  return verdicts
}

describe(`apply on arbitrary bytes (seed ${SEED})`, () => {
  it(`neither throws nor differs on ${RECORDS} spoiled records`, function () {
    this.timeout(180_000)
    this.slow(60_000)
    const all: Record<string, number> = {}
    for (let round = 0; round * ROUND < RECORDS; round++) {
      const prng = new Prng(SEED + round)
      const [first, ...rest] = spoiledLog(prng, corpus(prng), ROUND)
      if (first === undefined) throw new Error('an empty log')
      const verdicts = play(prng, [round % 2 === 0 ? { ...first, ...SMALL_VALUES } : first, ...rest])
      for (const [name, times] of Object.entries(verdicts)) all[name] = (all[name] ?? 0) + times
    }
    // The rubbish got deep: every verdict that a record can have came up.
    if (RECORDS < 200_000) return
    expect(Object.keys(all)).to.include.members([
      'applied',
      'stops',
      'RECORD_MALFORMED',
      'UNKNOWN_OPERATION',
      'KEY_EMPTY',
      'KEY_TOO_LONG',
      'VALUE_TOO_LARGE',
      'TTL_INVALID',
      'REQUEST_ID_INVALID',
      'REQUEST_ID_FORGOTTEN',
      'VERSION_MISMATCH',
      'NOT_A_NUMBER',
      'NUMBER_OVERFLOW',
      'DUPLICATE_KEY',
      'STALE_EPOCH',
      'SETTING_FIXED',
    ])
    expect(all['applied']).to.be.greaterThan(RECORDS / 10)
  })

  it('neither throws nor differs on random bytes in every place', () => {
    const prng = new Prng(SEED)
    const operations = [
      'put',
      'delete',
      'increment',
      'txn',
      'pack',
      'lead',
      'tick',
      'format',
      'barrier',
    ] as const
    const records = Array.from({ length: 20_000 }, (_, offset) => {
      const inside = prng.bytes(prng.below(60))
      const operation = prng.pick(operations)
      const headers = prng.chance(20)
        ? { 'tm-op': prng.bytes(prng.below(8)), 'tm-ttl-ms': prng.bytes(2) }
        : { 'tm-op': operation }
      const value = operation === 'pack' && prng.chance(80) ? sealPack(inside) : inside
      return logged(
        offset,
        offset,
        draft(prng.chance(50) ? prng.bytes(prng.below(6)) : null, prng.chance(5) ? null : value, headers),
      )
    })
    play(prng, records)
  })

  describe('takes time by the size of the record', () => {
    const put = (at: number, more: object = {}): Parameters<PackWriter['add']>[0] => ({
      kind: 'put',
      key: Buffer.from(`key-${(at * 7919) % 99_991}`),
      value: Buffer.alloc(0),
      ...more,
    })
    const packOf = (count: number, more: (at: number) => object): NewRecord => {
      const writer = new PackWriter()
      for (let at = 0; at < count; at++) writer.add(put(at, more(at)))
      return draft(null, writer.finish(), { 'tm-op': 'pack' })
    }
    const rubbish = new Prng(7).bytes(1 << 20)
    const tags = Buffer.alloc(1 << 20, Buffer.from([0x12, 0x00]))
    const kinds: Readonly<Record<string, (part: number) => NewRecord>> = {
      'a plain value': (part) => draft('k', rubbish.subarray(0, part << 16)),
      'a pack of rubbish': (part) =>
        draft(null, sealPack(rubbish.subarray(0, part << 16)), { 'tm-op': 'pack' }),
      'a pack of empty mutations': (part) =>
        draft(null, sealPack(tags.subarray(0, part * 2048)), { 'tm-op': 'pack' }),
      'a transaction of rubbish': (part) => draft(null, rubbish.subarray(0, part << 16), { 'tm-op': 'txn' }),
      'a transaction of empty members': (part) =>
        draft(null, tags.subarray(0, part << 16), { 'tm-op': 'txn' }),
      'a header of rubbish': (part) =>
        draft('k', 'v', {
          traceparent: rubbish.subarray(0, part << 16),
          'tm-request-id': rubbish.subarray(0, part << 16),
        }),
      'an increment by a long number': (part) =>
        draft('k', Buffer.alloc(part << 16, '7'), { 'tm-op': 'increment' }),
      'a pack of puts': (part) => packOf((part * PACK_MUTATIONS_MAX) / 16, () => ({})),
      'a pack of puts that expire': (part) =>
        packOf((part * PACK_MUTATIONS_MAX) / 16, (at) => ({ ttlMs: 1 + ((at * 104_729) % 9973) })),
      'a pack of request ids of one session': (part) =>
        packOf((part * PACK_MUTATIONS_MAX) / 16, (at) => ({ requestId: `s/${at}` })),
      'a pack of request ids of many sessions': (part) =>
        packOf((part * PACK_MUTATIONS_MAX) / 16, (at) => ({ requestId: `s-${at}` })),
    }
    const PARTS = 16
    for (const [name, make] of Object.entries(kinds))
      it(name, () => {
        const best = (record: NewRecord): number => {
          let least = Infinity
          for (let round = 0; round < 5; round++) {
            const driver = new CoreDriver()
            // Not the clock: who else runs on this machine must not decide.
            const before = process.cpuUsage()
            driver.run([logged(0, 1, record)])
            const { user, system } = process.cpuUsage(before)
            least = Math.min(least, user + system)
          }
          return least
        }
        const small = best(make(1))
        const large = best(make(PARTS))
        // Generous, for the small record pays for first calls. Quadratic work would be 256 times. Microseconds.
        expect(large / Math.max(small, 20)).to.be.lessThan(PARTS * 5)
      })
  })
})
