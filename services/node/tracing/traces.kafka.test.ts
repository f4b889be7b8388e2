/** A cluster on a real Kafka and a real receiver of OTLP: one write is one trace over all nodes, whoever wrote it. */
import { expect } from 'chai'
import { Kafka, Partitioners, logLevel } from 'kafkajs'
import { withJava } from '../../../infra/kafka/with-kafka.ts'
import { type OtlpReceiver, type ReceivedSpan, startReceiver } from '../../../infra/otlp/receiver.ts'
import { type Cluster, startCluster } from '../../../load-tests/cluster/harness.ts'
import { must } from '../../../streams/core/assert.ts'
import { type Tidemark, connect } from '../../client/index.ts'
import { contextText } from './spans.fake.ts'

const NODES = 3
/** OTLP's number. */
const SERVER = 2

describe('traces of a cluster on Kafka', function () {
  this.timeout(600_000)
  withJava()
  let receiver: OtlpReceiver
  let cluster: Cluster
  let db: Tidemark
  let traceparent: string | undefined

  before(async () => {
    receiver = await startReceiver()
    cluster = await startCluster({
      nodes: NODES,
      brokers: 1,
      partitions: 3,
      settings: {
        OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
        OTEL_TRACES_SAMPLER: 'parentbased_always_off',
      },
    })
    // One node alone is asked: what it does not have goes to another one.
    db = connect({
      server: must(cluster.nodes[0], 'a node').address,
      discover: false,
      traceparent: () => traceparent,
    })
  })
  after(async () => {
    await db?.close()
    await cluster?.close()
    await receiver?.end()
  })
  afterEach(() => (traceparent = undefined))

  const traceOf = (digit: string, spans: readonly ReceivedSpan[]): readonly ReceivedSpan[] =>
    spans.filter(({ traceId }) => traceId === digit.repeat(32))
  const named = (name: string, spans: readonly ReceivedSpan[]): readonly ReceivedSpan[] =>
    spans.filter((span) => span.name.startsWith(name))
  const nodesOf = (spans: readonly ReceivedSpan[]): readonly unknown[] =>
    spans.map(({ resource }) => resource['service.instance.id']).sort()
  const ALL = ['node-1', 'node-2', 'node-3']

  it('a write is applied on each replica in its trace', async () => {
    traceparent = contextText('a')
    const { offset, partition } = await db.put('key', 'value')
    const spans = await receiver.until((all) => named('process', traceOf('a', all)).length >= NODES)
    const trace = traceOf('a', spans)
    const [call, ...others] = trace.filter(({ kind }) => kind === SERVER)
    expect(others, 'the node has a replica of everything').to.deep.equal([])
    const [send] = named('send', trace)
    expect(send?.parentSpanId).to.equal(call?.spanId)
    const applied = named('process tidemark.default', trace)
    expect(nodesOf(applied)).to.deep.equal(ALL)
    for (const span of [...applied, send]) {
      expect(span?.attributes).to.deep.include({
        'messaging.system': 'kafka',
        'messaging.destination.name': 'tidemark.default',
        'messaging.destination.partition.id': String(partition),
        'messaging.kafka.offset': String(offset),
      })
      expect(span?.links).to.deep.equal([call?.spanId])
    }
  })

  it('a request that goes on to another node stays in its trace', async () => {
    await db.keyspaces.create('single', { partitions: 6, replication: 1 })
    const rows = db.keyspace('single')
    traceparent = contextText('b')
    const keys = Array.from({ length: 24 }, (_, at) => `key-${at}`)
    for (const key of keys) await rows.put(key, 'value')
    const complete = (all: readonly ReceivedSpan[]): boolean =>
      named('process tidemark.single', traceOf('b', all)).length >= keys.length
    const trace = traceOf('b', await receiver.until(complete))
    const calls = trace.filter(({ kind }) => kind === SERVER)
    const first = calls.filter(({ parentSpanId }) => parentSpanId === 'b'.repeat(16))
    expect(new Set(nodesOf(first))).to.deep.equal(new Set(['node-1']))
    const hops = calls.filter((call) => !first.includes(call))
    expect(hops.length).to.be.above(0)
    const spanIds = first.map(({ spanId }) => spanId)
    for (const hop of hops) {
      expect(spanIds).to.include(hop.parentSpanId)
      expect(hop.resource['service.instance.id']).not.to.equal('node-1')
    }
    // Who takes the request writes it; each write has one `send`.
    const writers = [...hops, ...first.filter(({ spanId }) => !hops.some((h) => h.parentSpanId === spanId))]
    expect(named('send', trace).map(({ parentSpanId }) => parentSpanId)).to.have.members(
      writers.map(({ spanId }) => spanId),
    )
  })

  it('a stranger who produces with a trace context sees each replica apply it', async () => {
    const kafka = new Kafka({ brokers: [...cluster.bootstrap], logLevel: logLevel.NOTHING })
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
    await producer.connect()
    const headers = { traceparent: contextText('c'), tracestate: 'vendor=1' }
    await producer.send({
      topic: 'tidemark.default',
      messages: [
        { key: 'foreign', value: 'value', headers },
        { key: 'foreign', value: 'later', headers: { traceparent: contextText('d', '00') } },
      ],
    })
    await producer.disconnect()
    const spans = await receiver.until((all) => traceOf('c', all).length >= NODES)
    const trace = traceOf('c', spans)
    expect(nodesOf(trace)).to.deep.equal(ALL)
    for (const span of trace) {
      expect(span).to.deep.include({ name: 'process tidemark.default', parentSpanId: 'c'.repeat(16) })
      expect(span.attributes['tidemark.outcome']).to.equal('applied')
    }
    expect(traceOf('d', spans)).to.deep.equal([])
  })

  it('nothing of kafkajs stands in the logs: each line is one of the node', async () => {
    for (const node of cluster.nodes)
      for (const line of (await node.output()).split('\n').filter((each) => each !== ''))
        expect(Object.keys(JSON.parse(line) as object)).to.include.members(['level', 'time', 'msg'])
  })

  it('a watcher at another node gets the event in its trace', async () => {
    const other = connect({ server: must(cluster.nodes[1], 'a node').address, discover: false })
    try {
      await db.put('watched', 'first')
      const events = other.watch({ key: 'watched', initialRows: true })[Symbol.asyncIterator]()
      await events.next()
      traceparent = contextText('e')
      await db.put('watched', 'second')
      const spans = await receiver.until((all) =>
        ['deliver', 'send'].every((name) => named(name, traceOf('e', all)).length > 0),
      )
      const [deliver] = named('deliver', traceOf('e', spans))
      const [send] = named('send', traceOf('e', spans))
      expect(deliver?.parentSpanId).to.equal(send?.parentSpanId)
      expect(deliver?.resource['service.instance.id']).to.equal('node-2')
      await events.return?.()
    } finally {
      await other.close()
    }
  })
})
