import { expect } from 'chai'
import { FAULTS } from './bad.fixture.ts'
import type { CheckerName } from './check.ts'
import { checkHistory } from './check.ts'
import { GOOD } from './good.fixture.ts'

describe('bad histories', () => {
  let count = 0

  for (const { name, caughtBy, also, make } of FAULTS)
    it(name, () => {
      let places = 0
      for (const [base, history] of Object.entries(GOOD))
        for (const bad of make(history)) {
          places += 1
          const found = checkHistory(bad).filter(({ violations }) => violations.length > 0)
          const names: readonly CheckerName[] = found.map((one) => one.name)
          const told = found.flatMap((one) => one.violations.map(({ message }) => `${one.name}: ${message}`))
          const what = `place ${places}, in "${base}", found: ${told.join(' | ')}`
          expect(names, what).to.include.members([...caughtBy])
          expect([...caughtBy, ...also], what).to.include.members([...names])
        }
      expect(places, 'places where it fits').to.be.greaterThan(0)
      count += places
    })

  it('are many', () => {
    expect(count).to.be.at.least(100)
    console.log(`      ${count} bad histories, of ${FAULTS.length} faults`)
  })
})
