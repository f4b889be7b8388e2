import { Metadata, status as grpcStatus } from '@grpc/grpc-js'
import { expect } from 'chai'
import { PipelineOperationKind as Kind } from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import { must } from '../../../streams/core/assert.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { offset, partition } from '../../../streams/core/types.ts'
import type { WatchEvent } from '../../../streams/face.ts'
import { newOperation } from '../../pipeline-codec.ts'
import { FakeNode } from '../face.fake.ts'
import { traceFields } from '../logger.ts'
import { hopMetadata } from '../routing/hop.ts'
import { callSpans } from './call-spans.ts'
import { type KeptSpans, contextText, keptSpans } from './spans.fake.ts'
import { SpanKind, SpanStatusCode, deciderOf } from './spans.ts'
import type { CallTracing, TracedCall } from './tracing.ts'

const KEY = Buffer.from('key')
const DEADLINE = Date.now() + 60_000

describe('spans of calls', () => {
  let spans: KeptSpans
  let tracing: CallTracing
  let lines: unknown[]
  let roots: number
  beforeEach(() => {
    spans = keptSpans()
    lines = []
    roots = 0
    const decide = deciderOf({ tracesSampler: 'parentbased_traceidratio', tracesRatio: 1 }, () => {
      roots += 1
      return 0.5
    })
    const logger = { debug: (...line: unknown[]) => void lines.push(line) }
    tracing = callSpans(spans.start, decide, { host: 'node-1', port: 7400 }, logger, traceFields('json'))
  })

  const callOf = (traceparent?: string, metadata = new Metadata()): TracedCall => {
    if (traceparent !== undefined) metadata.set('traceparent', traceparent)
    return { metadata, getPeer: () => '10.0.0.7:4711', request: { keyspace: '' } }
  }
  const put = (traceparent?: string) => ({
    kind: 'put' as const,
    key: KEY,
    value: KEY,
    ...(traceparent === undefined ? {} : { traceparent }),
  })

  it('a call is a child of its caller, and what comes of it a child of the call', () => {
    const call = callOf(contextText('a'))
    tracing.began('/tidemark.v1.KeyValueService/Put', call)?.ended(grpcStatus.OK)
    const span = must(spans.ended()[0], 'a span')
    expect(span).to.deep.include({ name: 'tidemark.v1.KeyValueService/Put', kind: SpanKind.SERVER })
    expect(span.parentSpanContext).to.deep.include({ spanId: 'a'.repeat(16), isRemote: true })
    expect(call.metadata.get('traceparent')).to.deep.equal([
      `00-${'a'.repeat(32)}-${span.spanContext().spanId}-01`,
    ])
    expect(span.attributes).to.deep.equal({
      'rpc.system.name': 'grpc',
      'rpc.method': 'tidemark.v1.KeyValueService/Put',
      'rpc.response.status_code': 'OK',
      'server.address': 'node-1',
      'server.port': 7400,
      'network.peer.address': '10.0.0.7',
      'network.peer.port': 4711,
      'db.system.name': 'tidemark',
      'db.namespace': 'default',
      'db.operation.name': 'Put',
    })
  })

  it('a fault of the server is an error, one of the caller is none; both are found by what was thrown', () => {
    const path = '/tidemark.v1.KeyValueService/Put'
    const bug = new Error('a bug')
    tracing.began(path, callOf(contextText('a')))?.ended(grpcStatus.INTERNAL, bug)
    const refused = new TidemarkError('KEY_EMPTY', 'key is empty')
    tracing.began(path, callOf(contextText('b')))?.ended(grpcStatus.INVALID_ARGUMENT, refused)
    const [first, second] = spans.ended()
    expect(first?.status).to.deep.equal({ code: SpanStatusCode.ERROR, message: 'a bug' })
    expect(first?.attributes['error.type']).to.equal('INTERNAL')
    expect(second?.status.code).to.equal(SpanStatusCode.UNSET)
    expect(second?.attributes['tidemark.reason']).to.equal('KEY_EMPTY')
    expect(tracing.idsOf(bug)?.traceId).to.equal('a'.repeat(32))
    expect(tracing.idsOf(new Error('another'))).to.equal(undefined)
    expect(lines[1]).to.deep.equal([
      { reason: 'KEY_EMPTY', trace_id: 'b'.repeat(32), span_id: second?.spanContext().spanId },
      'tidemark.v1.KeyValueService/Put failed: key is empty',
    ])
  })

  it('begin no trace where the caller has none that is sampled, or another node has sent it on', () => {
    const path = '/tidemark.v1.KeyValueService/Put'
    expect(tracing.began(path, callOf(contextText('a', '00')))).to.equal(undefined)
    expect(tracing.began(path, callOf(undefined, hopMetadata().clone()))).to.equal(undefined)
    expect(tracing.began(path, callOf(contextText('a'), hopMetadata().clone()))).not.to.equal(undefined)
    expect(roots).to.equal(0)
    expect(tracing.began(path, callOf('rubbish'))).not.to.equal(undefined)
    expect(roots).to.equal(1)
  })

  it('streams without an end are none', () => {
    expect(tracing.began('/tidemark.v1.KeyValueService/Watch', callOf(contextText('a')))).to.equal(undefined)
    expect(tracing.began('/tidemark.v1.KeyValueService/Scan', callOf())).not.to.equal(undefined)
  })

  it('each write of a Pipeline stream is one, which it hands on', async () => {
    const node = new FakeNode()
    const keyspace = tracing.pipelined(node, callOf()).keyspace('default')
    const options = { deadline: DEADLINE }
    await keyspace.write(put(contextText('a')), options)
    await keyspace.write(put(contextText('b', '00')), options)
    const { outcome } = await keyspace.write({ ...put(contextText('c')), ifVersion: offset(99) }, options)
    expect(outcome?.status).to.equal('rejected')
    const [first, second, ...others] = spans.ended()
    expect(others).to.deep.equal([])
    expect(first?.name).to.equal('tidemark.v1.KeyValueService/Pipeline/Put')
    expect(second?.attributes).to.deep.include({
      'rpc.response.status_code': 'FAILED_PRECONDITION',
      'tidemark.reason': 'VERSION_MISMATCH',
    })
    expect(node.written.map(({ traceparent }) => traceparent)).to.deep.equal([
      `00-${'a'.repeat(32)}-${first?.spanContext().spanId}-01`,
      contextText('b', '00'),
      `00-${'c'.repeat(32)}-${second?.spanContext().spanId}-01`,
    ])
  })

  it('of the reads of a frame each that has a trace is one; without any, one throw of the dice is for all', async () => {
    const get = (key: Buffer, traceparent: string) => ({
      ...newOperation(1, Kind.PIPELINE_OPERATION_KIND_GET, key),
      traceparent,
    })
    const keys = ['1', '2', '3'].map((text) => Buffer.from(text))
    const operations = keys.map((key, at) => get(key, at === 1 ? '' : contextText(String(at + 1))))
    const keyspace = tracing.pipelined(new FakeNode(), callOf()).keyspace('default')
    await keyspace.getMany(keys, { deadline: DEADLINE, traces: tracing.readsOf(operations) })
    expect(spans.ended().map((span) => span.spanContext().traceId[0])).to.deep.equal(['1', '3'])
    expect(roots).to.equal(0)
    await keyspace.getMany(keys, { deadline: DEADLINE, traces: tracing.readsOf([]) })
    expect(roots).to.equal(1)
    expect(spans.ended()).to.have.lengthOf(3)
  })

  it('a read that fails ends its span', async () => {
    const node = new FakeNode()
    node.failure = new TidemarkError('OVERLOADED', 'too much')
    const keyspace = tracing.pipelined(node, callOf()).keyspace('default')
    const thrown: unknown = await keyspace
      .getMany([KEY], { deadline: DEADLINE })
      .catch((caught: unknown) => caught)
    expect(thrown).to.equal(node.failure)
    expect(spans.ended()[0]?.attributes['tidemark.reason']).to.equal('OVERLOADED')
  })

  it('an event of a traced write is delivered in its trace', () => {
    const event = (traceparent?: string): WatchEvent => ({
      kind: 'put',
      partition: partition(2),
      row: { key: KEY, value: KEY, version: offset(5), expiresAt: 0, contentType: '' },
      time: 1,
      traceparent,
    })
    const message = (...events: WatchEvent[]) => ({ mark: 'events' as const, events, positions: [] })
    const quiet = [event(), event(contextText('b', '00')), event('rubbish')]
    expect(tracing.delivering('default', message(...quiet))).to.equal(undefined)
    const delivered = tracing.delivering('default', message(...quiet, event(contextText('a'))))
    expect(spans.ended()).to.have.lengthOf(0)
    delivered?.()
    const span = must(spans.ended()[0], 'a span')
    expect(span).to.deep.include({ name: 'deliver default', kind: SpanKind.PRODUCER })
    expect(span.parentSpanContext?.spanId).to.equal('a'.repeat(16))
    expect(span.links[0]?.context.spanId).to.equal('a'.repeat(16))
    expect(span.attributes).to.deep.include({
      'messaging.destination.partition.id': '2',
      'tidemark.version': 5,
    })
  })
})
