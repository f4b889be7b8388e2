import { expect } from 'chai'
import type { Command } from '../core/command.ts'
import type { Change, RecordEffects } from '../core/effects.ts'
import type { Outcome } from '../core/mutation.ts'
import { logTime, offset } from '../core/types.ts'
import { newMeters } from '../meters.ts'
import { countApplied } from './apply-meter.ts'

const outcome = (more: Partial<Outcome>): Outcome =>
  ({ status: 'applied', offset: offset(1), duplicate: false, ...more }) as Outcome

const done = (more: Partial<RecordEffects>): RecordEffects => ({
  offset: offset(1),
  time: logTime(1),
  outcomes: [],
  changes: [],
  duplicateOf: undefined,
  ...more,
})

const command = (kind: string): Command => ({ kind }) as unknown as Command

const RUN = {
  commands: ['pack', 'tick', 'mark', 'mark', 'barrier'].map(command),
  effects: [
    done({
      outcomes: [
        outcome({}),
        outcome({ duplicate: true }),
        outcome({ status: 'rejected', reason: 'MISPLACED_KEY' }),
        outcome({ status: 'rejected', reason: 'MISPLACED_KEY', duplicate: true }),
      ],
    }),
    done({ changes: ['expired', 'put', 'expired'].map((kind) => ({ kind }) as Change) }),
    done({}),
    done({ diverged: offset(0) }),
  ],
  seconds: 0.002,
}

describe('what is applied', () => {
  it('is counted by what became of it', () => {
    const meters = newMeters()
    countApplied(meters, 'orders', { ...RUN, live: true })
    const { counts, tallies, durations } = meters
    expect(tallies['apply.records'].totals.get('orders')).to.equal(4)
    expect(tallies['apply.rejections'].totals.get('MISPLACED_KEY')).to.equal(1)
    expect([
      counts['apply.mutations'],
      counts['apply.duplicates'],
      counts['apply.expiries'],
      counts['apply.ticks'],
      counts['apply.marks.compared'],
      counts['apply.marks.diverged'],
    ]).to.deep.equal([4, 2, 2, 1, 2, 1])
    expect(durations['apply.duration'].count.reduce((sum, count) => sum + count)).to.equal(1)
  })

  it('counts as records only while a replica is built again: nobody is refused a second time', () => {
    const meters = newMeters()
    countApplied(meters, 'orders', { ...RUN, live: false })
    expect(meters.tallies['apply.records'].totals.get('orders')).to.equal(4)
    expect(meters.tallies['apply.rejections'].totals.get('MISPLACED_KEY')).to.equal(0)
    expect(meters.counts['apply.duplicates']).to.equal(0)
  })
})
