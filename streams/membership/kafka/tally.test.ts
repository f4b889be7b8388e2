import { expect } from 'chai'
import { createTally } from './tally.ts'

describe('a tally of witnesses', () => {
  it('is certain when more than half agree', () => {
    const tally = createTally<number>(3)
    expect(tally.winner).to.equal(undefined)
    tally.add('a', 1)
    expect(tally.winner).to.equal(1)
    expect(tally.certain).to.equal(false)
    tally.add('b', 2)
    tally.add('b', 2)
    expect(tally.winner).to.equal(2)
    expect(tally.certain).to.equal(true)
  })

  it('takes the most common answer where some do not know', () => {
    const tally = createTally<number>(5)
    tally.miss('no idea')
    tally.miss('is down')
    tally.add('a', 1)
    tally.add('b', 2)
    tally.add('b', 2)
    expect([tally.winner, tally.certain, tally.missed]).to.deep.equal([2, false, 'is down'])
  })

  it('is not certain where half of an even number agree', () => {
    const tally = createTally<number>(2)
    tally.add('a', 1)
    expect(tally.certain).to.equal(false)
  })
})
