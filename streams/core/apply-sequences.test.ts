/** What records do to each other: request ids, expiry, control records, the chain. As transcripts; see apply.test.ts. */
import { encodeLead } from './encode.ts'
import {
  DEDUPE_IDS_MAX,
  DEDUPE_RENEW_IDS,
  EXPIRIES_PER_RECORD_MAX,
  LOG_TIME_MAX,
  TTL_MS_MAX,
} from './limits.ts'
import { CoreDriver, show } from './testing/core-driver.ts'
import { draft, logged } from './testing/records.ts'
import type { NewRecord } from './types.ts'
import { expect } from 'chai'
import { createHash } from 'node:crypto'
import {
  add,
  at,
  barrier,
  byId,
  change,
  format,
  mutation,
  pack,
  play,
  put,
  putFor,
  putIf,
  remove,
  tick,
  transcript,
  txn,
  value,
  version,
} from './testing/transcript.ts'

describe('apply, over several records', () => {
  describe('request id', () => {
    transcript(
      'is performed once, and answered again as it was',
      [
        [add('n', '5', byId('once')), 'ok v0 =5; n:=5'],
        [add('n', '5', byId('once')), 'ok v0 =5 again, as at 0'],
        [put('n', 'other', byId('once')), 'ok v0 =5 again, as at 0'],
        [add('n', '5', byId('twice')), 'ok v3 =10; n:=10'],
        [add('n', '5', byId('s/1')), 'ok v4 =15; n:=15'],
        [add('n', '5', byId('s/1')), 'ok v4 =15 again, as at 4'],
        [add('n', '5', byId('s/0')), 'ok v6 =20; n:=20'],
        [add('n', '5', byId('s/01')), 'ok v7 =25; n:=25'],
      ],
      ({ state }) => expect(state.ids).to.equal(5),
    )
    transcript('of a mutation whose condition did not hold is remembered too', [
      [barrier, ''],
      [putIf(9, 'a', '1'), 'VERSION_MISMATCH'],
      [put('a', '1', { 'tm-if-version': '9', ...byId('s/1') }), 'VERSION_MISMATCH'],
      [put('a', '0'), 'ok v3; a:=0'],
      [put('a', '1', { 'tm-if-version': '3', ...byId('s/1') }), 'VERSION_MISMATCH again, as at 2'],
    ])
    transcript('of a record that could not be read is not remembered', [
      [put('a', '1', { 'tm-ttl-ms': '0', ...byId('s/1') }), 'TTL_INVALID'],
      [put('a', '1', byId('s/1')), 'ok v1; a:=1'],
    ])
    transcript('counts inside a pack: the same one twice, and one that came before', [
      [
        pack([mutation.add('n', 1n, { requestId: 's/1' }), mutation.add('m', 1n, { requestId: 's/1' })]),
        'ok v0 =1, ok v0 =1 again, as at 0; n:=1',
      ],
      [add('n', '1', byId('s/1')), 'ok v0 =1 again, as at 0'],
      [
        pack([mutation.add('n', 1n, { requestId: 's/1' }), mutation.add('m', 1n)]),
        'ok v0 =1 again, as at 0, ok v2 =1; m:=1',
      ],
    ])
    transcript('of a pack drops all of it the second time', [
      [pack([mutation.add('n', 1n), mutation.add('m', 1n)], byId('w/1')), 'ok v0 =1, ok v0 =1; n:=1; m:=1'],
      [pack([mutation.add('n', 1n), mutation.add('m', 1n)], byId('w/1')), 'ok again, as at 0; copy of 0'],
      [put('x', 'y', byId('w/1')), 'ok again, as at 0'],
    ])
    transcript('of a pack may be that of one of its mutations: the first outcome stays', [
      [
        pack([mutation.add('n', 1n, { requestId: 'w/1' }), mutation.add('m', 1n)], byId('w/1')),
        'ok v0 =1, ok v0 =1; n:=1; m:=1',
      ],
      [
        pack([mutation.add('n', 1n, { requestId: 'w/1' }), mutation.add('m', 1n)], byId('w/1')),
        'ok v0 =1 again, as at 0; copy of 0',
      ],
    ])
    transcript(
      'does not stand in the way of control records',
      [
        [encodeLead('n', 'i'), ''],
        [draft(null, null, { 'tm-op': 'barrier', ...byId('w/1') }), ''],
        [draft(null, null, { 'tm-op': 'barrier', ...byId('w/1') }), ''],
      ],
      ({ state }) => expect(state.ids).to.equal(0),
    )

    it('that fell out of the window of its session is refused', () => {
      const driver = new CoreDriver()
      const run = (id: string): string =>
        driver
          .run([logged(driver.state.next, 0, add('n', '1', byId(id)))])
          .effects.map(show)
          .join()
      for (let sequence = 0; sequence < 1088; sequence++) run(`s/${sequence}`)
      expect(run('s/0'), 'all of the window is full').to.match(/again, as at 0$/)
      run('s/1088')
      expect(run('s/0')).to.equal('REQUEST_ID_FORGOTTEN')
      expect(run('s/63')).to.equal('REQUEST_ID_FORGOTTEN')
      expect(run('s/64')).to.match(/again, as at 64$/)
      expect(driver.rows.get('n')?.value.toString()).to.equal('1089')
    })

    it('of the session used longest ago is forgotten when so many others came after it', () => {
      const driver = play([
        [put('a', '1', byId('old')), 'ok v0; a:=1'],
        [put('b', '1', byId('young/7')), 'ok v1; b:=1'],
      ])
      // As if a busy session had written all the time since.
      driver.state.ids = DEDUPE_IDS_MAX
      play(
        [
          [put('a', '2', byId('old')), 'ok v0 again, as at 0'],
          [put('c', '1', byId('busy/1')), 'ok v3; c:=1'],
          [put('a', '2', byId('old')), 'ok v4; a:=2'],
          [put('b', '2', byId('young/7')), 'ok v5; b:=2'],
        ],
        driver,
      )
      expect([...driver.sessions.keys()]).to.have.members(['iold', 'sbusy', 'syoung'])
    })

    it('renews the place of its session when that is more than so many ids back, not before', () => {
      for (const [passed, arrival] of [
        [DEDUPE_RENEW_IDS, 1],
        [DEDUPE_RENEW_IDS + 1, DEDUPE_RENEW_IDS + 2],
      ] as const) {
        const driver = play([[put('a', '1', byId('s/1')), 'ok v0; a:=1']])
        driver.state.ids = passed
        play([[put('a', '2', byId('s/2')), 'ok v1; a:=2']], driver)
        expect(driver.sessions.get('ss')?.arrival).to.equal(arrival)
      }
    })

    it('of a session that is in use is kept', () => {
      const driver = play([[put('a', '1', byId('s/1')), 'ok v0; a:=1']])
      for (let round = 1; round <= 20; round++) {
        driver.state.ids += DEDUPE_RENEW_IDS
        play([[put('b', '1', byId(`s/${round + 1}`)), `ok v${round}; b:=1`]], driver)
      }
      expect(driver.state.ids).to.be.greaterThan(DEDUPE_IDS_MAX)
      play([[put('a', '2', byId('s/1')), 'ok v0 again, as at 0']], driver)
    })
  })

  describe('expiry', () => {
    transcript(
      'comes with the first record at or past the time, exactly',
      [
        [putFor(100, 'a', '1'), 'ok v0; a:=1 until 100'],
        [at(99, barrier), ''],
        [at(100, barrier), 'expired a'],
        [at(101, barrier), ''],
      ],
      ({ state }) => expect(state.rows).to.equal(0),
    )
    transcript('goes by time, then key', [
      [putFor(20, 'c', '1'), 'ok v0; c:=1 until 20'],
      [putFor(20, 'a', '1'), 'ok v1; a:=1 until 20'],
      [putFor(10, 'z', '1'), 'ok v2; z:=1 until 10'],
      [putFor(30, 'b', '1'), 'ok v3; b:=1 until 30'],
      [at(25, put('k', 'v')), 'ok v4; expired z; expired a; expired c; k:=v'],
    ])
    transcript('comes before what the record does to the same row', [
      [putFor(10, 'a', '1'), 'ok v0; a:=1 until 10'],
      [at(10, putFor(10, 'a', '2')), 'ok v1; expired a; a:=2 until 20'],
      [at(20, remove('a')), 'ok; expired a'],
      [at(20, putFor(5, 'a', '3')), 'ok v3; a:=3 until 25'],
      [at(25, add('a', '1')), 'ok v4 =1; expired a; a:=1'],
    ])
    transcript('comes with records that are rejected, too', [
      [putFor(10, 'a', '1'), 'ok v0; a:=1 until 10'],
      [at(10, put('', 'x')), 'KEY_EMPTY; expired a'],
    ])
    transcript('is forgotten by a put without time to live, replaced by one with another', [
      [putFor(10, 'a', '1'), 'ok v0; a:=1 until 10'],
      [putFor(10, 'b', '1'), 'ok v1; b:=1 until 10'],
      [put('a', '2'), 'ok v2; a:=2'],
      [putFor(30, 'b', '2'), 'ok v3; b:=2 until 30'],
      [at(20, barrier), ''],
      [at(30, barrier), 'expired b'],
    ])
    transcript(
      'does not care for time that goes back',
      [
        [at(100, putFor(10, 'a', '1')), 'ok v0; a:=1 until 110'],
        [at(50, putFor(10, 'b', '1')), 'ok v1; b:=1 until 110'],
        [at(0, barrier), ''],
        [at(110, barrier), 'expired a; expired b'],
      ],
      ({ state }) => expect(state.time).to.equal(110),
    )
    transcript('does not care for times that no clock shows', [
      [at(100, putFor(10, 'a', '1')), 'ok v0; a:=1 until 110'],
      [at(-1, barrier), ''],
      [at(2 ** 60, barrier), ''],
      [at(LOG_TIME_MAX + 1, barrier), ''],
      [at(Number.MAX_SAFE_INTEGER, putFor(20, 'b', '1')), 'ok v4; b:=1 until 120'],
      [
        at(LOG_TIME_MAX, putFor(TTL_MS_MAX, 'c', '1')),
        `ok v5; expired a; expired b; c:=1 until ${LOG_TIME_MAX + TTL_MS_MAX}`,
      ],
    ])

    it(`takes at most ${EXPIRIES_PER_RECORD_MAX} rows for one record; the others are dead already`, () => {
      const rows = 2 * EXPIRIES_PER_RECORD_MAX + 10
      const name = (index: number): string => `k${String(index).padStart(5, '0')}`
      const driver = play([])
      driver.run([
        logged(
          0,
          0,
          pack(Array.from({ length: rows }, (_, index) => mutation.put(name(index), 'v', { ttlMs: 10 }))),
        ),
      ])
      const expired = (time: number, record: NewRecord): readonly [number, string] => {
        const [effects] = driver.run([logged(driver.state.next, time, record)]).effects
        if (effects === undefined) throw new Error('no effects')
        const kinds = effects.changes.map(({ kind, key }) => `${kind} ${String(key)}`)
        return [kinds.filter((line) => line.startsWith('expired')).length, kinds.at(-1) ?? '']
      }
      expect(driver.state.rows).to.equal(rows)
      // The last row is not among the first 512, but it is dead for the condition, and expires out of its turn.
      expect(expired(10, putIf(0, name(rows - 1), 'new'))).to.deep.equal([
        EXPIRIES_PER_RECORD_MAX + 1,
        `put ${name(rows - 1)}`,
      ])
      expect(expired(10, barrier)).to.deep.equal([EXPIRIES_PER_RECORD_MAX, `expired ${name(1023)}`])
      expect(expired(10, barrier)).to.deep.equal([9, `expired ${name(1032)}`])
      expect(expired(10, barrier)).to.deep.equal([0, ''])
      expect(driver.state.rows).to.equal(1)
    })

    it('finds a row that is written and due within one batch', () => {
      const driver = new CoreDriver()
      const { effects } = driver.run([
        logged(0, 0, putFor(5, 'a', '1')),
        logged(1, 3, putFor(1, 'b', '1')),
        logged(2, 4, barrier),
        logged(3, 9, barrier),
      ])
      expect(effects.map(show)).to.deep.equal([
        'ok v0; a:=1 until 5',
        'ok v1; b:=1 until 4',
        'expired b',
        'expired a',
      ])
    })
  })

  describe('control records', () => {
    transcript(
      'lead sets the epoch; a tick of another one is rejected',
      [
        [barrier, ''],
        [encodeLead('n1', 'i1'), ''],
        [tick(1), ''],
        [tick(0), 'STALE_EPOCH'],
        [encodeLead('n2', 'i2'), ''],
        [tick(1), 'STALE_EPOCH'],
        [tick(4), ''],
        [tick(99), 'STALE_EPOCH'],
      ],
      ({ state }) =>
        expect([state.epoch, state.leader, state.incarnation, state.rejected]).to.deep.equal([
          4,
          'n2',
          'i2',
          3,
        ]),
    )
    transcript('a tick expires rows, a stale one too: time comes from the log', [
      [encodeLead('n1', 'i1'), ''],
      [putFor(10, 'a', '1'), 'ok v1; a:=1 until 10'],
      [putFor(20, 'b', '1'), 'ok v2; b:=1 until 20'],
      [at(10, tick(0)), 'expired a'],
      [at(20, tick(7)), 'STALE_EPOCH; expired b'],
    ])
    transcript(
      'the first format sets the keyspace up, a second one needs the epoch',
      [
        [format({ valueBytesMax: 3, separator: '/', packingDisabled: true, replication: 3 }), ''],
        [put('a', '1234'), 'VALUE_TOO_LARGE'],
        [format({ valueBytesMax: 9, separator: '/' }), 'STALE_EPOCH'],
        [encodeLead('n', 'i'), ''],
        [format({ valueBytesMax: 9, separator: '/' }, 2), 'STALE_EPOCH'],
        [format({ valueBytesMax: 9, separator: '/', defaultTtlMs: 7, replication: 1 }, 3), ''],
        [put('a', '1234'), 'ok v6; a:=1234 until 7'],
      ],
      ({ state }) => {
        const { valueBytesMax, packing, defaultTtlMs, replication } = state
        expect({ valueBytesMax, packing, defaultTtlMs, replication }).to.deep.equal({
          valueBytesMax: 9,
          packing: true,
          defaultTtlMs: 7,
          replication: 1,
        })
      },
    )
    transcript('nobody changes settings in epoch 0, which is that of no leader', [
      [format({}), ''],
      [format({ defaultTtlMs: 1 }, 0), 'STALE_EPOCH'],
      [put('a', '1'), 'ok v2; a:=1'],
    ])
    transcript(
      'a leader whose record stands at offset 0 leads anew before it changes settings',
      [
        [encodeLead('n', 'i'), ''],
        [format({}), ''],
        [format({ replication: 2 }, 0), 'STALE_EPOCH'],
        [encodeLead('n', 'i'), ''],
        [format({ replication: 2 }, 3), ''],
      ],
      ({ state }) => expect(state.replication).to.equal(2),
    )
    transcript(
      'a later format moves no key, makes no value too large, and then changes nothing at all',
      [
        [format({ separator: '/', valueBytesMax: 9 }), ''],
        [encodeLead('n', 'i'), ''],
        [format({ separator: ':', valueBytesMax: 9, replication: 5 }, 1), 'SETTING_FIXED'],
        [format({ valueBytesMax: 9, replication: 5 }, 1), 'SETTING_FIXED'],
        [format({ separator: '/', valueBytesMax: 8, packingDisabled: true }, 1), 'SETTING_FIXED'],
        [format({ separator: '/', valueBytesMax: 9, packingDisabled: true }, 1), ''],
        [format({ separator: '/' }, 1), ''],
        [format({ separator: '/', valueBytesMax: 9 }, 1), 'SETTING_FIXED'],
      ],
      ({ state }) => {
        const { valueBytesMax, packing, replication, rejected } = state
        expect({ valueBytesMax, packing, replication, rejected }).to.deep.equal({
          valueBytesMax: 1024 * 1024,
          packing: true,
          replication: 0,
          rejected: 4,
        })
      },
    )
    transcript('rows without a time to live get that of the keyspace from the record on that says so', [
      [put('old', '1'), 'ok v0; old:=1'],
      [encodeLead('n', 'i'), ''],
      [format({ defaultTtlMs: 100 }, 1), ''],
      [at(10, put('a', '1')), 'ok v3; a:=1 until 110'],
      [at(10, putFor(5, 'b', '1')), 'ok v4; b:=1 until 15'],
      [
        pack([mutation.put('c', '1'), mutation.add('n', 1n)]),
        'ok v5, ok v5 =1; c:=1 until 110; n:=1 until 110',
      ],
      [txn([], [change.put('d', '1'), change.add('m', 1n)]), 'ok then; d:=1 until 110; m:=1 until 110'],
      // An increment keeps what the row has; one that makes the row begins a new life.
      [at(20, add('n', '1')), 'ok v7 =2; expired b; n:=2 until 110'],
      [add('old', '1'), 'ok v8 =2; old:=2'],
      [put('old', '1'), 'ok v9; old:=1 until 120'],
      [format({}, 1), ''],
      [put('a', '2'), 'ok v11; a:=2'],
      [add('n', '1'), 'ok v12 =3; n:=3 until 110'],
    ])
    transcript(
      'a row that came before any format settles where keys lie',
      [
        [put('a', '1'), 'ok v0; a:=1'],
        [format({ separator: '/' }), 'STALE_EPOCH'],
      ],
      ({ state }) => expect(state.partitionBy.kind).to.equal('key'),
    )
    transcript(
      'what changed no row settles nothing',
      [
        [put('', '1'), 'KEY_EMPTY'],
        [put('a', '1', { 'tm-op': 'x' }), 'UNKNOWN_OPERATION'],
        [remove('a'), 'ok'],
        [putIf(7, 'a', '1'), 'VERSION_MISMATCH'],
        [encodeLead('n', 'i'), ''],
        [barrier, ''],
        [format({ separator: '/' }), ''],
      ],
      ({ state }) => expect(state.partitionBy.kind).to.equal('prefix'),
    )
    transcript(
      'a format of the future stops the partition',
      [
        [format({}), ''],
        [encodeLead('n', 'i'), ''],
        [format({ version: 2 }, 1), 'STOP: format 2'],
        [format({ version: 2 }, 1), 'STOP: format 2'],
      ],
      ({ state }) => expect(state.next, 'nothing is stepped over').to.equal(2),
    )
    transcript('a format of the future as the first one stops the partition, too', [
      [format({ version: 3 }), 'STOP: format 3'],
    ])
    transcript('a format of the future that nobody may write stops nothing', [
      [format({}), ''],
      [encodeLead('n', 'i'), ''],
      [format({ version: 2 }), 'STALE_EPOCH'],
      [format({ version: 2 }, 0), 'STALE_EPOCH'],
    ])
    it('a format of the future leaves state and rows as they were', () => {
      const driver = play([
        [format({}), ''],
        [encodeLead('n', 'i'), ''],
        [putFor(10, 'a', '1'), 'ok v2; a:=1 until 10'],
      ])
      const before = structuredClone(driver.state)
      play([[at(50, format({ version: 2 }, 1)), 'STOP: format 2']], driver)
      expect(driver.state).to.deep.equal(before)
      expect(driver.rows.get('a')?.tombstone).to.equal('none')
    })
  })

  describe('bounds of the keyspace', () => {
    transcript('a value over the bound is rejected wherever it stands', [
      [format({ valueBytesMax: 4 }), ''],
      [put('a', '1234'), 'ok v1; a:=1234'],
      [put('a', '12345'), 'VALUE_TOO_LARGE'],
      [pack([mutation.put('a', '12345'), mutation.put('b', '1')]), 'VALUE_TOO_LARGE, ok v3; b:=1'],
      [
        txn([version('a', 'equal', 0)], [change.put('a', '12345')], [change.put('c', '1')]),
        'VALUE_TOO_LARGE',
      ],
      [txn([], [change.put('c', '1')], [change.put('a', '12345')]), 'VALUE_TOO_LARGE'],
      [txn([value('a', 'equal', '12345')], [], [change.put('c', '1')]), 'ok else; c:=1'],
      [add('n', '123456'), 'ok v7 =123456; n:=123456'],
    ])

    it('a key of another partition is rejected wherever it stands', () => {
      const here: string[] = []
      const there: string[] = []
      for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) {
        const driver = new CoreDriver(0, 2)
        const [effects] = driver.run([logged(0, 0, put(key, '1'))]).effects
        ;(effects?.outcomes[0]?.status === 'applied' ? here : there).push(key)
      }
      const [near = '', close = ''] = here
      const [far = ''] = there
      play(
        [
          [put(far, '1'), 'MISPLACED_KEY'],
          [remove(far), 'MISPLACED_KEY'],
          [put(near, '1', byId('s/1')), `ok v2; ${near}:=1`],
          [put(far, '1', byId('s/1')), 'MISPLACED_KEY'],
          [pack([mutation.put(far, '1'), mutation.put(close, '1')]), `MISPLACED_KEY, ok v4; ${close}:=1`],
          [txn([version(far, 'equal', 0)], [change.put(near, '2')]), 'MISPLACED_KEY'],
          [txn([], [change.put(near, '2')], [change.remove(far)]), 'MISPLACED_KEY'],
          [txn([], [change.put(near, '2')]), `ok then; ${near}:=2`],
        ],
        new CoreDriver(0, 2),
      )
    })
  })

  describe('the chain hash', () => {
    const chainOf = (...records: NewRecord[]): string => {
      const driver = new CoreDriver()
      records.forEach((record, offset) => driver.run([logged(offset, 5, record)]))
      return Buffer.from(driver.state.chain).toString('hex')
    }
    it('is frozen', () => {
      expect(chainOf()).to.equal('00'.repeat(32))
      const all = chainOf(
        put('a', '1'),
        putFor(10, 'b', '2'),
        add('n', '5', byId('s/1')),
        add('n', '5', byId('s/1')),
        txn([version('a', 'equal', 0)], [change.put('c', '1')], [change.remove('a')]),
        put('', ''),
      )
      expect(all).to.equal('1c3675d4e93fda32b5e553485915ff403b14cd34c1898db76a49f487589fa79d')
    })
    it('is SHA-256 over the link before and the effects, spelled as effects.ts says', () => {
      const offset = '00'
      const time = '05'
      const outcomes = '01' + '002000'
      const row = '00' + '0000000000000000' + '31'
      const changes = '01' + '01' + '0161' + '0a' + row
      const link = createHash('sha256')
        .update(Buffer.alloc(32))
        .update(Buffer.from(offset + time + outcomes + changes, 'hex'))
      expect(chainOf(put('a', '1'))).to.equal(link.digest('hex'))
    })
    it('tells apart what is different, in effect or in order', () => {
      const chains = [
        chainOf(put('a', '1')),
        chainOf(put('a', '2')),
        chainOf(put('b', '1')),
        chainOf(put('a', '1', { 'content-type': 'x' })),
        chainOf(put('a', '1'), put('b', '1')),
        chainOf(put('b', '1'), put('a', '1')),
        chainOf(put('', '')),
      ]
      expect(new Set(chains).size).to.equal(chains.length)
    })
    it('covers what happened, not how it was said', () => {
      expect(chainOf(put('a', '1', { 'x-other': 'y', 'tm-op': 'put' }))).to.equal(chainOf(put('a', '1')))
      expect(chainOf(put('a', '1', { traceparent: '00-1' })), 'a trace context is no state').to.equal(
        chainOf(put('a', '1')),
      )
    })
  })
})
