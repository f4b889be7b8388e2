import { expect } from 'chai'
import { checkHistory } from './check.ts'
import { GOOD } from './good.fixture.ts'

describe('good histories', () => {
  for (const [name, history] of Object.entries(GOOD))
    it(name, () => {
      const lines = checkHistory(history).flatMap((checked) =>
        checked.violations.map(({ message }) => `${checked.name}: ${message}`),
      )
      expect(lines).to.deep.equal([])
    })
})
