import { expect } from 'chai'
import { offset, partition } from './core/types.ts'
import { demandedBy, offsetIn } from './as-of.ts'

describe('a read as of a token', () => {
  const asOf = {
    logIdentity: 'log',
    positions: [{ keyspace: 'a', partition: partition(1), offset: offset(7) }],
  }

  it('finds its place in each partition, and says which is missing', () => {
    expect(offsetIn(asOf, 'a', partition(1))).to.equal(7)
    expect(() => offsetIn(asOf, 'a', partition(0))).to.throw(/no position of partition 0 of keyspace a:/)
    expect(() => offsetIn(asOf, 'b', partition(1))).to.throw(/no position of keyspace b, only of a:/)
    expect(() => offsetIn({ ...asOf, positions: [] }, 'b', partition(1))).to.throw(/only of none/)
  })

  it('waits for the token and nothing newer; other reads demand what they demanded', () => {
    expect(demandedBy({ consistency: 'linearizable', deadline: 5, asOf })).to.deep.equal({
      consistency: 'session',
      token: asOf,
      deadline: 5,
    })
    expect(demandedBy({ consistency: 'eventual', deadline: 5 })).to.deep.equal({
      consistency: 'eventual',
      deadline: 5,
    })
  })
})
