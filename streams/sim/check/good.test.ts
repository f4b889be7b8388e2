import { expect } from 'chai'
import type { History } from '../history.ts'
import { checkHistory } from './check.ts'
import { GOOD } from './good.fixture.ts'
import { LIBERTIES } from './kept.fixture.ts'

function expectGood(history: History, what: string): void {
  const lines = checkHistory(history).flatMap((checked) =>
    checked.violations.map(({ message }) => `${checked.name}: ${message}`),
  )
  expect(lines, what).to.deep.equal([])
}

describe('good histories', () => {
  let count = 0

  for (const [name, history] of Object.entries(GOOD))
    it(name, () => {
      expectGood(history, name)
      count += 1
    })

  for (const { name, make } of LIBERTIES)
    it(`still good: ${name}`, () => {
      let places = 0
      for (const [base, history] of Object.entries(GOOD))
        for (const good of make(history)) {
          places += 1
          expectGood(good, `place ${places}, in "${base}"`)
        }
      expect(places, 'places where it fits').to.be.greaterThan(0)
      count += places
    })

  it('are many', () => {
    expect(count).to.be.at.least(100)
    console.log(`      ${count} good histories`)
  })
})
