import { expect } from 'chai'
import type { ScaleSample } from './cell.ts'
import { least, reach, unitCosts } from './extrapolate.ts'
import { mapCosts } from './map-costs.ts'

const sample = (workload: ScaleSample['workload'], replicas: number, nodeMicros: number): ScaleSample => ({
  ...{
    workload,
    replicas,
    nodeMicros,
    nodes: replicas,
    partitions: 1,
    perSecond: 1,
    p50Ms: 1,
    p99Ms: 1,
    failed: 0,
  },
  ...{ brokerMicros: 4, clientMicros: 5, idleNodes: 0, idleBroker: 0 },
})
const costs = unitCosts([
  sample('put', 1, 15),
  sample('put', 2, 20),
  sample('put', 3, 25),
  sample('get, eventual', 3, 10),
  sample('get, linearizable, one at a time', 3, 90),
])

describe('the extrapolation', () => {
  it('tells what a put costs once from what each replica adds', () => {
    expect(costs).to.deep.equal({ putOnce: 10, putEachReplica: 5, putBroker: 4, get: 10, roundBroker: 4 })
  })

  it('gives each resource its limit', () => {
    const { puts, gets, roundMicros } = reach(costs, 100, 10, mapCosts(10, 4))
    expect(puts['processors of nodes']).to.equal(4e6)
    expect(puts['processors of brokers']).to.be.closeTo(6.67e6, 1e4)
    expect(puts['lines of brokers']).to.be.closeTo(1.09e7, 1e5)
    expect(gets['processors of nodes']).to.equal(1e7)
    expect(roundMicros).to.equal(50)
    expect(least(puts)).to.deep.equal({ what: 'processors of nodes', rate: 4e6 })
  })

  it('measures the map by the functions that make it: its record grows with the square of the nodes', () => {
    const [small, large] = [mapCosts(10, 4), mapCosts(40, 4)]
    expect(small.partitions).to.equal(40)
    expect(large.groupRecordBytes / small.groupRecordBytes).to.be.greaterThan(8)
    expect(reach(costs, 10, 3, small).mapFits).to.equal(true)
  })
})
