import { expect } from 'chai'
import { Prng } from '../../core/testing/prng.ts'
import { FAULTS } from './bad.fixture.ts'
import { checkHistory } from './check.ts'
import { perfectHistory } from './perfect.fixture.ts'

const messagesOf = (history: Parameters<typeof checkHistory>[0]): readonly string[] =>
  checkHistory(history).flatMap(({ name, violations }) =>
    violations.map(({ message }) => `${name}: ${message}`),
  )

describe('long histories', function () {
  this.timeout(120_000)

  it('of a store without faults are good, whatever meets', () => {
    for (let seed = 1; seed <= 12; seed++) {
      const history = perfectHistory(new Prng(seed), {
        calls: 300,
        clients: 1 + (seed % 8),
        partitions: 1 + (seed % 3),
      })
      expect(messagesOf(history).slice(0, 3), `seed ${seed}`).to.deep.equal([])
    }
  })

  it('with one fault somewhere are bad', () => {
    const history = perfectHistory(new Prng(7), { calls: 300, clients: 6, partitions: 2 })
    const missed: string[] = []
    let tried = 0
    for (const { name, caughtBy, make } of FAULTS) {
      // Told that all is there, a history of many versions may still be cut by its limit; a limit may be out of reach.
      if (/limit|range|history|session/.test(name)) continue
      for (const bad of make(history)) {
        const found = checkHistory(bad).filter(({ violations }) => violations.length > 0)
        tried += 1
        if (!caughtBy.some((checker) => found.some((one) => one.name === checker))) missed.push(name)
        // One place of each: the hand-made ones try them all.
        break
      }
    }
    expect(missed).to.deep.equal([])
    expect(tried).to.be.at.least(40)
  })

  it('of 200,000 entries take seconds', () => {
    const history = perfectHistory(new Prng(3), { calls: 70_000, clients: 16, partitions: 4 })
    expect(history.entries.length).to.be.at.least(200_000)
    const before = process.cpuUsage()
    expect(messagesOf(history).slice(0, 3)).to.deep.equal([])
    const { user } = process.cpuUsage(before)
    console.log(`      ${history.entries.length} entries in ${(user / 1e6).toFixed(1)} s of the processor`)
    expect(user / 1e6).to.be.lessThan(30)
  })
})
