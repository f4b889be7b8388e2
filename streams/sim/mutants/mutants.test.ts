import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { MUTANTS } from './mutants.ts'
import { plant } from './plant.ts'

describe('the planted bugs', () => {
  const compiled = (file: string): string =>
    readFileSync(new URL(`../../../${file}`, import.meta.url), 'utf8')

  it('stand where they are said to be, each once, and change something', () => {
    expect(MUTANTS.length).to.be.at.least(25)
    for (const one of MUTANTS)
      expect(plant(compiled(one.file), one), one.name).to.not.equal(compiled(one.file))
  })

  it('are refused where they match never or twice', () => {
    const one = { name: 'x', file: 'x.js', find: 'a', put: 'b' }
    expect(plant('cab', one)).to.equal('cbb')
    for (const text of ['c', 'aa']) expect(() => plant(text, one), text).to.throw(Error)
  })
})
