import { expect } from 'chai'
import { draft, logged } from '../core/testing/records.ts'
import { entryLine, historyLines, keyspaceLine, parseHistory } from './history-codec.ts'
import type { Entry, History } from './history.ts'

const everyByte = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString('latin1')

const entries: readonly Entry[] = [
  {
    type: 'call',
    seq: 0,
    atMs: 5,
    op: 1,
    client: 'c1',
    node: 'n1',
    call: { kind: 'put', key: everyByte, value: everyByte, ttlMs: 5, requestId: 's/1' },
  },
  { type: 'fault', seq: 1, atMs: 5, name: 'kill n1', active: true },
  {
    type: 'return',
    seq: 7,
    atMs: 6,
    op: 1,
    result: {
      status: 'ok',
      answer: {
        kind: 'written',
        partition: 0,
        offset: 0,
        outcome: { applied: true, offset: 0, version: 0, duplicate: false },
        reads: [null],
      },
    },
  },
]

const history: History = {
  keyspace: { name: 'default', partitions: 2, separator: '/' },
  entries,
  log: [
    [
      logged(0, 5, draft(everyByte, null, { 'tm-op': new Uint8Array([0, 255]) })),
      logged(3, 4, draft(null, '')),
    ],
    [],
  ],
  replicas: [
    { node: 'n1', partition: 0, next: 4, chain: 'ab', rows: [] },
    { node: 'n2', partition: 0, next: 4, chain: 'ab', rows: undefined },
  ],
}

describe('a history as lines', () => {
  it('comes back as it was, every byte', () => {
    const parsed = parseHistory([...historyLines(history)])
    expect({ ...parsed, log: [] }).to.deep.equal({ ...history, log: [] })
    expect([...historyLines(parsed)]).to.deep.equal([...historyLines(history)])
    expect(parsed.log[0]?.[0]?.key).to.deep.equal(history.log[0]?.[0]?.key)
    expect(parsed.log[0]?.[1]).to.include({ offset: 3, key: null })
  })

  it('says which line is wrong', () => {
    const first = keyspaceLine(history.keyspace)
    const call = entries.map(entryLine)[0] ?? ''
    expect(() => parseHistory([])).to.throw('empty')
    expect(() => parseHistory([call])).to.throw(
      'line 1 of the history: the first line must tell the keyspace',
    )
    expect(() => parseHistory([first, first])).to.throw('line 2 of the history: a second keyspace')
    expect(() => parseHistory([first, call, '', call])).to.throw(
      'line 4 of the history: the order does not rise',
    )
    expect(() => parseHistory([first, '{"type":"rumour"}'])).to.throw('its type is unknown')
    const record = '{"type":"record","partition":2,"offset":0,"time":0,"key":null,"value":null,"headers":{}}'
    expect(() => parseHistory([first, record])).to.throw('there is no partition 2')
    const twice = record.replace('"partition":2', '"partition":1')
    expect(() => parseHistory([first, twice, twice])).to.throw('the offset does not rise')
  })
})
