import { expect } from 'chai'
import { FAULT_KINDS } from './faults.ts'
import { pairOf, Tally } from './tally.ts'

describe('the tally of runs', () => {
  it('counts which operations met which faults', () => {
    const tally = new Tally()
    const [first = 'kill', ...others] = FAULT_KINDS
    const report = { traceHash: '', problems: [], operations: 5, events: 9, virtualMs: 100, helped: 0 }
    tally.add({ ...report, seed: 1, met: [pairOf('put', first), pairOf('scan', first)] })
    tally.add({ ...report, seed: 2, problems: ['wrong'], met: [pairOf('put', first)] })
    expect(tally.missing(['put'])).to.deep.equal(others.map((fault) => pairOf('put', fault)))
    expect(tally.coverage(['put', 'scan'])).to.be.closeTo(100 / FAULT_KINDS.length, 0.001)
    expect([tally.runs, tally.operations, tally.failed.map(({ seed }) => seed)]).to.deep.equal([2, 10, [2]])
  })
})
