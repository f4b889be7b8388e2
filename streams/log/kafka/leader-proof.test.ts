import { expect } from 'chai'
import { TidemarkError } from '../../core/errors.ts'
import { judgeEnd } from './leader-proof.ts'
import type { PartitionMetadata } from './metadata-protocol.ts'
import type { OffsetAnswer } from './protocol.ts'

const NAME = 't/0'
const seen = (leader: number, leaderEpoch = 7, replicas = [1, 2, 3]): PartitionMetadata => ({
  partition: 0,
  leader,
  leaderEpoch,
  replicas,
})
const end: OffsetAnswer = { topic: 't', partition: 0, errorCode: 0, offset: 42 }
const unreachable = new TidemarkError('LOG_UNAVAILABLE', 'broker 3 does not answer')

describe('the proof of an end offset', () => {
  const judge = (
    third: PartitionMetadata | TidemarkError,
    answer: OffsetAnswer | undefined = end,
    leader: PartitionMetadata | undefined = seen(1),
  ): string | number => {
    const named = new Map([
      [1, new Map([[NAME, seen(1)]])],
      [2, new Map([[NAME, seen(1)]])],
      [3, third instanceof TidemarkError ? third : new Map([[NAME, third]])],
    ])
    const judged = judgeEnd(NAME, leader, answer, named)
    return judged instanceof TidemarkError ? judged.message : judged
  }

  it('stands when every replica names the broker that gave the offset', () => {
    expect(judge(seen(1))).to.equal(42)
  })

  it('falls when one replica names another leader: the one that was asked was cut off and replaced', () => {
    expect(judge(seen(3, 8))).to.include('broker 3 names broker 3 as its leader, not broker 1')
  })

  it('falls when one replica knows a newer epoch of the same leader', () => {
    expect(judge(seen(1, 8))).to.include('cannot be proved')
  })

  it('falls when one replica cannot be asked', () => {
    expect(judge(unreachable)).to.include('broker 3, a replica, cannot be asked')
  })

  it('falls when a replica is listed that was not asked', () => {
    expect(judge(seen(1, 7, [1, 2, 3, 4]))).to.include('lists a replica that was not asked')
  })

  it('falls when the leader does not answer, or answers with an error', () => {
    expect(judge(seen(1), { ...end, errorCode: 6 })).to.include('NOT_LEADER')
    const silent = judgeEnd(NAME, seen(1), undefined, new Map())
    expect(silent).to.be.instanceOf(TidemarkError)
    expect(judgeEnd(NAME, undefined, end, new Map())).to.be.instanceOf(TidemarkError)
  })
})
