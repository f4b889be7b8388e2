/** A sample of the damages: `npm run corruption` does all of them. */
import { expect } from 'chai'
import { kindOf } from './cases.ts'
import { damageAll, type Done } from './run.ts'
import { corruptionTable } from './table.ts'

describe('a damaged data directory', function () {
  this.timeout(240_000)
  let done: readonly Done[]

  before(async () => (done = await damageAll({ seed: 1, cases: 70, jobs: 2 })))

  it('never serves a wrong value: damage is told, or does no harm', () => {
    const wrong = done.filter(({ result, crashed }) => result.kind === 'WRONG' || crashed)
    expect(wrong, corruptionTable(done)).to.deep.equal([])
    expect(done.filter(({ result }) => result.kind !== 'harmless').length).to.be.at.least(40)
  })

  it('is damaged in files of the log, of replicas and of snapshots', () => {
    const kinds = new Set(done.map(({ asked }) => kindOf(asked.file)))
    expect([...kinds]).to.include.members([
      'log: table',
      'log: write-ahead log',
      'replicas: table',
      'replicas: write-ahead log',
      'snapshots: copy',
    ])
  })
})

describe('the table of damages', () => {
  const asked = { file: 'data/log/000004.sst', damage: 'cut off', at: 7, bit: 0 } as const

  it('counts what came of each kind of file, and tells what is wrong', () => {
    const table = corruptionTable([
      { asked, crashed: false, result: { kind: 'refused', reason: 'STORE_CORRUPT' } },
      { asked, crashed: true, result: { kind: 'WRONG', why: 'a is 1, true is 2' } },
    ])
    expect(table).to.contain('| log: table | cut off | 1 |  |  | 1 |')
    expect(table).to.contain('WRONG: data/log/000004.sst, cut off at 7: a is 1, true is 2')
    expect(table).to.contain('2 damages, 1 wrong, 1 times the process died')
  })

  it('names files by what they are', () => {
    expect(kindOf('data/replicas/MANIFEST-000123')).to.equal('replicas: MANIFEST')
    expect(kindOf('data/replicas/000123.log')).to.equal('replicas: write-ahead log')
    expect(kindOf('data/node-id')).to.equal('node: node-id')
    expect(kindOf('snapshots/tidemark/20260131T120000000Z-x1y2/tidemark.default/1.copy')).to.equal(
      'snapshots: copy',
    )
  })
})
