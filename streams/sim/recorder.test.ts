import { expect } from 'chai'
import type { Entry } from './history.ts'
import { operationKind } from './history.ts'
import { Recorder } from './recorder.ts'

describe('the recorder', () => {
  it('gives calls, returns and faults one order', () => {
    let now = 100
    const told: Entry[] = []
    const recorder = new Recorder({ now: () => now++, onEntry: (entry) => told.push(entry) })
    const first = recorder.call('c1', 'n1', { kind: 'get', key: 'a', consistency: 'eventual', token: [] })
    const second = recorder.call('c2', 'n2', { kind: 'delete', key: 'a' })
    recorder.fault('kill n1', true)
    recorder.fault('kill n1', true)
    recorder.return(second, { status: 'unknown', reason: 'WRITE_UNKNOWN' })
    recorder.fault('kill n1', false)
    expect(recorder.open).to.equal(1)
    recorder.return(first, {
      status: 'ok',
      answer: { kind: 'rows', rows: [null], shown: [{ partition: 0, applied: -1 }] },
    })
    expect(recorder.entries.map(({ seq, type }) => `${seq} ${type}`)).to.deep.equal([
      '0 call',
      '1 call',
      '2 fault',
      '3 return',
      '4 fault',
      '5 return',
    ])
    expect(told).to.deep.equal(recorder.entries)
    expect(recorder.entries[1]).to.include({ atMs: 101, op: second, client: 'c2' })
  })

  it('keeps nothing where the entries go elsewhere', () => {
    const told: Entry[] = []
    const recorder = new Recorder({ now: () => 0, keep: false, onEntry: (entry) => told.push(entry) })
    recorder.return(recorder.call('c', 'n', { kind: 'cut' }), { status: 'ok', answer: { kind: 'ended' } })
    expect(recorder.entries).to.have.length(0)
    expect(told).to.have.length(2)
  })

  it('takes no second answer', () => {
    const recorder = new Recorder({ now: () => 0 })
    const op = recorder.call('c', 'n', { kind: 'cut' })
    recorder.return(op, { status: 'ok', answer: { kind: 'ended' } })
    expect(() => recorder.return(op, { status: 'unknown', reason: 'CANCELLED' })).to.throw(
      'operation 1 is open',
    )
  })

  it('tells kinds of operations apart', () => {
    expect(operationKind({ kind: 'put', key: 'a', value: '' })).to.equal('put')
    expect(operationKind({ kind: 'put', key: 'a', value: '', ttlMs: 5 })).to.equal('ttl')
    expect(operationKind({ kind: 'put', key: 'a', value: '', ttlMs: 5, ifVersion: 0 })).to.equal('cas')
    expect(operationKind({ kind: 'get', key: 'a', consistency: 'session', token: 'own' })).to.equal(
      'get-session',
    )
    expect(operationKind({ kind: 'get', key: 'a', at: 3, consistency: 'session', token: 'own' })).to.equal(
      'get-at',
    )
  })
})
