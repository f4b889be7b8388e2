/** Real nodes and a real receiver of OTLP: what comes there of a write, and that a receiver which is away disturbs nobody. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'chai'
import { type OtlpReceiver, type ReceivedSpan, startReceiver } from '../../../infra/otlp/receiver.ts'
import { SPANS_WAITING_MAX } from '../../../streams/core/limits.ts'
import { must } from '../../../streams/core/assert.ts'
import { run } from '../../cli/run.fake.ts'
import { type Tidemark, connect } from '../../client/index.ts'
import { type NodeProcess, startNode } from '../process.fixture.ts'
import { contextText } from './spans.fake.ts'

/** OTLP's numbers. */
const [SERVER, PRODUCER, CONSUMER] = [2, 4, 5]

describe('traces of a node', function () {
  // The receiver is built once for each machine.
  this.timeout(600_000)
  let receiver: OtlpReceiver
  let directory: string
  let node: NodeProcess
  let db: Tidemark
  let traceparent: string | undefined

  before(async () => {
    receiver = await startReceiver()
  })
  after(() => receiver?.end())

  const begin = async (settings: Readonly<Record<string, string>>): Promise<void> => {
    traceparent = undefined
    directory = await mkdtemp(join(tmpdir(), 'tidemark-traces-'))
    node = await startNode({ TIDEMARK_DATA_DIR: directory, TIDEMARK_PARTITIONS: '2', ...settings })
    db = connect({ server: node.address, traceparent: () => traceparent })
  }
  afterEach(async () => {
    await db.close()
    await node.end('SIGTERM')
    await rm(directory, { recursive: true, force: true })
  })

  const traceOf = (digit: string) => (span: ReceivedSpan) => span.traceId === digit.repeat(32)

  it('one write is one trace: call, way to the log, apply, watch', async () => {
    await begin({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_TRACES_SAMPLER_ARG: '0' })
    const watch = db.watch({ prefix: 'traced/' })[Symbol.asyncIterator]()
    const event = watch.next()
    await db.put('before', 'not traced')
    traceparent = contextText('a')
    // Sent until the watch is taken on: which one it sees does not matter.
    let written = await db.put('traced/key', 'value')
    const seen = event.then(() => true)
    while (!(await Promise.race([seen, sleep(100, false)]))) written = await db.put('traced/key', 'value')
    await db.get('traced/key')
    await watch.return?.()
    const delivers = (spans: readonly ReceivedSpan[]) => spans.some(({ name }) => name.startsWith('deliver'))
    const reads = (spans: readonly ReceivedSpan[]) => spans.some(({ name }) => name.endsWith('Pipeline/Get'))
    const spans = await receiver.until((all) => delivers(all) && reads(all))
    expect(
      spans.filter((span) => !traceOf('a')(span)),
      'without a sampled caller there is no trace',
    ).to.deep.equal([])
    const call = must(
      spans.find(({ name }) => name === 'tidemark.v1.KeyValueService/Pipeline/Put'),
      'the call',
    )
    expect(call).to.deep.include({ kind: SERVER, parentSpanId: 'a'.repeat(16) })
    expect(call.attributes).to.deep.include({
      'rpc.system.name': 'grpc',
      'rpc.response.status_code': 'OK',
      'db.namespace': 'default',
      'db.operation.name': 'Put',
    })
    expect(call.resource).to.deep.include({ 'service.name': 'tidemark', 'tidemark.cluster': 'tidemark' })
    const below = spans.filter(({ parentSpanId }) => parentSpanId === call.spanId)
    const send = below.find(({ name }) => name === 'send tidemark.default')
    const process = below.find(({ name }) => name === 'process tidemark.default')
    for (const [span, kind] of [[send, PRODUCER] as const, [process, CONSUMER] as const]) {
      expect(span?.kind).to.equal(kind)
      expect(span?.links).to.deep.equal([call.spanId])
      expect(span?.attributes['messaging.destination.partition.id']).to.equal(String(written.partition))
    }
    expect(process?.attributes['tidemark.offset']).to.equal(send?.attributes['tidemark.offset'])
    const deliver = must(
      spans.find(({ name }) => name === 'deliver default'),
      'the delivery',
    )
    expect(deliver.kind).to.equal(PRODUCER)
    expect(spans.map(({ spanId }) => spanId)).to.include(deliver.parentSpanId)
  })

  it('a command with --trace tells the id of the trace that it made', async () => {
    await begin({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_TRACES_SAMPLER_ARG: '0' })
    const { code, err } = await run(node.address, ['put', 'key', 'value', '--trace'])
    expect(code, err).to.equal(0)
    const [, id] = /^trace ([0-9a-f]{32})$/m.exec(err) ?? []
    const mine = (span: ReceivedSpan) => span.traceId === id
    await receiver.until((spans) => spans.filter(mine).some(({ name }) => name.startsWith('process')))
  })

  it('a line of the log about a call names its trace', async () => {
    await begin({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_TRACES_SAMPLER_ARG: '0' })
    const lines = (): readonly string[] => node.output().split('\n')
    traceparent = contextText('9')
    await refused(db.put('key', 'value', { ifVersion: 99 }))
    node.process.kill('SIGUSR2')
    while (!node.output().includes('the log level is debug')) await sleep(10)
    await refused(db.put('key', 'value', { ifVersion: 99 }))
    const about = lines().filter((line) => line.includes('Pipeline/Put failed'))
    expect(about, 'only what fails while the log says more has a line').to.have.lengthOf(1)
    const line = JSON.parse(about[0] ?? '') as Record<string, unknown>
    expect(line).to.include({ level: 'debug', reason: 'VERSION_MISMATCH', trace_id: '9'.repeat(32) })
    expect(line['span_id']).to.match(/^[0-9a-f]{16}$/)
  })

  it('writes that travel as one record are each in their own trace', async () => {
    await begin({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_TRACES_SAMPLER_ARG: '0' })
    const digits = ['1', '2', '3', '4', '5', '6', '7', '8']
    await Promise.all(
      digits.map((digit) => {
        traceparent = contextText(digit)
        return db.put(`key-${digit}`, digit)
      }),
    )
    const names = (spans: readonly ReceivedSpan[], digit: string) =>
      spans
        .filter(traceOf(digit))
        .map(({ name }) => name)
        .sort()
    const all = ['process tidemark.default', 'send tidemark.default']
    all.push('tidemark.v1.KeyValueService/Pipeline/Put')
    const spans = await receiver.until((came) => digits.every((digit) => names(came, digit).length >= 3))
    for (const digit of digits) expect(names(spans, digit)).to.deep.equal(all)
    const packs = spans.filter(({ attributes }) => attributes['messaging.batch.message_count'] !== undefined)
    expect(packs.length, 'none travelled in a pack').to.be.above(0)
  })

  it('a receiver that is away costs no write, one line, and what it was not sent', async () => {
    await begin({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_TRACES_SAMPLER: 'always_on' })
    const writes = 20_000
    for (let done = 0; done < writes; done += 500)
      await Promise.all(Array.from({ length: 500 }, (_, at) => db.put(`key-${at}`, 'value')))
    // What is neither lost nor given up is in memory.
    const count = async (result: string): Promise<number> =>
      metric(await metrics(node), SPANS, `result="${result}"`)
    const held = async (): Promise<number> =>
      SPANS_OF_A_WRITE * writes - (await count('dropped')) - (await count('failed'))
    for (let tries = 0; tries < 200 && ((await count('failed')) === 0 || (await held()) > HELD_MAX); tries++)
      await sleep(50)
    expect(await count('dropped')).to.be.above(0)
    expect(await count('failed')).to.be.above(0)
    expect(await held()).to.be.at.most(HELD_MAX)
    const lines = node.output().match(/cannot send traces/g) ?? []
    expect(lines).to.have.lengthOf(1)
  })

  it('none: nothing is sent, though there is a receiver', async () => {
    await begin({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      OTEL_TRACES_EXPORTER: 'none',
      OTEL_TRACES_SAMPLER: 'always_on',
    })
    traceparent = contextText('f')
    await db.put('key', 'value')
    const [version] = await db.history('key').then(({ versions }) => versions)
    expect(version?.traceparent, 'the context of the caller goes along').to.equal(contextText('f'))
    await node.end('SIGTERM')
    expect(receiver.spans.filter(traceOf('f'))).to.deep.equal([])
  })
})

const refused = async (write: Promise<unknown>): Promise<void> => {
  const thrown: unknown = await write.catch((caught: unknown) => caught)
  expect(thrown).to.have.property('reason', 'VERSION_MISMATCH')
}

const SPANS = 'tidemark_traces_spans_total'
/** The call, the record and its replica. */
const SPANS_OF_A_WRITE = 3
/** The queue of the exporter, and what it is trying to send. */
const HELD_MAX = SPANS_WAITING_MAX + 512

const metrics = async (node: NodeProcess): Promise<string> =>
  (await fetch(`http://${node.httpAddress}/metrics`)).text()

/** @param label - one that its line has */
const metric = (text: string, name: string, label = ''): number => {
  const line = text.split('\n').find((each) => each.startsWith(name) && each.includes(label))
  return Number(line?.split(' ').at(-1) ?? Number.NaN)
}
