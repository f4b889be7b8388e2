import { expect } from 'chai'
import { newSession } from '../core/session.ts'
import { SessionCache } from './session-cache.ts'

describe('session cache', () => {
  it('keeps the sessions used last, and none that was forgotten', () => {
    const cache = new SessionCache()
    const ids = Array.from({ length: 200 }, (_, at) => `s${at}`)
    cache.update(ids.map((id, at) => [id, newSession(at)] as const))
    expect(ids.filter((id) => cache.get(id) !== undefined)).to.deep.equal(ids.slice(-128))
    cache.update([
      ['s72', newSession(1)],
      ['s199', undefined],
      ['new', newSession(2)],
    ])
    expect(cache.get('s199')).to.equal(undefined)
    cache.update([['newer', newSession(3)]])
    expect([cache.get('s72')?.arrival, cache.get('s73')]).to.deep.equal([1, undefined])
  })
})
