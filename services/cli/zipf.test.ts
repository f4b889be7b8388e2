import { expect } from 'chai'
import { zipf } from './zipf.ts'

describe('the keys that are asked for often', () => {
  it('are few: the first has 1/zeta of all draws, the hundred most frequent of a thousand two thirds', () => {
    const [count, draws] = [1000, 100_000]
    const draw = zipf(count, 0.99)
    const seen = new Map<number, number>()
    for (let at = 0; at < draws; at += 1) {
      const drawn = draw()
      expect(drawn).to.be.within(0, count - 1)
      seen.set(drawn, (seen.get(drawn) ?? 0) + 1)
    }
    const shares = [...seen.values()].sort((a, b) => b - a).map((times) => times / draws)
    // 1/zeta(1000, 0.99) is 0.134.
    expect(shares[0]).to.be.within(0.12, 0.15)
    expect(shares.slice(0, 100).reduce((sum, share) => sum + share)).to.be.within(0.6, 0.75)
  })

  it('are as many as there are', () => {
    expect(new Set(Array.from({ length: 20 }, zipf(1, 0.5)))).to.deep.equal(new Set([0]))
    const two = new Set(Array.from({ length: 200 }, zipf(2, 0.5)))
    expect([...two].sort()).to.deep.equal([0, 1])
  })
})
