import { expect } from 'chai'
import { eachRow } from '../../streams/sim/check/derive.fixture.ts'
import { FAULTS } from '../../streams/sim/check/bad.fixture.ts'
import { GOOD } from '../../streams/sim/check/good.fixture.ts'
import { perfectHistory } from '../../streams/sim/check/perfect.fixture.ts'
import { Prng } from '../../streams/core/testing/prng.ts'
import { LIBERTIES } from '../../streams/sim/check/kept.fixture.ts'
import type { Call, History } from '../../streams/sim/history.ts'
import { linesOf } from './check-history.ts'
import { groupsOf, writeOf } from './groups.ts'
import type { Group } from './groups.ts'
import { NoGo, search, searchProgram } from './program.ts'

describe('the search per key', () => {
  before(async function () {
    this.timeout(6 * 60_000)
    try {
      await searchProgram()
    } catch (error) {
      if (!(error instanceof NoGo) || process.env['CI'] !== undefined) throw error
      console.error(`      no search: ${error.message}`)
      this.skip()
    }
  })

  /** How many of them have a group that no order explains; each group is searched once. */
  async function illegalOf(histories: readonly History[]): Promise<number> {
    const groups = histories.map((history) => groupsOf(history))
    const verdicts = await search(groups.flat(), 5)
    expect(verdicts.filter(({ result }) => result === 'unknown')).to.deep.equal([])
    let at = 0
    return groups.filter((own: readonly Group[]) =>
      own.map(() => verdicts[at++]).some((verdict) => verdict?.result === 'illegal'),
    ).length
  }

  it('explains every good history', async () => {
    const good = Object.values(GOOD)
    const derived = good.flatMap((history) => LIBERTIES.flatMap(({ make }) => [...make(history)]))
    expect(derived.length).to.be.at.least(100)
    expect(await illegalOf([...good, ...derived])).to.equal(0)
  })

  it('explains histories that a workload makes, with answers lost, foreign records and rubbish', async () => {
    const made = [1, 2, 3].map((seed) =>
      perfectHistory(new Prng(seed), { calls: 300, clients: 4, partitions: 3 }),
    )
    expect(await illegalOf(made)).to.equal(0)
  })

  const isSearched = (call: Call): boolean =>
    call.kind === 'get' && call.consistency === 'linearizable' && call.at === undefined

  it('explains no linearizable read of another value', async () => {
    const bad = Object.values(GOOD).flatMap((history) => [
      ...eachRow(history, false, (row, _, { call }) =>
        row === null || !isSearched(call) ? undefined : { ...row, value: `${row.value}~` },
      ),
    ])
    expect(bad.length).to.be.at.least(15)
    expect(await illegalOf(bad)).to.equal(bad.length)
  })

  // A write that nobody was told of has any version, and a read beside a deletion may see it.
  it('explains hardly any linearizable read of another version, or of no row', async () => {
    const bad = Object.values(GOOD).flatMap((history) => [
      ...eachRow(history, false, (row, _, { call }) =>
        row === null || !isSearched(call) ? undefined : { ...row, version: row.version + 50 },
      ),
      ...eachRow(history, false, (row, _, { call }) =>
        row === null || row.expiresAt !== 0 || !isSearched(call) ? undefined : null,
      ),
    ])
    expect(bad.length).to.be.at.least(30)
    expect(await illegalOf(bad)).to.be.at.least(bad.length * 0.8)
  })

  it('finds what the checkers find in sums, branches and real time', async () => {
    for (const name of [
      'the sum of an increment is one too high',
      'a transaction is said to have taken the other branch',
      'a linearizable read shows the beginning',
      'a read ends before the write that it shows is called',
      'a rejected write is called applied',
    ]) {
      const fault = FAULTS.find((one) => one.name === name)
      const bad = Object.values(GOOD).flatMap((history) => [...(fault?.make(history) ?? [])])
      expect(await illegalOf(bad), name).to.be.greaterThan(0)
    }
  })

  it('is part of what is said about a history', async () => {
    const [history] = Object.values(GOOD)
    if (history === undefined) throw new Error('no history')
    const lines = await linesOf(history, 5)
    expect(lines.map(({ verdict }) => verdict.slice(0, 4))).to.deep.equal(lines.map(() => 'good'))
    expect(lines.at(-1)).to.include({ name: 'search', verdict: 'good (1 groups of keys, 2 operations)' })
  })

  it('reads what foreign records ask for', () => {
    expect(writeOf('["put","a","1",5,"",7]')).to.deep.equal({
      kind: 'put',
      key: 'a',
      value: '1',
      ttlMs: 5,
      ifVersion: 7,
    })
    expect(writeOf('["delete","a",3]')).to.deep.equal({ kind: 'delete', key: 'a', ifVersion: 3 })
    expect(writeOf('["increment","a","2",null,null]')).to.deep.equal({
      kind: 'increment',
      key: 'a',
      delta: '2',
    })
    expect(writeOf('["txn",[],[],[]]')).to.equal(undefined)
  })
})
