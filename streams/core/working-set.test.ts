import { expect } from 'chai'
import { DUE_ROWS_LOADED, EXPIRIES_PER_RECORD_MAX } from './limits.ts'
import { newSession, remember } from './session.ts'
import { encodeRow, tombstone } from './row.ts'
import type { StoredRow } from './row.ts'
import type { Offset } from './types.ts'
import { WorkingSet } from './working-set.ts'
import { replicaPrefix } from './keys.ts'

const key = (at: number): Buffer => Buffer.from(`row-${String(at).padStart(5, '0')}`)
const row = (expiresAt: number, version = 1): StoredRow => ({
  tombstone: 'none',
  version: version as Offset,
  expiresAt,
  contentType: '',
  value: Buffer.from('v'),
})
const set = (work: WorkingSet, at: number, next: StoredRow): void => {
  work.setRow(key(at), next, encodeRow(next))
}
/** Rows 0 … count − 1, all due at 100. */
function loaded(count: number, complete: boolean): WorkingSet {
  const work = new WorkingSet()
  const due = Array.from({ length: count }, (_, at) => ({ at: 100, key: key(at) }))
  for (let at = 0; at < count; at++) work.loadRow(key(at), row(100))
  work.loadDue(due, complete, 1000)
  return work
}
const takeAll = (work: WorkingSet, time: number): string[] => {
  const keys: string[] = []
  for (let due = work.takeDue(time); due !== undefined; due = work.takeDue(time))
    keys.push(`${due.at} ${String(due.key)}`)
  return keys
}
/** What flush writes: `+` put, `-` delete, the table's letter, the rest of the key without its last row name. */
function flushed(work: WorkingSet): string[] {
  const lines: string[] = []
  const show = (sign: string, stored: Uint8Array): void => {
    const rest = Buffer.from(stored.subarray(5))
    const table = String.fromCharCode(stored[4] ?? 0)
    const name = table === 'r' ? rest.toString() : `${rest.readBigUInt64BE()} ${rest.subarray(8).toString()}`
    lines.push(`${sign}${table} ${name}`)
  }
  work.flush({ put: (stored) => show('+', stored), delete: (stored) => show('-', stored) }, replicaPrefix(1))
  return lines
}

describe('working set', () => {
  it('refuses to read what was not loaded', () => {
    expect(() => new WorkingSet().row(key(1))).to.throw('a row that apply reads is missing')
    expect(() => new WorkingSet().session('s')).to.throw('a session that apply reads is missing')
  })

  it('gives rows that are due by time, then key, each once', () => {
    const work = new WorkingSet()
    for (const [at, expiresAt] of [
      [3, 5],
      [1, 7],
      [2, 5],
      [4, 9],
    ] as const)
      work.loadRow(key(at), row(expiresAt))
    work.loadDue(
      [
        { at: 5, key: key(2) },
        { at: 5, key: key(3) },
        { at: 7, key: key(1) },
        { at: 9, key: key(4) },
      ],
      true,
      9,
    )
    expect(takeAll(work, 4)).to.deep.equal([])
    expect(takeAll(work, 8)).to.deep.equal(['5 row-00002', '5 row-00003', '7 row-00001'])
    expect(takeAll(work, 8)).to.deep.equal([])
  })

  it('puts a row that is written and due within the batch in its place', () => {
    const work = loaded(2, true)
    work.loadRow(key(9), undefined)
    set(work, 9, row(50))
    expect(takeAll(work, 100)).to.deep.equal(['50 row-00009', '100 row-00000', '100 row-00001'])
  })

  it('passes over rows whose expiry was changed meanwhile', () => {
    const work = loaded(4, true)
    set(work, 0, row(0))
    set(work, 1, row(300))
    set(work, 2, tombstone('deleted', 2 as Offset))
    expect(takeAll(work, 200)).to.deep.equal(['100 row-00003'])
    expect(takeAll(work, 300)).to.deep.equal(['300 row-00001'])
  })

  it('ends the batch when fewer living rows are left than one record may expire', () => {
    const work = loaded(EXPIRIES_PER_RECORD_MAX, false)
    expect(work.canExpire).to.equal(true)
    set(work, 0, row(0))
    expect(work.canExpire, 'one of them was written over').to.equal(false)
    expect(loaded(EXPIRIES_PER_RECORD_MAX - 1, true).canExpire, 'these are all').to.equal(true)
  })

  it('gives a row once that gets back an expiry that it had before', () => {
    const work = loaded(3, true)
    set(work, 0, row(90))
    set(work, 0, row(80))
    set(work, 0, row(90))
    set(work, 1, row(300))
    set(work, 1, row(100))
    const taken: string[] = []
    for (let due = work.takeDue(200); due !== undefined; due = work.takeDue(200)) {
      taken.push(`${due.at} ${String(due.key)}`)
      work.setRow(due.key, tombstone('expired', 2 as Offset), Buffer.alloc(0))
    }
    expect(taken).to.deep.equal(['90 row-00000', '100 row-00001', '100 row-00002'])
  })

  it('does not count rows of the batch among those that may expire, so that none is counted twice', () => {
    const work = loaded(EXPIRIES_PER_RECORD_MAX, false)
    for (const expiresAt of [90, 80, 90]) set(work, 0, row(expiresAt))
    expect(work.canExpire).to.equal(false)
  })

  it('leaves rows behind the last one that was loaded to a later batch', () => {
    const work = loaded(DUE_ROWS_LOADED, false)
    work.loadRow(key(99_999), undefined)
    set(work, 99_999, row(500))
    expect(takeAll(work, 1000)).to.have.length(DUE_ROWS_LOADED)
  })

  it('writes each changed row once, with its indexes', () => {
    const work = loaded(2, true)
    work.loadRow(key(5), tombstone('deleted', 3 as Offset))
    set(work, 0, row(200, 7))
    set(work, 0, row(300, 8))
    set(work, 1, tombstone('expired', 8 as Offset))
    set(work, 5, row(0, 8))
    expect(flushed(work)).to.deep.equal([
      '+r row-00000',
      '-x 100 row-00000',
      '+x 300 row-00000',
      '+r row-00001',
      '-x 100 row-00001',
      '+g 8 row-00001',
      '+r row-00005',
      '-g 3 row-00005',
    ])
  })

  it('writes nothing for what was only read', () => {
    const work = loaded(3, true)
    work.row(key(1))
    work.loadSession('s', newSession(1))
    expect(flushed(work)).to.deep.equal([])
  })

  it('forgets sessions in the order of their renewal, but none that was renewed in this batch', () => {
    const work = new WorkingSet()
    const session = (arrival: number): ReturnType<typeof newSession> => {
      const made = newSession(arrival)
      remember(made, 1, { status: 'applied', offset: 1 as Offset, duplicate: false })
      return made
    }
    for (const [arrival, id] of [
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ] as const) {
      work.loadArrival(arrival, id)
      work.loadSession(id, session(arrival))
    }
    const renewed = work.session('b')
    if (renewed === undefined) throw new Error('b is known')
    renewed.arrival = 50
    work.setSession('b', renewed, 2)
    work.forgetSessions(2)
    expect([...work.sessions()].map(([id, known]) => `${id} ${known?.arrival ?? 'gone'}`)).to.deep.equal([
      'a gone',
      'b 50',
      'c 3',
    ])
    work.forgetSessions(3)
    expect(work.session('c')).to.equal(undefined)
  })
})
