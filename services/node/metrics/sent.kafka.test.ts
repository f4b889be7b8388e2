/** A node on a real Kafka tells of its client. */
import { expect } from 'chai'
import { withKafka } from '../../../infra/kafka/with-kafka.ts'
import { METRIC_NAMES, datadogName } from './catalogue.ts'
import { hearNode } from './sent.fixture.ts'

describe('a node on Kafka', function () {
  this.timeout(90_000)
  const kafka = withKafka()

  it('sends and shows how its requests to the brokers go', async () => {
    const { sent, shown } = await hearNode({
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_DEV: '1',
      TIDEMARK_CLUSTER: `metrics-${process.pid}`,
      TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
    })
    const missing = METRIC_NAMES.filter(
      (name) => !sent.has(datadogName(name)) && name !== 'lag.worst.records',
    )
    expect(missing).to.deep.equal([])
    for (const api of ['Produce', 'Fetch', 'ListOffsets', 'Metadata'])
      expect(shown).to.match(new RegExp(`tidemark_kafka_request_duration_seconds_count\\{api="${api}"`))
    const connections = /^tidemark_kafka_connections\{.*\} (\d+)$/m.exec(shown)
    expect(Number(connections?.[1])).to.be.at.least(3)
  })
})
