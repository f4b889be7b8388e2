import { expect } from 'chai'
import { Turns } from './turns.ts'

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('turns', () => {
  it('lets so many work at a time, in the order in which they came', async () => {
    const turns = new Turns(2)
    const working: string[] = []
    const ends = new Map<string, () => void>()
    for (const name of ['a', 'b', 'c', 'd'])
      void turns.take(new AbortController().signal).then((end) => {
        working.push(name)
        ends.set(name, end)
      })
    await settle()
    expect(working).to.deep.equal(['a', 'b'])
    ends.get('b')?.()
    ends.get('b')?.()
    await settle()
    expect(working, 'a turn ends once').to.deep.equal(['a', 'b', 'c'])
    ends.get('a')?.()
    await settle()
    expect(working).to.deep.equal(['a', 'b', 'c', 'd'])
  })

  it('keeps nobody waiting who has given up, and gives the turn to the next', async () => {
    const turns = new Turns(1)
    const end = await turns.take(new AbortController().signal)
    const leaving = new AbortController()
    const left = turns.take(leaving.signal)
    const next = turns.take(new AbortController().signal)
    leaving.abort()
    ;(await left)()
    expect(await Promise.race([next.then(() => 'began'), settle().then(() => 'waits')])).to.equal('waits')
    end()
    ;(await next)()
    ;(await turns.take(leaving.signal))()
  })
})
