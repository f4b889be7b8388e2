import { expect } from 'chai'
import { PauseMeter, firstWritesAfter, longestWriteGap } from './gaps.ts'

const write = (partition: number, asked: number, answered: number) => ({ partition, asked, answered })

describe('gaps in a load', () => {
  it('finds the longest time that one partition acknowledged nothing, whatever the others did', () => {
    const writes = [write(0, 0, 10), write(1, 0, 12), write(0, 15, 20), write(0, 25, 30), write(1, 80, 90)]
    expect(longestWriteGap(writes, 2, 0, 100)).to.deep.equal({ ms: 78, partition: 1, from: 12 })
    expect(longestWriteGap(writes, 2, 0, 500).ms).to.equal(470)
    expect(longestWriteGap(writes, 3, 0, 100).ms).to.equal(100)
  })

  it('counts only writes that were asked for after a moment as the first after it', () => {
    const writes = [write(0, 40, 70), write(0, 55, 80), write(1, 51, 60)]
    expect(firstWritesAfter(writes, [0, 1], 50)).to.equal(30)
    expect(firstWritesAfter(writes, [2], 50)).to.equal(Infinity)
  })

  it('counts as pause only the time that a replica does not move though it could', () => {
    const meter = new PauseMeter()
    meter.look('a', 10, 10, 0)
    meter.look('a', 10, 10, 500) // nothing to apply
    meter.look('a', 10, 12, 600) // since now
    meter.look('a', 10, 13, 750)
    meter.look('a', 11, 13, 800) // moved: the pause has lasted 200
    expect(meter.longestMs).to.equal(200)
    meter.look('a', 12, 13, 900)
    meter.look('a', 13, 13, 950)
    expect(meter.longestMs).to.equal(200)
    meter.look('a', 13, 14, 1000)
    meter.forget('a')
    meter.look('a', 13, 14, 9000)
    meter.look('a', 14, 14, 9010)
    expect(meter.longestMs).to.equal(200)
  })
})
