import { expect } from 'chai'
import fc from 'fast-check'
import { evenLeaders, type Lead } from './even-leaders.ts'

const NODES = 4
const node = fc.nat(NODES - 1)
const options = fc.uniqueArray(node, { minLength: 1, maxLength: NODES })
const leads = fc.array(
  fc.record({ options, current: fc.option(node, { nil: undefined }), group: fc.nat(2) }),
  { maxLength: 7 },
)
const base = fc.array(fc.nat(3), { minLength: NODES, maxLength: NODES })

const loadsOf = (leaders: readonly number[], base: readonly number[]): number[] =>
  base.map((load, at) => load + leaders.filter((leader) => leader === at).length)
const squares = (loads: readonly number[]): number => loads.reduce((sum, load) => sum + load * load, 0)
const taken = (all: readonly Lead[], leaders: readonly number[]): number =>
  all.filter(({ current }, at) => current !== undefined && current !== leaders[at]).length

/** All ways to give the leads to nodes that may have them. */
function* ways(all: readonly Lead[], at = 0): IterableIterator<number[]> {
  const lead = all[at]
  if (lead === undefined) {
    yield []
    return
  }
  const nodes = new Set([...lead.options, ...(lead.current === undefined ? [] : [lead.current])])
  for (const rest of ways(all, at + 1)) for (const leader of nodes) yield [leader, ...rest]
}

const same = (count: number, current?: number): Lead[] =>
  Array.from({ length: count }, () => ({ options: [0, 1, 2, 3], current, group: 0 }))

describe('even leadership', () => {
  it('is as even as any distribution can be', () => {
    fc.assert(
      fc.property(leads, base, (all, before) => {
        const leaders = evenLeaders(all, before)
        leaders.forEach((leader, at) => {
          expect([...(all[at]?.options ?? []), all[at]?.current]).to.include(leader)
        })
        let best = Infinity
        for (const way of ways(all)) best = Math.min(best, squares(loadsOf(way, before)))
        expect(squares(loadsOf(leaders, before))).to.equal(best)
      }),
      { numRuns: 300 },
    )
  })

  it('takes nothing away where that makes nothing more even', () => {
    fc.assert(
      fc.property(leads, base, (all, before) => {
        const leaders = evenLeaders(all, before)
        const again = all.map((lead, at) => ({ ...lead, current: leaders[at] }))
        expect(evenLeaders(again, before)).to.deep.equal(leaders)
      }),
    )
  })

  it('takes nothing more when it gives what it took', () => {
    fc.assert(
      fc.property(leads, base, (all, before) => {
        const first = evenLeaders(all, before)
        const freed = all.map((lead, at) =>
          lead.current === first[at] ? lead : { ...lead, current: undefined, options: lead.options },
        )
        expect(taken(freed, evenLeaders(freed, before))).to.equal(0)
      }),
      { numRuns: 1000 },
    )
  })

  it('takes no more than it must where all may lead all', () => {
    const scattered = fc.array(node, { minLength: 1, maxLength: 60 })
    fc.assert(
      fc.property(scattered, (currents) => {
        const all = currents.map((current) => ({ options: [0, 1, 2, 3], current, group: 0 }))
        const before = loadsOf(currents, [0, 0, 0, 0])
        const leaders = evenLeaders(all, [0, 0, 0, 0])
        const after = loadsOf(leaders, [0, 0, 0, 0])
        expect(Math.max(...after) - Math.min(...after)).to.be.at.most(1)
        // Those that lead most keep the larger shares.
        const share = Math.floor(currents.length / NODES)
        const larger = currents.length % NODES
        const least = [...before]
          .sort((a, b) => b - a)
          .reduce((sum, load, at) => sum + Math.max(0, load - share - (at < larger ? 1 : 0)), 0)
        expect(taken(all, leaders)).to.equal(least)
      }),
    )
  })

  it('takes a new node its share from all others alike', () => {
    const all = [0, 1, 2].flatMap((current) => same(8, current))
    const leaders = evenLeaders(all, [0, 0, 0, 0])
    expect(loadsOf(leaders, [0, 0, 0, 0])).to.deep.equal([6, 6, 6, 6])
    expect(taken(all, leaders)).to.equal(6)
  })

  it('passes on in a chain where no node can give to the idle one', () => {
    const all: Lead[] = [
      ...Array.from({ length: 4 }, () => ({ options: [0, 1], current: 0, group: 0 })),
      ...Array.from({ length: 2 }, () => ({ options: [1, 2], current: 1, group: 0 })),
    ]
    const leaders = evenLeaders(all, [0, 0, 0])
    expect(loadsOf(leaders, [0, 0, 0])).to.deep.equal([2, 2, 2])
    expect(taken(all, leaders)).to.equal(4)
  })

  it('spreads each group, and takes from the group that is most uneven', () => {
    const fresh = [0, 1, 2].flatMap((group) => same(4).map((lead) => ({ ...lead, group })))
    const leaders = evenLeaders(fresh, [0, 0, 0, 0])
    for (const group of [0, 1, 2])
      expect(new Set(leaders.slice(group * 4, group * 4 + 4)).size, `group ${group}`).to.equal(NODES)
    const uneven = [0, 0, 1, 1, 1, 1].map((group) => ({ options: [0, 1], current: 0, group }))
    const moved = evenLeaders(uneven, [0, 0]).flatMap((leader, at) =>
      leader === 1 ? [uneven[at]?.group] : [],
    )
    expect(moved.sort()).to.deep.equal([0, 1, 1])
  })

  it('is quick with many partitions', () => {
    const nodes = 12
    const all = Array.from({ length: 16_384 }, (_, at) => ({
      options: [at % nodes, (at * 7 + 1) % nodes, nodes - 1],
      current: at % (nodes - 1),
      group: at % 1000,
    }))
    const leaders = evenLeaders(
      all,
      Array.from({ length: nodes }, () => 0),
    )
    const loads = loadsOf(
      leaders,
      Array.from({ length: nodes }, () => 0),
    )
    expect(Math.max(...loads) - Math.min(...loads)).to.be.at.most(1)
  }).timeout(4000)
})
