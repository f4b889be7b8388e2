import { expect } from 'chai'
import { judge, ratioOf } from './judge.ts'

describe('the budget', () => {
  it('is kept until a ratio falls by more than a fifth', () => {
    const verdicts = judge({ a: 0.81, b: 0.79, c: 1.3, d: 1 }, { a: 1, b: 1, c: 1 })
    expect(verdicts.map(({ verdict }) => verdict)).to.deep.equal([
      'good',
      'too dear',
      'renew',
      'not committed',
    ])
  })

  it('compares the cheapest rounds: what disturbed one does not count', () => {
    expect(ratioOf({ ceiling: [1, 7, 2], node: [9, 4, 5] })).to.equal(0.25)
  })
})
