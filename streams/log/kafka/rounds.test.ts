import { expect } from 'chai'
import { createRounds } from './rounds.ts'

describe('rounds', () => {
  it('answer each question by a round that began after it, and share it', async () => {
    const ran: number[][] = []
    const ends: (() => void)[] = []
    const ask = createRounds<number, number>(async (questions) => {
      ran.push([...questions])
      const round = ran.length
      await new Promise<void>((resolve) => ends.push(resolve))
      return round
    })
    const first = ask(1)
    const second = ask(2)
    const third = ask(3)
    expect(ran).to.deep.equal([[1]])
    ends[0]?.()
    expect(await first).to.equal(1)
    const fourth = ask(4)
    await Promise.resolve()
    ends[1]?.()
    expect(await second).to.equal(2)
    expect(await third).to.equal(2)
    ends[2]?.()
    expect(await fourth).to.be.within(2, 3)
    expect(ran.flat()).to.deep.equal([1, 2, 3, 4])
  })

  it('go on after a round that failed', async () => {
    let fails = true
    const ask = createRounds<number, string>(() =>
      fails ? Promise.reject(new Error('no')) : Promise.resolve('yes'),
    )
    const results = Promise.allSettled([ask(1), ask(2)])
    fails = false
    expect((await results).map((one) => one.status)).to.deep.equal(['rejected', 'fulfilled'])
    expect(await ask(3)).to.equal('yes')
  })
})
