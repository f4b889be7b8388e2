import { expect } from 'chai'
import type { Measured, Sample } from './run.ts'
import { rowsOf, spreadOf, tableOf } from './table.ts'

const sample = (perSecond: number, more: Partial<Sample> = {}): Sample => ({
  operations: perSecond,
  seconds: 1,
  perSecond,
  p50Ms: 1,
  p99Ms: 2,
  maxMs: 3,
  failed: 0,
  serverMicros: 10,
  rssMiB: 100,
  ...more,
})
const workload = { title: 'put', name: 'put', clients: 1, connections: 1, aims: { etcd: 2 } }
const measured = (peer: string, kind: Measured['kind'], ...rates: number[]): Measured => ({
  durability: 'fsync',
  peer,
  kind,
  workload,
  samples: rates.map((rate) => sample(rate)),
})

describe('the table of the comparison', () => {
  it('takes the median of the rounds, and shows the least and the most', () => {
    expect(spreadOf([5, 1, 3])).to.deep.equal({ median: 3, least: 1, most: 5 })
    expect(spreadOf([4, 1, 3, 2])).to.deep.equal({ median: 2.5, least: 1, most: 4 })
  })

  it('holds the better Tidemark of the class against each peer, with the aim', () => {
    const rows = rowsOf([
      measured('tidemark embedded', 'tidemark', 300),
      measured('tidemark kafka', 'tidemark', 150),
      measured('etcd', 'etcd', 200, 100, 120),
      measured('redis', 'redis', 600),
    ])
    expect(rows.map(({ ratio }) => ratio)).to.deep.equal([undefined, undefined, 2.5, 0.5])
    expect(rows.map(({ aim }) => aim)).to.deep.equal([undefined, undefined, 2, undefined])
  })

  it('prints a loss like a win', () => {
    const rows = rowsOf([measured('tidemark', 'tidemark', 300), measured('etcd', 'etcd', 300)])
    const [, own, etcd] = tableOf(rows).split('\n')
    expect(own).to.match(/^put \(fsync\) +tidemark +300 \(300 to 300\)/)
    expect(etcd).to.contain('1.00 x (aim 2, missed)')
  })

  it('holds what no peer has against what the peer does instead', () => {
    const replay = { ...measured('streams', 'streams', 100), workload: { ...workload, title: 'replay' } }
    const snapshot = { ...workload, title: 'snapshot', against: 'replay', aims: { streams: 5 } }
    const [own, other] = rowsOf([{ ...measured('tidemark', 'tidemark', 600), workload: snapshot }, replay])
    expect([own?.ratio, own?.aim]).to.deep.equal([6, 5])
    expect(other?.ratio).to.equal(undefined)
  })

  it('counts what failed over all rounds', () => {
    const [row] = rowsOf([
      { ...measured('etcd', 'etcd'), samples: [sample(1, { failed: 2 }), sample(1, { failed: 1 })] },
    ])
    expect(row?.failed).to.equal(3)
    expect(row?.ratio).to.equal(undefined)
  })
})
