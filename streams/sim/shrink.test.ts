import { expect } from 'chai'
import type { Fault } from './faults.ts'
import { shrink } from './shrink.ts'
import type { SimulationOptions } from './simulation.ts'

describe('shrinking', () => {
  const faults = Array.from({ length: 17 }, (_, at): Fault => ({
    kind: 'kill',
    at,
    lasts: 1,
    target: 0,
    strength: 1,
  }))

  it('leaves out all that a failure does not need', async () => {
    let runs = 0
    const run = async ({ faults: some, calls }: SimulationOptions) => {
      runs += 1
      const fails = (some?.has(3) ?? true) && (some?.has(12) ?? true) && (calls ?? 100) >= 7
      return {
        seed: 1,
        faults: faults.filter((_, at) => some?.has(at) ?? true),
        problems: fails ? ['wrong'] : [],
      }
    }
    const { options, result } = await shrink(await run({ seed: 1 }), run)
    expect(options).to.deep.equal({ seed: 1, faults: new Set([3, 12]), calls: 7 })
    expect(result.problems).to.deep.equal(['wrong'])
    expect(runs).to.be.below(100)
  })

  it('gives back a run that fails only as a whole', async () => {
    const run = async ({ faults: some, calls }: SimulationOptions) => ({
      seed: 1,
      faults,
      problems: some === undefined && calls === undefined ? ['wrong'] : [],
    })
    expect((await shrink(await run({ seed: 1 }), run)).options).to.deep.equal({ seed: 1 })
  })
})
