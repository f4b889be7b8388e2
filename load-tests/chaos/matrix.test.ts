import { expect } from 'chai'
import { partitionOf } from '../../streams/core/partitioner.ts'
import { cellName } from './cell.ts'
import { ALL, LONG, NEMESES, SHORT, chosen } from './matrix.ts'
import { PARTITIONS, WORKLOADS } from './workloads.ts'

describe('the matrix of cells', () => {
  it('has every nemesis and every workload in the long run, in at least 24 cells', () => {
    expect(LONG.length).to.be.at.least(24)
    for (const { name } of NEMESES)
      expect(
        LONG.some(({ nemesis }) => nemesis.name === name),
        name,
      ).to.equal(true)
    for (const { name } of WORKLOADS)
      expect(LONG.filter(({ workload }) => workload.name === name).length, name).to.be.greaterThan(5)
    expect(new Set(ALL.map(cellName)).size).to.equal(ALL.length)
  })

  it('chooses cells by name, and refuses what fits none', () => {
    expect(chosen(['counters/kill-node']).map(cellName)).to.deep.equal(['counters/kill-node'])
    expect(chosen(['*/kill-node'])).to.have.length(WORKLOADS.length)
    expect(chosen(['leases', 'leases/kill-node'])).to.have.length(NEMESES.length)
    expect(() => chosen(['counters/rain'])).to.throw('there is no cell counters/rain')
    expect(SHORT.length).to.be.greaterThan(3)
  })

  it('has keys of every workload in every partition', () => {
    for (const { name, keys, settings } of WORKLOADS) {
      const by = settings?.partitionByPrefix
      const scheme =
        by === undefined ? { kind: 'key' as const } : { kind: 'prefix' as const, separator: Buffer.from(by) }
      const partitions = keys.map((key) => partitionOf(Buffer.from(key), PARTITIONS, scheme))
      expect(new Set(partitions).size, name).to.equal(PARTITIONS)
    }
  })
})
