import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { measure } from './measure.ts'

describe('measuring', () => {
  it('counts what was done, and ends after so many calls', async () => {
    let calls = 0
    const call = async (): Promise<void> => void (calls += 1)
    const measured = await measure({ name: 'x', ms: 10_000, loops: 7, weight: 3, calls: 100 }, call)
    expect(calls).to.equal(100)
    expect(measured.operations).to.equal(300)
    expect(measured.p50Ms).to.be.at.most(measured.maxMs)
  })

  it('begins calls at an even rate, and times them from when they were due', async () => {
    let calls = 0
    // The second call keeps the only loop for 50 ms: all that were due meanwhile have waited.
    const call = async (): Promise<void> => {
      calls += 1
      if (calls === 2) await sleep(50)
    }
    const plan = { name: 'x', ms: 100_000, loops: 1, perSecond: 1000, calls: 40 }
    const { operations, p50Ms, seconds } = await measure(plan, call)
    expect(operations).to.equal(40)
    expect(seconds).to.be.greaterThan(0.04)
    expect(p50Ms).to.be.greaterThan(10)
  })

  it('lets no more calls run at once than it is told', async () => {
    let [running, most] = [0, 0]
    const call = async (): Promise<void> => {
      most = Math.max(most, (running += 1))
      await sleep(5)
      running -= 1
    }
    await measure({ name: 'x', ms: 40, loops: 3, perSecond: 10_000 }, call)
    expect(most).to.equal(3)
  })

  for (const perSecond of [undefined, 1000]) {
    it(`ends with the first failure, or counts them (${perSecond ?? 'no'} rate)`, async () => {
      const call = async (): Promise<void> => Promise.reject(new Error('no'))
      const plan = { name: 'x', ms: 1000, loops: 2, perSecond, calls: 6 }
      const said = await measure(plan, call).catch((error: unknown) => error)
      expect(said).to.have.property('message', 'no')
      const measured = await measure({ ...plan, onFailure: () => undefined }, call)
      expect(measured).to.include({ operations: 0, failed: 6, maxMs: 0 })
    })
  }
})
