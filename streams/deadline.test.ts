import { expect } from 'chai'
import { dueAt } from './deadline.ts'
import { HandClock } from './replica/replica.fake.ts'

describe('a deadline', () => {
  it('comes after so long as was left of it, whatever becomes of the date', () => {
    const clock = new HandClock()
    const due = dueAt(clock, clock.now() + 500)
    clock.jump(-3_600_000)
    clock.advance(499)
    expect(due).to.be.greaterThan(clock.elapsed())
    clock.jump(7_200_000)
    clock.advance(1)
    expect(due).to.equal(clock.elapsed())
  })

  it('never comes where there is none, and has come where it is past', () => {
    const clock = new HandClock()
    expect(dueAt(clock, Infinity)).to.equal(Infinity)
    expect(dueAt(clock, clock.now() - 1)).to.be.below(clock.elapsed())
  })
})
