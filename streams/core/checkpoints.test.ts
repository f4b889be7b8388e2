/** Checkpoints of the chain of effects, and the marks that hold replicas against them. */
import { expect } from 'chai'
import { encodeLead, encodeMark } from './encode.ts'
import { CHECKPOINTS_MAX, CHECKPOINT_OFFSETS } from './limits.ts'
import type { RecordEffects } from './effects.ts'
import { decodeState, encodeState } from './state.ts'
import { CoreDriver } from './testing/core-driver.ts'
import { draft, logged } from './testing/records.ts'
import type { Epoch, LogRecord, NewRecord, Offset } from './types.ts'
import { must } from './assert.ts'

const put = (at: number, value = 'v'): NewRecord => draft(`k${at % 50}`, `${value}${at}`)

const apply = (driver: CoreDriver, record: LogRecord): RecordEffects =>
  must(driver.run([record]).effects[0], 'effects')

/** Applies `count` records from the offset at which the driver stands; `values` differ where the replicas shall. */
function run(driver: CoreDriver, count: number, value = 'v'): void {
  for (let left = count; left > 0; left--)
    apply(driver, logged(driver.state.next, 0, put(driver.state.next, value)))
}

describe('checkpoints and marks', () => {
  it('hold the chain at the last multiples of 1,024 offsets, and are kept with the state', () => {
    const driver = new CoreDriver()
    const chains = new Map<number, string>()
    for (let at = 0; at < 6 * CHECKPOINT_OFFSETS + 10; at++) {
      if (at % CHECKPOINT_OFFSETS === 0) chains.set(at, Buffer.from(driver.state.chain).toString('hex'))
      run(driver, 1)
    }
    const { checkpoints } = driver.state
    expect(checkpoints.map(({ at }) => at / CHECKPOINT_OFFSETS)).to.deep.equal([3, 4, 5, 6])
    expect(checkpoints).to.have.length(CHECKPOINTS_MAX)
    for (const { at, chain } of checkpoints)
      expect(Buffer.from(chain).toString('hex')).to.equal(chains.get(at))
    expect(decodeState(encodeState(driver.state)).checkpoints.map(({ at }) => at)).to.deep.equal(
      checkpoints.map(({ at }) => at),
    )
  })

  it('stand where the offset was skipped: the chain of all records below it', () => {
    const driver = new CoreDriver()
    run(driver, 1000)
    const before = Buffer.from(driver.state.chain)
    apply(driver, logged(1030, 0, put(1030)))
    const [checkpoint] = driver.state.checkpoints
    expect(checkpoint?.at).to.equal(1024)
    expect(before.equals(must(checkpoint, 'a checkpoint').chain)).to.equal(true)
  })

  it('tell a replica that has gone another way from one that has not', () => {
    const [leader, equal, other] = [new CoreDriver(), new CoreDriver(), new CoreDriver()]
    for (const driver of [leader, equal, other]) {
      run(driver, 1)
      apply(driver, logged(1, 0, encodeLead('n1', 'i1')))
    }
    run(leader, 1100)
    run(equal, 1100)
    run(other, 1, 'damaged')
    run(other, 1099)
    const mark = encodeMark(must(leader.state.checkpoints.at(-1), 'a checkpoint'), 1 as Epoch)
    const record = logged(1102, 0, mark)
    expect(apply(leader, record).diverged).to.equal(undefined)
    expect(apply(equal, record).diverged).to.equal(undefined)
    expect(apply(other, record).diverged).to.equal(CHECKPOINT_OFFSETS)
  })

  it('of a leader that was replaced are rejected, and of an unknown checkpoint prove nothing', () => {
    const driver = new CoreDriver()
    run(driver, 1)
    const chain = Buffer.alloc(32, 9)
    const early = apply(driver, logged(1, 0, encodeMark({ at: 1024 as Offset, chain }, 0 as Epoch)))
    expect(early.outcomes[0]).to.include({ status: 'rejected', reason: 'STALE_EPOCH' })
    apply(driver, logged(2, 0, encodeLead('n1', 'i1')))
    run(driver, 1097)
    const stale = apply(driver, logged(1100, 0, encodeMark({ at: 1024 as Offset, chain }, 5 as Epoch)))
    expect(stale.outcomes[0]).to.include({ status: 'rejected', reason: 'STALE_EPOCH' })
    expect(stale.diverged).to.equal(undefined)
    const far = apply(driver, logged(1101, 0, encodeMark({ at: 4096 as Offset, chain }, 2 as Epoch)))
    expect([far.outcomes, far.changes, far.diverged]).to.deep.equal([[], [], undefined])
  })
})
