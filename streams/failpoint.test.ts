import { expect } from 'chai'
import { failpoint, onFailpoint } from './failpoint.ts'

describe('failpoints', () => {
  let told: string[]
  beforeEach(() => (told = []))
  afterEach(() => {
    onFailpoint(undefined)
  })
  const listen = (): void => {
    onFailpoint((place) => told.push(place))
  }

  it('cost nothing and change nothing while nobody listens', async () => {
    const promise = Promise.resolve(1)
    expect(failpoint('a.b', () => promise)).to.equal(promise)
    expect(await failpoint('a.b', () => promise)).to.equal(1)
  })

  it('stand before and after a call', () => {
    listen()
    expect(failpoint('a.b', () => told.push('call'))).to.equal(2)
    expect(told).to.deep.equal(['a.b.before', 'call', 'a.b.after'])
  })

  it('stand after a call that failed', async () => {
    listen()
    const failure = new Error('no')
    expect(() =>
      failpoint('a.b', () => {
        throw failure
      }),
    ).to.throw(failure)
    expect(
      await failpoint('c.d', async () => Promise.reject(failure)).catch((caught: unknown) => caught),
    ).to.equal(failure)
    expect(told).to.deep.equal(['a.b.before', 'a.b.after', 'c.d.before', 'c.d.after'])
  })

  it('stand after a promise is settled, before whoever waits for it goes on', async () => {
    listen()
    let finish: (() => void) | undefined
    const done = failpoint('a.b', () => new Promise<void>((resolve) => (finish = resolve))).then(() => {
      told.push('goes on')
    })
    expect(told).to.deep.equal(['a.b.before'])
    finish?.()
    await done
    expect(told).to.deep.equal(['a.b.before', 'a.b.after', 'goes on'])
  })
})
