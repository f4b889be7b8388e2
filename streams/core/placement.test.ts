import { expect } from 'chai'
import fc from 'fast-check'
import { targetsOf, weightOf, type Place } from './placement.ts'

const TOPIC = 't.default'
const nodesOf = (count: number, zones = 0): Place[] =>
  Array.from({ length: count }, (_, at) => ({
    nodeId: `node-${at + 1}`,
    zone: zones === 0 ? '' : `zone-${(at % zones) + 1}`,
  }))
const place = (partitions: number, nodes: readonly Place[], replication: number): string[][] =>
  Array.from({ length: partitions }, (_, partition) => targetsOf(TOPIC, partition, nodes, replication))

const clusters = fc
  .uniqueArray(fc.record({ nodeId: fc.string({ minLength: 1 }), zone: fc.constantFrom('', 'x', 'y', 'z') }), {
    minLength: 1,
    maxLength: 9,
    selector: ({ nodeId }) => nodeId,
  })
  .map((nodes) => nodes)
const replication = fc.integer({ min: 1, max: 5 })
const partition = fc.nat(1023)

describe('the placement of replicas', () => {
  it('weighs nodes as it always did', () => {
    const vectors: [topic: string, partition: number, nodeId: string, weight: number][] = [
      ['tidemark.default', 0, 'node-1', 3815099418],
      ['tidemark.default', 0, 'node-2', 3275988176],
      ['tidemark.default', 1, 'node-1', 1565101947],
      ['tidemark.default', 1023, 'tidemark-0', 2864438743],
      ['orders', 7, 'größe', 3183030011],
      ['', 0, '', 2958369225],
    ]
    expect(
      vectors.map(([topic, at, nodeId]) => [topic, at, nodeId, weightOf(topic, at, nodeId)]),
    ).to.deep.equal(vectors)
    const short = (nodes: readonly Place[]): string[] =>
      place(6, nodes, 3).map((targets) => targets.map((id) => id.slice(5)).join(' '))
    expect(short(nodesOf(5))).to.deep.equal(['3 2 4', '2 3 1', '4 5 1', '4 3 5', '4 1 3', '4 1 3'])
    const zoned = nodesOf(5).map((node) => ({ ...node, zone: node.nodeId < 'node-4' ? 'x' : 'y' }))
    expect(short(zoned)).to.deep.equal(['3 4 2', '2 4 3', '4 1 5', '4 3 5', '4 1 3', '4 1 3'])
  })

  it('does not depend on the order of the nodes, and gives each replica another node', () => {
    fc.assert(
      fc.property(clusters, partition, replication, (nodes, at, wanted) => {
        const targets = targetsOf(TOPIC, at, nodes, wanted)
        expect(targetsOf(TOPIC, at, [...nodes].reverse(), wanted)).to.deep.equal(targets)
        expect(new Set(targets).size).to.equal(Math.min(wanted, nodes.length))
      }),
    )
  })

  it('puts no two replicas into one zone while another zone has a node without one', () => {
    fc.assert(
      fc.property(clusters, partition, replication, (nodes, at, wanted) => {
        const targets = new Set(targetsOf(TOPIC, at, nodes, wanted))
        const zones = [...new Set(nodes.map(({ zone }) => zone))].map((zone) => {
          const inZone = nodes.filter((node) => node.zone === zone)
          const used = inZone.filter(({ nodeId }) => targets.has(nodeId)).length
          return { used, free: inZone.length - used }
        })
        for (const { used } of zones)
          for (const other of zones) if (other.free > 0) expect(used).to.be.at.most(other.used + 1)
      }),
    )
  })

  it('moves only what a node that joins takes, or one that leaves had', () => {
    fc.assert(
      fc.property(clusters, partition, replication, fc.nat(), (nodes, at, wanted, which) => {
        const one = nodes[which % nodes.length]?.nodeId ?? ''
        const rest = nodes.filter(({ nodeId }) => nodeId !== one)
        const whole = targetsOf(TOPIC, at, nodes, wanted)
        const without = targetsOf(TOPIC, at, rest, wanted)
        const onlyWhole = whole.filter((id) => !without.includes(id))
        const onlyWithout = without.filter((id) => !whole.includes(id))
        if (whole.includes(one)) {
          expect(onlyWhole).to.deep.equal([one])
          expect(onlyWithout).to.have.length(Math.min(wanted, rest.length) - (whole.length - 1))
        } else expect(without).to.deep.equal(whole)
      }),
      { numRuns: 2000 },
    )
  })

  for (const [what, zones] of [
    ['without zones', undefined],
    ['with three zones', 3],
  ] as const)
    it(`moves about one of N replicas for one of N nodes, ${what}`, () => {
      const partitions = 1024
      const nodes = nodesOf(9, zones)
      const before = place(partitions, nodes.slice(0, 8), 3)
      const after = place(partitions, nodes, 3)
      const moved = after.flatMap((targets, at) => targets.filter((id) => !before[at]?.includes(id)))
      expect(new Set(moved)).to.deep.equal(new Set(['node-9']))
      // Its share, give or take four standard deviations.
      expect(moved.length / (partitions * 3)).to.be.within(0.9 / 9, 1.1 / 9)
    })

  it('is about even', () => {
    for (const nodes of [nodesOf(4), nodesOf(10), nodesOf(9, 3), nodesOf(30)]) {
      const partitions = 1024
      const counts = new Map<string, number>()
      for (const id of place(partitions, nodes, 3).flat()) counts.set(id, (counts.get(id) ?? 0) + 1)
      const share = 3 / nodes.length
      const deviation = Math.sqrt(partitions * share * (1 - share))
      expect(counts.size).to.equal(nodes.length)
      for (const count of counts.values())
        expect(Math.abs(count - partitions * share)).to.be.lessThan(4 * deviation)
    }
  })
})
