import { expect } from 'chai'
import type { Offset } from '../core/types.ts'
import { Fanout, WATCHERS_FOR_REST_MS, WATCH_REST_MS_MAX } from './fanout.ts'
import { openRig, HandClock } from './replica.fake.ts'

const quiet = { sleep: async (): Promise<void> => Promise.resolve() }

describe('fan-out', () => {
  it('lets few watchers go on at once, and many rest together, the longer the more they are', async () => {
    const slept: number[] = []
    const fanout = new Fanout({
      sleep: async (ms) => {
        slept.push(ms)
        return Promise.resolve()
      },
    })
    const leave = fanout.join()
    expect(fanout.rest()).to.equal(undefined)
    for (let at = 0; at < 2 * WATCHERS_FOR_REST_MS; at++) fanout.join()
    const resting = fanout.rest()
    expect(fanout.rest()).to.equal(resting)
    await resting
    expect(slept).to.deep.equal([2])
    for (let at = 0; at < 100 * WATCHERS_FOR_REST_MS; at++) fanout.join()
    await fanout.rest()
    expect(slept).to.deep.equal([2, WATCH_REST_MS_MAX])
    leave()
    leave()
  })

  it('counts a watcher that leaves twice once', () => {
    const fanout = new Fanout(quiet)
    const leave = fanout.join()
    for (let at = 0; at < WATCHERS_FOR_REST_MS; at++) fanout.join()
    leave()
    leave()
    expect(fanout.rest()).not.to.equal(undefined)
  })

  it('has one array of positions for all who stand at the same places', () => {
    const { replica } = openRig({ clock: new HandClock() })
    const fanout = new Fanout(quiet)
    const at = (next: number) => [{ replica, next: next as Offset }]
    const first = fanout.positions(at(7))
    expect(first).to.deep.equal([
      { keyspace: replica.keyspace, partition: replica.state.partition, offset: 6 },
    ])
    expect(fanout.positions(at(7))).to.equal(first)
    expect(fanout.positions(at(8))).not.to.equal(first)
    expect(fanout.positions(at(0))).to.deep.equal([])
  })
})
