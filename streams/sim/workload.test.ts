import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { perfectHistory } from './check/perfect.fixture.ts'
import { Coverage, OPERATION_KINDS, coverageLines, faultKind } from './coverage.ts'
import { historyLines } from './history-codec.ts'
import { operationKind } from './history.ts'

const FAULT_KINDS = ['kill', 'pause', 'partition', 'disk-full']

describe('the workload', () => {
  const run = (seed: number) => {
    const coverage = new Coverage(FAULT_KINDS)
    const options = { calls: 1000, clients: 8, partitions: 3, coverage, faultKinds: FAULT_KINDS }
    return { history: perfectHistory(new Prng(seed), options), coverage }
  }

  it('is the same for the same seed, and another for another', () => {
    const [one, same, other] = [run(5), run(5), run(6)].map(({ history }) =>
      [...historyLines(history)].join('\n'),
    )
    expect(one).to.equal(same)
    expect(one).to.not.equal(other)
  })

  it('makes at least 95 of a hundred pairs meet', () => {
    const { coverage, history } = run(1)
    const report = coverage.report()
    for (const line of coverageLines(report)) console.log(`      ${line}`)
    expect(report.pairs.all).to.equal((OPERATION_KINDS.length * (OPERATION_KINDS.length + 1)) / 2)
    expect(report.pairs.met / report.pairs.all).to.be.at.least(0.95)
    expect(report.faults.all).to.equal(OPERATION_KINDS.length * FAULT_KINDS.length)
    expect(report.faults.met / report.faults.all).to.be.at.least(0.95)
    const kinds = new Set(
      history.entries.flatMap((entry) => (entry.type === 'call' ? [operationKind(entry.call)] : [])),
    )
    expect([...kinds]).to.have.members([...OPERATION_KINDS])
  })

  it('has what matters happen: conditions that hold and that do not, repetitions, expiries, resumed watches', () => {
    const { history } = run(2)
    const seen = new Map<string, number>()
    const note = (what: string): unknown => seen.set(what, (seen.get(what) ?? 0) + 1)
    for (const entry of history.entries) {
      if (entry.type === 'call' && entry.call.kind === 'watch' && entry.call.resume.length > 0)
        note('resumed')
      if (entry.type === 'seen') for (const { kind } of entry.seen.events) note(kind)
      if (entry.type !== 'return' || entry.result.status !== 'ok') continue
      const { answer } = entry.result
      if (answer.kind === 'rows') note(answer.rows.some((row) => row !== null) ? 'found' : 'nothing')
      if (answer.kind !== 'written' || answer.outcome === undefined) continue
      note(answer.outcome.reason ?? 'applied')
      if (answer.outcome.duplicate) note('repeated')
      if (answer.outcome.succeeded !== undefined) note(answer.outcome.succeeded ? 'then' : 'else')
    }
    for (const what of [
      'applied',
      'VERSION_MISMATCH',
      'NOT_A_NUMBER',
      'repeated',
      'then',
      'else',
      'expired',
      'deleted',
      'resumed',
      'found',
      'nothing',
    ])
      expect(seen.get(what), what).to.be.at.least(3)
  })

  it('does not ask for what a run cannot do', () => {
    const workload = { kinds: ['put', 'get-session'] as const, requestIds: false, ownTokens: true }
    const history = perfectHistory(new Prng(1), { calls: 60, clients: 2, partitions: 1, workload })
    for (const entry of history.entries) {
      if (entry.type !== 'call') continue
      expect(['put', 'get']).to.include(entry.call.kind)
      expect(entry.call).to.not.have.property('requestId')
      if (entry.call.kind === 'get') expect(entry.call.token).to.equal('own')
    }
  })

  it('counts what met what', () => {
    const coverage = new Coverage(['kill'])
    const stamp = { seq: 0, atMs: 0 }
    coverage.take({ type: 'call', ...stamp, op: 1, client: 'c', node: 'n', call: { kind: 'cut' } })
    expect(coverage.wouldMeet('put')).to.equal(1)
    coverage.take({
      type: 'call',
      ...stamp,
      op: 2,
      client: 'd',
      node: 'n',
      call: { kind: 'put', key: 'a', value: '' },
    })
    expect(coverage.wouldMeet('put')).to.equal(1)
    coverage.take({ type: 'fault', ...stamp, name: 'kill n2', active: true })
    coverage.take({ type: 'return', ...stamp, op: 2, result: { status: 'unknown', reason: 'WRITE_UNKNOWN' } })
    const { pairs, faults } = coverage.report()
    expect([pairs.met, faults.met]).to.deep.equal([1, 2])
    const other = new Coverage(['kill'])
    other.merge(coverage)
    expect(other.report()).to.deep.equal(coverage.report())
    expect(faultKind('kill n2')).to.equal('kill')
  })
})
