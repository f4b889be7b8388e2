import { expect } from 'chai'
import type { Result } from '../../streams/sim/history.ts'
import { Recorder } from '../../streams/sim/recorder.ts'
import { sumOf, trafficOf } from './traffic.ts'

describe('the traffic of a history', () => {
  let at = 0
  let recorder: Recorder
  beforeEach(() => {
    at = 0
    recorder = new Recorder({ now: () => at })
  })

  const put = (when: number, result: Result): void => {
    const op = recorder.call('c', '', { kind: 'put', key: 'k', value: 'v' })
    at = when
    recorder.return(op, result)
  }
  const acknowledged = (partition: number): Result => ({
    status: 'ok',
    answer: { kind: 'written', partition, offset: 1, outcome: undefined, reads: [] },
  })

  it('tells answered from refused, failed and unknown', () => {
    put(1, acknowledged(0))
    put(2, { status: 'failed', reason: 'VERSION_MISMATCH' })
    put(3, { status: 'unknown', reason: 'DEADLINE_EXCEEDED' })
    const op = recorder.call('c', '', { kind: 'get', key: 'k', consistency: 'linearizable', token: 'own' })
    recorder.return(op, { status: 'failed', reason: 'LOG_UNAVAILABLE' })
    const traffic = trafficOf(recorder.entries, 1, 0, 4)
    expect(traffic).to.include({ ops: 4, acknowledgedWrites: 1, answeredReads: 0, refused: 1 })
    expect(traffic.unknownWrites).to.deep.equal({ DEADLINE_EXCEEDED: 1 })
    expect(traffic.failedReads).to.deep.equal({ LOG_UNAVAILABLE: 1 })
    expect(sumOf(traffic.failedReads)).to.equal(1)
  })

  it('finds the longest time in which some partition acknowledged nothing, up to the end', () => {
    put(100, acknowledged(0))
    put(150, acknowledged(1))
    put(500, acknowledged(0))
    expect(trafficOf(recorder.entries, 2, 0, 550).longestWriteGapMs).to.equal(400)
    expect(trafficOf(recorder.entries, 2, 0, 900).longestWriteGapMs).to.equal(750)
  })
})
