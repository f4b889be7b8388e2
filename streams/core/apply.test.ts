/**
 * What each record does to a partition, as transcripts: a record, and then on one line its verdicts, its changes, in order.
 * The first record of a transcript stands at offset 0; the time is 0 until a line says otherwise.
 */
import type { Compare } from './mutation.ts'
import { CoreDriver } from './testing/core-driver.ts'
import { draft, logged } from './testing/records.ts'
import type { NewRecord } from './types.ts'
import { expect } from 'chai'
import {
  MAX,
  MIN,
  add,
  at,
  barrier,
  change,
  mutation,
  pack,
  play,
  put,
  putFor,
  putIf,
  remove,
  transcript,
  txn,
  value,
  version,
} from './testing/transcript.ts'

describe('apply', () => {
  describe('put and delete', () => {
    transcript(
      'write, write over, delete, delete nothing',
      [
        [put('a', '1'), 'ok v0; a:=1'],
        [put('a', '2'), 'ok v1; a:=2'],
        [put('b', ''), 'ok v2; b:='],
        [remove('a'), 'ok; deleted a'],
        [remove('a'), 'ok'],
        [remove('never'), 'ok'],
        [put('a', '3'), 'ok v6; a:=3'],
      ],
      ({ state }) => expect([state.rows, state.rejected, state.next]).to.deep.equal([2, 0, 7]),
    )

    transcript(
      'keep the content type with the row, until the next put',
      [
        [put('a', '{}', { 'content-type': 'application/json' }), 'ok v0; a:={}'],
        [put('a', '1'), 'ok v1; a:=1'],
      ],
      ({ rows }) => expect(rows.get('a')?.contentType).to.equal(''),
    )

    it('count what is rejected, and change nothing by it', () => {
      const driver = play([
        [put('', 'x'), 'KEY_EMPTY'],
        [put('a', 'x', { 'tm-op': 'merge' }), 'UNKNOWN_OPERATION'],
        [put('a', 'x', { 'tm-new': '1' }), 'RECORD_MALFORMED'],
      ])
      expect([driver.state.rejected, driver.state.rows, driver.rows.size]).to.deep.equal([3, 0, 0])
    })
  })

  describe('conditions', () => {
    transcript('hold for the version that stands', [
      [barrier, ''],
      [putIf(0, 'a', '1'), 'ok v1; a:=1'],
      [putIf(0, 'a', '2'), 'VERSION_MISMATCH v1'],
      [putIf(2, 'a', '2'), 'VERSION_MISMATCH v1'],
      [putIf(1, 'a', '2'), 'ok v4; a:=2'],
      [putIf(1, 'a', '3'), 'VERSION_MISMATCH v4'],
      [remove('a', { 'tm-if-version': '1' }), 'VERSION_MISMATCH v4'],
      [remove('a', { 'tm-if-version': '4' }), 'ok; deleted a'],
      [putIf(4, 'a', '4'), 'VERSION_MISMATCH'],
      [remove('a', { 'tm-if-version': '0' }), 'ok'],
      [putIf(0, 'a', '5'), 'ok v10; a:=5'],
      [add('a', '1', { 'tm-if-version': '3' }), 'VERSION_MISMATCH v10'],
      [add('a', '1', { 'tm-if-version': '10' }), 'ok v12 =6; a:=6'],
    ])

    transcript('0 means that there is no row, also where one was written at offset 0', [
      [put('a', '1'), 'ok v0; a:=1'],
      [putIf(0, 'a', '2'), 'VERSION_MISMATCH v0'],
      [txn([version('a', 'equal', 0)], [change.put('a', 'mine')]), 'ok else'],
      [
        txn(
          [version('a', 'greater', 0), version('a', 'not-equal', 0), version('a', 'less', 1)],
          [change.put('a', '3')],
        ),
        'ok then; a:=3',
      ],
      [txn([version('b', 'equal', 0), version('b', 'less', 1)], [change.put('b', '1')]), 'ok then; b:=1'],
    ])

    transcript('see a row that is due as gone', [
      [putFor(100, 'a', '1'), 'ok v0; a:=1 until 100'],
      [at(100, putIf(0, 'a', '2')), 'ok v1; expired a; a:=2'],
    ])
  })

  describe('increment', () => {
    transcript('starts at nothing and adds, downwards too', [
      [add('n', '5'), 'ok v0 =5; n:=5'],
      [add('n', '-8'), 'ok v1 =-3; n:=-3'],
      [add('n', '0'), 'ok v2 =-3; n:=-3'],
      [remove('n'), 'ok; deleted n'],
      [add('n', '-1'), 'ok v4 =-1; n:=-1'],
    ])
    transcript('needs decimal text', [
      [put('t', 'text'), 'ok v0; t:=text'],
      [add('t', '1'), 'NOT_A_NUMBER'],
      [put('t', ''), 'ok v2; t:='],
      [add('t', '1'), 'NOT_A_NUMBER'],
      [put('t', '007'), 'ok v4; t:=007'],
      [add('t', '1'), 'NOT_A_NUMBER'],
      [put('t', '-0'), 'ok v6; t:=-0'],
      [add('t', '1'), 'NOT_A_NUMBER'],
      [put('t', '41'), 'ok v8; t:=41'],
      [add('t', '1'), 'ok v9 =42; t:=42'],
    ])
    transcript('stays inside 64 bits, at both ends', [
      [add('n', MAX), `ok v0 =${MAX}; n:=${MAX}`],
      [add('n', '1'), 'NUMBER_OVERFLOW'],
      [add('n', '-1'), 'ok v2 =9223372036854775806; n:=9223372036854775806'],
      [add('m', MIN), `ok v3 =${MIN}; m:=${MIN}`],
      [add('m', '-1'), 'NUMBER_OVERFLOW'],
      [add('m', MAX), 'ok v5 =-1; m:=-1'],
      [add('m', MIN), 'NUMBER_OVERFLOW'],
    ])
    transcript('keeps time to live and content type, unless it brings a time to live', [
      [put('n', '1', { 'tm-ttl-ms': '100', 'content-type': 'text/plain' }), 'ok v0; n:=1 until 100'],
      [at(50, add('n', '1')), 'ok v1 =2; n:=2 until 100'],
      [at(60, add('n', '1', { 'tm-ttl-ms': '100' })), 'ok v2 =3; n:=3 until 160'],
      [at(160, add('n', '1')), 'ok v3 =1; expired n; n:=1'],
    ])
  })

  describe('transaction', () => {
    const ops: readonly (readonly [Compare, boolean])[] = [
      [version('a', 'equal', 1), true],
      [version('a', 'equal', 2), false],
      [version('a', 'not-equal', 2), true],
      [version('a', 'greater', 0), true],
      [version('a', 'greater', 1), false],
      [version('a', 'less', 2), true],
      [version('a', 'less', 1), false],
      [version('none', 'equal', 0), true],
      [version('none', 'greater', 0), false],
      [version('none', 'less', 1), true],
      [version('none', 'not-equal', 0), false],
      [value('a', 'equal', 'm'), true],
      [value('a', 'equal', 'mm'), false],
      [value('a', 'not-equal', 'x'), true],
      [value('a', 'greater', 'l\xff'), true],
      [value('a', 'greater', 'm'), false],
      [value('a', 'less', 'm\0'), true],
      [value('a', 'less', 'm'), false],
      [value('none', 'equal', ''), false],
      [value('none', 'not-equal', ''), true],
      [value('none', 'greater', ''), false],
      [value('none', 'less', 'zzz'), false],
      [value('high', 'greater', '\x7f'), true],
    ]
    for (const [compare, holds] of ops) {
      const wanted = compare.target === 'version' ? compare.version : JSON.stringify(String(compare.value))
      it(`${String(compare.key)}'s ${compare.target} ${compare.operator} ${wanted} is ${holds}`, () => {
        play([
          [barrier, ''],
          [put('a', 'm'), 'ok v1; a:=m'],
          [draft('high', Buffer.from([0x80])), 'ok v2; high:=\x80'],
          [
            txn([compare], [change.put('b', 'then')], [change.put('b', 'else')]),
            holds ? 'ok then; b:=then' : 'ok else; b:=else',
          ],
        ])
      })
    }

    transcript('takes the then branch when all compares hold, else the other', [
      [barrier, ''],
      [put('a', '1'), 'ok v1; a:=1'],
      [txn([], []), 'ok then'],
      [
        txn([], [change.put('b', 'x'), change.remove('a'), change.add('n', 5n)]),
        'ok then; b:=x; deleted a; n:=5',
      ],
      [
        txn(
          [version('b', 'equal', 3), version('a', 'equal', 9)],
          [change.put('c', 'x')],
          [change.remove('b')],
        ),
        'ok else; deleted b',
      ],
      [txn([version('b', 'equal', 1)], [change.put('c', 'x')]), 'ok else'],
      [txn([], [change.remove('nothing')]), 'ok then'],
    ])
    transcript('with an impossible increment changes nothing', [
      [put('t', 'text'), 'ok v0; t:=text'],
      [put('n', MAX), `ok v1; n:=${MAX}`],
      [txn([], [change.put('a', '1'), change.add('t', 1n)]), 'NOT_A_NUMBER'],
      [txn([], [change.add('x', 1n), change.add('n', 1n), change.put('a', '1')]), 'NUMBER_OVERFLOW'],
      [txn([version('t', 'equal', 99)], [change.add('t', 1n)], [change.put('a', '1')]), 'ok else; a:=1'],
    ])
    transcript('expires rows that are due before it looks at them', [
      [putFor(10, 'a', '1'), 'ok v0; a:=1 until 10'],
      [putFor(50, 'n', '7'), 'ok v1; n:=7 until 50'],
      [
        at(10, txn([version('a', 'equal', 0)], [change.put('a', '2', { ttlMs: 5 }), change.add('n', 1n)])),
        'ok then; expired a; a:=2 until 15; n:=8 until 50',
      ],
    ])
    transcript('has a time to live for each put and increment', [
      [
        at(100, txn([], [change.put('a', '1', { ttlMs: 7 }), change.put('b', '1'), change.add('n', 1n)])),
        'ok then; a:=1 until 107; b:=1; n:=1',
      ],
      [
        txn([], [change.add('n', 1n, { ttlMs: 9 }), change.add('m', 1n, { ttlMs: 5 })]),
        'ok then; n:=2 until 109; m:=1 until 105',
      ],
      [at(103, txn([], [change.add('n', 1n)])), 'ok then; n:=3 until 109'],
    ])
    transcript('that changes a key twice in a branch is rejected', [
      [txn([], [change.put('a', '1'), change.remove('a')]), 'DUPLICATE_KEY'],
      [txn([], [change.put('a', '1')], [change.put('a', '2')]), 'ok then; a:=1'],
    ])
    transcript(
      'is remembered by its request id, whatever became of it',
      [
        [put('t', 'text'), 'ok v0; t:=text'],
        [txn([version('t', 'equal', 9)], [], [change.add('n', 1n)], 's/1'), 'ok else; n:=1'],
        [txn([version('t', 'equal', 9)], [], [change.add('n', 1n)], 's/1'), 'ok else again, as at 1'],
        [txn([], [change.add('t', 1n)], [], 's/2'), 'NOT_A_NUMBER'],
        [txn([], [change.add('t', 1n)], [], 's/2'), 'NOT_A_NUMBER again, as at 3'],
      ],
      ({ state }) => expect(state.rejected, 'the second one is not counted').to.equal(1),
    )
  })

  describe('pack', () => {
    transcript(
      'gives each mutation its own outcome',
      [
        [put('t', 'text'), 'ok v0; t:=text'],
        [
          pack([
            mutation.put('a', '1'),
            mutation.put('b', '1', { ifVersion: 7 }),
            mutation.add('t', 1n),
            mutation.add('n', 2n),
            mutation.remove('c'),
            mutation.put('', 'x'),
          ]),
          'ok v1, VERSION_MISMATCH, NOT_A_NUMBER, ok v1 =2, ok, KEY_EMPTY; a:=1; n:=2',
        ],
      ],
      ({ state }) => expect(state.rejected).to.equal(3),
    )
    transcript('takes one mutation for each key', [
      [
        pack([mutation.put('a', '1'), mutation.put('a', '2'), mutation.remove('a'), mutation.put('b', '1')]),
        'ok v0, DUPLICATE_KEY, DUPLICATE_KEY, ok v0; a:=1; b:=1',
      ],
    ])
    it('is rejected as a whole when it is empty, cut or its checksum does not fit', () => {
      const good = pack([mutation.put('a', '1'), mutation.put('b', '1')])
      const whole = Buffer.from(good.value ?? [])
      const bad = Buffer.from(whole)
      bad[1] = (bad[1] ?? 0) ^ 1
      const as = (content: Buffer): NewRecord => draft(null, content, { 'tm-op': 'pack' })
      play([
        [as(bad), 'RECORD_MALFORMED'],
        [as(whole.subarray(0, whole.length - 1)), 'RECORD_MALFORMED'],
        [as(whole.subarray(0, 5)), 'RECORD_MALFORMED'],
        [as(Buffer.alloc(0)), 'RECORD_MALFORMED'],
        [as(whole), 'ok v4, ok v4; a:=1; b:=1'],
      ])
    })
    it('takes 16,384 mutations and not one more', () => {
      const many = (count: number): NewRecord =>
        pack(Array.from({ length: count }, (_, index) => mutation.put(`k${index}`, 'v')))
      const driver = new CoreDriver()
      const outcomes = (record: NewRecord): number =>
        driver.run([logged(driver.state.next, 0, record)]).effects[0]?.outcomes.length ?? 0
      expect(outcomes(many(16_384))).to.equal(16_384)
      expect(driver.state.rows).to.equal(16_384)
      expect(outcomes(many(16_385))).to.equal(1)
      expect(driver.state.rejected).to.equal(1)
    })
    transcript('expires a row that is due before it writes it', [
      [putFor(5, 'a', '1'), 'ok v0; a:=1 until 5'],
      [
        at(5, pack([mutation.add('b', 1n), mutation.add('a', 3n)])),
        'ok v1 =1, ok v1 =3; expired a; b:=1; a:=3',
      ],
    ])
  })
})
