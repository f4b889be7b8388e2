import { expect } from 'chai'
import type { Offset } from '../core/types.ts'
import { OffsetWaiters } from './waiters.ts'

describe('offset waiters', () => {
  const make = (): {
    readonly waiters: OffsetWaiters
    readonly heard: string[]
    wait(next: number, deadline?: number): void
  } => {
    const waiters = new OffsetWaiters()
    const heard: string[] = []
    return {
      waiters,
      heard,
      wait: (next, deadline = Infinity) =>
        void waiters.wait(next as Offset, deadline).then(
          () => heard.push(`${next}`),
          (caught: unknown) => heard.push(`${next} ${String(caught)}`),
        ),
    }
  }
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

  it('are told in the order of their offsets, each once', async () => {
    const { waiters, heard, wait } = make()
    for (const next of [5, 3, 9, 3, 7]) wait(next)
    waiters.reached(4 as Offset)
    await turn()
    expect(heard).to.deep.equal(['3', '3'])
    waiters.reached(7 as Offset)
    await turn()
    expect(heard).to.deep.equal(['3', '3', '5', '7'])
    expect(waiters.size).to.equal(1)
    waiters.reached(7 as Offset)
    await turn()
    expect(heard).to.have.length(4)
  })

  it('end at their deadline, not before', async () => {
    const { waiters, heard, wait } = make()
    wait(5, 100)
    wait(3, 200)
    wait(9, 101)
    waiters.expire(99, () => 'late')
    await turn()
    expect(heard).to.deep.equal([])
    waiters.expire(100, () => 'late')
    await turn()
    expect(heard).to.deep.equal(['5 late'])
    waiters.reached(3 as Offset)
    waiters.expire(150, () => 'late')
    await turn()
    expect(heard).to.deep.equal(['5 late', '3', '9 late'])
    expect(waiters.size).to.equal(0)
  })

  it('all end when the replica fails', async () => {
    const { waiters, heard, wait } = make()
    wait(5)
    wait(3)
    waiters.fail(new Error('stopped'))
    await turn()
    expect(heard.sort()).to.deep.equal(['3 Error: stopped', '5 Error: stopped'])
    wait(9)
    await turn()
    expect(heard[2], 'and those who come later').to.equal('9 Error: stopped')
    expect(waiters.size).to.equal(0)
  })
})
