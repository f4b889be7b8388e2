import { expect } from 'chai'
import { openTestNode, soon } from '../node.fixture.ts'
import type { TestNode } from '../node.fixture.ts'
import type { NodeCall } from './perform.ts'
import { isFinal, perform, performWatch } from './perform.ts'
import { Recorder } from './recorder.ts'

describe('calls of a history on a node', () => {
  let test: TestNode
  let recorder: Recorder

  const ask = (call: NodeCall) =>
    perform(
      recorder,
      { client: 'c1', node: 'n1', keyspace: test.node.keyspace('default'), deadline: soon() },
      call,
    )

  beforeEach(async () => {
    test = await openTestNode()
    recorder = new Recorder({ now: () => 0 })
  })
  afterEach(() => test.node.close(soon()))

  it('are written down with position, version, value and outcome', async () => {
    const fresh = { consistency: 'linearizable', token: [] } as const
    const put = await ask({ kind: 'put', key: 'n', value: '5', requestId: 's/1' })
    if (put.status !== 'ok' || put.answer.kind !== 'written') throw new Error('not written')
    const { partition, offset = -1, outcome } = put.answer
    expect(outcome).to.deep.equal({ applied: true, offset, version: offset, duplicate: false })
    const again = await ask({ kind: 'put', key: 'n', value: '5', requestId: 's/1' })
    expect(again).to.have.nested.property('answer.outcome.duplicate', true)
    const sum = await ask({ kind: 'increment', key: 'n', delta: '2', requestId: 's/2' })
    expect(sum).to.have.nested.property('answer.outcome.number', '7')
    const refused = await ask({ kind: 'delete', key: 'n', ifVersion: offset })
    expect(refused).to.have.nested.property('answer.outcome.reason', 'VERSION_MISMATCH')
    const row = { key: 'n', value: '7', version: offset + 2, expiresAt: 0, contentType: '' }
    const shown = [{ partition, applied: offset + 3 }]
    expect(await ask({ kind: 'get', key: 'n', ...fresh })).to.deep.equal({
      status: 'ok',
      answer: { kind: 'rows', rows: [row], shown },
    })
    expect(await ask({ kind: 'getMany', keys: ['n', 'n'], ...fresh })).to.have.nested.property(
      'answer.rows.length',
      2,
    )
    const before = await ask({ kind: 'get', key: 'n', at: offset, ...fresh })
    expect(before).to.have.nested.property('answer.rows[0].value', '5')
    const scan = await ask({ kind: 'scan', start: '', keysOnly: true, ...fresh })
    expect(scan).to.have.nested.property('answer.rows.length', 1)
    expect(scan).to.have.nested.property('answer.shown.length', 4)
    const versions = await ask({ kind: 'history', key: 'n', limit: 10, ...fresh })
    expect(versions).to.have.nested.property('answer.versions.length', 2)
    const told = await ask({ kind: 'outcome', partition, offset })
    expect(told).to.have.nested.property('answer.outcomes[0].version', offset)
    expect(recorder.open).to.equal(0)
    expect(recorder.entries).to.have.length(20)
  })

  it('do transactions with their reads', async () => {
    const result = await ask({
      kind: 'txn',
      compares: [{ key: 't', operator: 'equal', version: 0 }],
      thenChanges: [{ kind: 'put', key: 't', value: 'x', ttlMs: 50 }],
      elseChanges: [{ kind: 'delete', key: 't' }],
      thenReads: [
        { key: 't', when: 'before' },
        { key: 't', when: 'after' },
      ],
      elseReads: [],
    })
    expect(result).to.have.nested.property('answer.outcome.succeeded', true)
    expect(result).to.have.nested.property('answer.reads[0]', null)
    expect(result).to.have.nested.property('answer.reads[1].value', 'x')
  })

  it('tell what failed for good from what nobody knows', async () => {
    expect(await ask({ kind: 'put', key: '', value: '' })).to.deep.equal({
      status: 'failed',
      reason: 'KEY_EMPTY',
    })
    const late = { client: 'c1', node: 'n1', keyspace: test.node.keyspace('default'), deadline: 0 }
    const result = await perform(recorder, late, { kind: 'put', key: 'a', value: '' })
    expect(result).to.deep.equal({ status: 'unknown', reason: 'DEADLINE_EXCEEDED' })
    const beyond = [{ partition: 0, offset: 99 }]
    const read = await ask({ kind: 'scan', start: '', consistency: 'session', token: beyond })
    expect(read).to.deep.equal({ status: 'failed', reason: 'TOKEN_BEYOND_LOG' })
    expect(isFinal('VERSION_MISMATCH')).to.equal(true)
    expect(isFinal('OVERLOADED')).to.equal(false)
  })

  it('watch until they are left', async () => {
    const asked = { client: 'w', node: 'n1', keyspace: test.node.keyspace('default'), deadline: soon() }
    const call = {
      kind: 'watch',
      start: '',
      resume: [],
      initialRows: true,
      exact: false,
      previousRows: true,
    } as const
    const arrived: string[] = []
    let wake: () => void = () => undefined
    recorder = new Recorder({
      now: () => 0,
      onEntry: (entry) => {
        if (entry.type === 'seen') arrived.push(entry.seen.mark)
        wake()
      },
    })
    const until = async (mark: string): Promise<void> => {
      while (!arrived.includes(mark)) await new Promise<void>((resolve) => (wake = resolve))
    }
    const watch = performWatch(recorder, asked, call)
    await until('initial-end')
    const put = await ask({ kind: 'put', key: 'a', value: '1' })
    await until('events')
    await watch.leave()
    expect(await watch.ended).to.deep.equal({ status: 'ok', answer: { kind: 'ended' } })
    if (put.status !== 'ok' || put.answer.kind !== 'written') throw new Error('not written')
    const { partition, offset } = put.answer
    expect(watch.positions).to.deep.include({ partition, offset })
    const events = recorder.entries.flatMap((entry) => (entry.type === 'seen' ? entry.seen.events : []))
    expect(events.map(({ kind, row }) => [kind, row.key, row.version])).to.deep.equal([['put', 'a', offset]])
  })
})
