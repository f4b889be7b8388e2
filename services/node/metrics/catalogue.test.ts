/** The catalogue is in order, and what a node reads is what it says. */
import { expect } from 'chai'
import { METRIC_NAMES, metricOf, prometheusName } from './catalogue.ts'
import { look } from './look.ts'
import { type FakeMeasured, measuredFake } from './measured.fake.ts'
import { READINGS, type Sample, type Spread } from './readings.ts'

describe('the catalogue of metrics', () => {
  let measured: FakeMeasured
  before(() => {
    measured = measuredFake()
  })
  after(() => {
    measured.runtime.stop()
  })

  for (const name of METRIC_NAMES)
    it(`has ${name}, with its tags, and a node that tells it`, () => {
      const read: readonly (Sample | Spread)[] = READINGS[name](look(measured))
      expect(read, 'samples').not.to.have.length(0)
      for (const { tags } of read) expect(Object.keys(tags)).to.have.members([...metricOf(name).tags])
    })

  it('has names and units that Datadog and Prometheus take', () => {
    for (const name of METRIC_NAMES) {
      expect(name).to.match(/^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$/)
      const { type, unit } = metricOf(name)
      const written = prometheusName(name)
      expect(written).to.match(/^(tidemark|process|nodejs)_[a-z0-9_]+$/)
      if (type === 'count') expect(written, name).to.match(/_total$/)
      if (type === 'distribution') expect(unit).to.equal('second')
      if (unit === 'second') expect(written, name).to.match(/_seconds(_total)?$/)
      if (unit === 'byte' && name !== 'rocksdb.write.delayed_rate')
        expect(written, name).to.match(/_bytes(_total)?$/)
    }
    expect(new Set(METRIC_NAMES.map(prometheusName)).size).to.equal(METRIC_NAMES.length)
  })

  it('names the partitions that lag most, five at most, and shows the others as quantiles', () => {
    const { node } = measured
    if (node === undefined) throw new Error('no node')
    const replicas = node.replicas()
    const [first] = replicas
    if (first === undefined) throw new Error('no replica')
    const many = { ...look(measured), replicas: [...replicas, ...replicas, ...replicas] }
    const worst = READINGS['lag.worst.records'](many)
    expect(worst.map(({ value }) => value)).to.deep.equal([3, 3, 3, 2, 2])
    expect(READINGS['lag.records'](many)).to.deep.equal([
      { tags: { quantile: '0.5' }, value: 1 },
      { tags: { quantile: '0.99' }, value: 3 },
      { tags: { quantile: '1' }, value: 3 },
    ])
  })

  it('shows nothing that a node does not know before it is open', () => {
    const opening = look({ ...measured, node: undefined })
    expect(READINGS.ready(opening)).to.deep.equal([{ tags: {}, value: 0 }])
    expect(READINGS.leading(opening)).to.deep.equal([])
    expect(READINGS['lag.records'](opening).map(({ value }) => value)).to.deep.equal([0, 0, 0])
  })
})
