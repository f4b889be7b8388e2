/** Every metric of the catalogue comes out of a running node, under its name, both ways. */
import { expect } from 'chai'
import { METRIC_NAMES, type MetricName, datadogName, prometheusName } from './catalogue.ts'
import { type Heard, hearNode } from './sent.fixture.ts'

/** What a node on the embedded log has not, and what only a node that lags has. */
const isAbsent = (name: MetricName): boolean =>
  name.startsWith('kafka.request.') || name === 'lag.worst.records'

describe('a running node', function () {
  this.timeout(60_000)
  let heard: Heard
  before(async () => {
    heard = await hearNode({})
  })

  it('sends every metric of the catalogue to the agent', () => {
    const missing = METRIC_NAMES.filter((name) => !isAbsent(name) && !heard.sent.has(datadogName(name)))
    expect(missing).to.deep.equal([])
  })

  it('shows every metric of the catalogue on /metrics', () => {
    const series = new Set(heard.shown.match(/^[a-z_0-9]+/gm))
    const missing = METRIC_NAMES.filter((name) => {
      const shown = prometheusName(name)
      return !isAbsent(name) && !series.has(shown) && !series.has(`${shown}_bucket`)
    })
    expect(missing).to.deep.equal([])
  })
})
