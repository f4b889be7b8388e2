import { expect } from 'chai'
import { readArguments } from './arguments.ts'
import { command } from './shrink.ts'

describe('the arguments of the simulator', () => {
  const read = (line: string): ReturnType<typeof readArguments> =>
    readArguments(line.split(' ').filter(Boolean))

  it('name one seed, a range, or a time', () => {
    expect(read('--seed 7')).to.deep.include({ from: 7, to: 7, minutes: Infinity, workers: 1 })
    expect(read('--seeds 3..9 --workers 2')).to.deep.include({ from: 3, to: 9, workers: 2 })
    expect(read('--minutes 0.5')).to.deep.include({ from: 1, to: Infinity, minutes: 0.5 })
    expect(read('')).to.deep.include({ from: 1, to: 100 })
  })

  it('run a part of a seed again as `command` says it', () => {
    const options = { seed: 4, faults: new Set([2, 5]), calls: 3 }
    const line = command(options)
    expect(line).to.equal('npm run sim -- --seed 4 --faults 2,5 --calls 3')
    expect(read(line.slice('npm run sim -- '.length))).to.deep.include({
      from: 4,
      to: 4,
      faults: new Set([2, 5]),
      calls: 3,
    })
    expect(command({ seed: 4, faults: new Set() })).to.equal('npm run sim -- --seed 4 --faults none')
    expect(read('--seed 4 --faults none').faults).to.deep.equal(new Set())
  })

  it('are refused when they make no sense', () => {
    for (const line of ['--seed x', '--seeds 9..3', '--faults 1,b', '--what', '--workers -1'])
      expect(() => read(line), line).to.throw(Error)
  })
})
