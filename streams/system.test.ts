import { expect } from 'chai'
import { systemClock } from './system.ts'

describe('the real clock', () => {
  it('tells whole milliseconds: ages go over the wire as they are', () => {
    expect(Number.isSafeInteger(systemClock.now())).to.equal(true)
    expect(Number.isSafeInteger(systemClock.elapsed())).to.equal(true)
  })
})
