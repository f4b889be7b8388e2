import { expect } from 'chai'
import { reportOf, runSeeds } from './runner.ts'
import type { Report } from './tally.ts'

describe('running seeds', () => {
  it('comes to the same in other processes', async function () {
    this.timeout(60_000)
    const seeds = [1, 2, 3, 4]
    const reports = new Map<number, Report>()
    const left = [...seeds]
    await runSeeds(
      () => left.shift(),
      2,
      (report) => reports.set(report.seed, report),
    )
    expect([...reports.keys()].sort()).to.deep.equal(seeds)
    for (const seed of seeds) expect(reports.get(seed)).to.deep.equal(await reportOf(seed))
  })
})
