import { expect } from 'chai'
import { NodeClock } from './node-clock.ts'
import { newLife, World } from './world.ts'

describe('a simulated world', () => {
  it('runs what is due in the order of its time, all promises of one event before the next event', async () => {
    const world = new World({ seed: 1 })
    const told: string[] = []
    world.after(undefined, 2, () => told.push('later'))
    world.after(undefined, 1, () => {
      void (async () => {
        for (let turn = 0; turn < 100; turn++) await Promise.resolve()
        told.push(`settled at ${world.elapsed}`)
      })()
    })
    await world.run(() => false)
    expect(told).to.deep.equal(['settled at 1', 'later'])
    expect(world.elapsed).to.equal(2)
  })

  it('orders what is due at one time by the seed', async () => {
    const order = async (seed: number): Promise<string> => {
      const world = new World({ seed })
      let text = ''
      for (const name of 'abcdefgh') world.after(undefined, 1, () => (text += name))
      await world.run(() => false)
      return text
    }
    expect(await order(7)).to.equal(await order(7))
    const orders = new Set(await Promise.all([1, 2, 3, 4, 5].map(order)))
    expect(orders.size).to.be.greaterThan(3)
  })

  it('gives a process nothing after its death, and a paused one everything when it goes on', async () => {
    const world = new World({ seed: 1 })
    const [dead, paused] = [newLife('dead'), newLife('paused')]
    const told: string[] = []
    for (const life of [dead, paused])
      for (const at of [1, 2]) world.after(life, at, () => told.push(`${life.name} ${at}`))
    dead.alive = false
    world.pause(paused)
    await world.run(() => false)
    expect(told).to.deep.equal([])
    world.resume(paused)
    await world.run(() => false)
    expect(told).to.deep.equal(['paused 1', 'paused 2'])
  })

  it('tells whose event threw', async () => {
    const world = new World({ seed: 1 })
    const life = newLife('n1')
    const crashed: string[] = []
    world.onCrash = ({ name }, cause) => crashed.push(`${name}: ${String(cause)}`)
    world.after(life, 1, () => {
      throw new Error('broken')
    })
    await world.run(() => false)
    expect(crashed).to.deep.equal(['n1: Error: broken'])
  })

  it('stops when it is done, when nothing is left, and when the time is over', async () => {
    const world = new World({ seed: 1 })
    const clock = new NodeClock(world, newLife('n1'))
    let ticks = 0
    const stop = clock.every(10, () => (ticks += 1))
    expect(await world.run(() => ticks === 3)).to.equal(true)
    expect(await world.run(() => false, 100)).to.equal(false)
    expect(ticks).to.equal(13)
    stop()
    expect(await world.run(() => false)).to.equal(false)
    expect(ticks).to.equal(13)
  })

  it('has the same hash for the same lines and events, another for others', async () => {
    const hash = async (line: string, ms: number): Promise<string> => {
      const world = new World({ seed: 3 })
      world.after(undefined, ms, () => {
        world.note(line)
      })
      await world.run(() => false)
      return world.traceHash()
    }
    expect(await hash('a', 1)).to.equal(await hash('a', 1))
    expect(await hash('a', 1)).to.not.equal(await hash('b', 1))
    expect(await hash('a', 1)).to.not.equal(await hash('a', 2))
  })
})

describe('a simulated clock', () => {
  it('is set and drifts, and neither moves what is waited for by a clock that was set', async () => {
    const world = new World({ seed: 1 })
    const clock = new NodeClock(world, newLife('n1'))
    const began = clock.now()
    clock.jump(-5000)
    let woken = 0
    void clock.sleep(100).then(() => (woken = world.elapsed))
    await world.run(() => woken > 0)
    expect(woken).to.equal(100)
    expect(clock.now() - began).to.equal(-4900)
    clock.drift(2)
    void clock.sleep(100).then(() => (woken = world.elapsed))
    await world.run(() => woken > 100)
    expect(woken).to.equal(150)
    expect(clock.now() - began).to.equal(-4800)
  })
})
