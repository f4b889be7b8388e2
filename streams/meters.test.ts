import { expect } from 'chai'
import {
  BOUNDS_SECONDS,
  Distributions,
  OTHER,
  TAG_VALUES_MAX,
  Tally,
  newDistribution,
  newMeters,
  record,
} from './meters.ts'

describe('meters', () => {
  it('put a duration into the first bucket that holds it, and keep their sum', () => {
    const distribution = newDistribution()
    for (const duration of [0, 0.0001, 0.00011, 0.02, 11, Infinity]) record(distribution, duration)
    const filled = [...distribution.count].flatMap((count, bucket) =>
      count > 0 ? [[BOUNDS_SECONDS[bucket], count]] : [],
    )
    expect(filled).to.deep.equal([
      [0.0001, 2],
      [0.00016, 1],
      [0.025, 1],
      [undefined, 2],
    ])
    expect(distribution.seconds[0]).to.equal(0.0001)
  })

  it('keep so many values of a tag and count the others together', () => {
    const tally = new Tally(['known'])
    for (let at = 0; at < TAG_VALUES_MAX + 10; at++) tally.add(`keyspace-${at}`, 2)
    tally.add('keyspace-0')
    expect(tally.totals.get('known')).to.equal(0)
    expect(tally.totals.get('keyspace-0')).to.equal(3)
    expect(tally.totals.get(OTHER)).to.equal(20)
    expect(tally.totals.size).to.equal(TAG_VALUES_MAX + 2)
  })

  it('are of one node: two share nothing', () => {
    const [one, other] = [newMeters(), newMeters()]
    one.counts.troubles += 1
    one.tallies.errors.add('INTERNAL')
    expect(other.counts.troubles).to.equal(0)
    expect(other.tallies.errors.totals.get('INTERNAL')).to.equal(0)
    const durations = new Distributions()
    expect(durations.of('a')).to.equal(durations.of('a')).and.not.to.equal(durations.of('b'))
  })
})
