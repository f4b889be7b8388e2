import { expect } from 'chai'
import type { Command } from '../../../streams/core/command.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import type { Outcome } from '../../../streams/core/mutation.ts'
import { NO_HEADERS, logTime, offset, partition } from '../../../streams/core/types.ts'
import type { LogRecord, NewRecord } from '../../../streams/core/types.ts'
import type { Tracing } from '../../../streams/tracing.ts'
import { logSpans } from './log-spans.ts'
import { type KeptSpans, contextText, keptSpans } from './spans.fake.ts'
import { SpanKind, SpanStatusCode, deciderOf } from './spans.ts'

const KEY = Buffer.from('key')
const TOPIC = 'tidemark.default'

describe('spans of the log', () => {
  let spans: KeptSpans
  let tracing: Tracing
  beforeEach(() => {
    spans = keptSpans()
    const decide = deciderOf({ tracesSampler: 'parentbased_traceidratio', tracesRatio: 0 })
    tracing = logSpans(spans.start, decide, 'kafka')
  })

  const outgoing = (...traces: readonly string[]): NewRecord => ({
    key: KEY,
    value: KEY,
    headers: NO_HEADERS,
    ...(traces.length === 0 ? {} : { traces }),
  })
  const append = (...records: readonly NewRecord[]) => ({ topic: TOPIC, partition: partition(3), records })
  const links = () => spans.ended().map((span) => span.links.map(({ context }) => context.spanId))

  it('say nothing of an append without a traced write', () => {
    expect(tracing.sending([append(outgoing(), outgoing())])).to.equal(undefined)
  })

  it('send: a child of the write, with the place of its record', () => {
    const told = tracing.sending([append(outgoing()), append(outgoing(), outgoing(contextText('a')))])
    expect(spans.ended()).to.have.lengthOf(0)
    told?.([{ firstOffset: offset(7) }, { firstOffset: offset(40) }])
    const [span] = spans.ended()
    expect(span).to.deep.include({ name: `send ${TOPIC}`, kind: SpanKind.PRODUCER })
    expect(span?.parentSpanContext?.spanId).to.equal('a'.repeat(16))
    expect(span?.attributes).to.deep.equal({
      'messaging.system': 'kafka',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': TOPIC,
      'messaging.destination.partition.id': '3',
      'messaging.batch.message_count': 2,
      'messaging.kafka.offset': 41,
    })
    expect(links()).to.deep.equal([['a'.repeat(16)]])
  })

  it('several writes of one record are each sent in their own trace, and linked', () => {
    tracing.sending([append(outgoing(contextText('a'), contextText('b'), contextText('c')))])?.([
      { firstOffset: offset(0) },
    ])
    const traces = spans.ended().map((span) => span.spanContext().traceId[0])
    expect(traces).to.deep.equal(['a', 'b', 'c'])
    const first = spans.ended()[0]?.spanContext().spanId
    expect(links()).to.deep.equal([
      ['a'.repeat(16), 'b'.repeat(16), 'c'.repeat(16)],
      ['b'.repeat(16), first],
      ['c'.repeat(16), first],
    ])
  })

  it('an append that fails says why', () => {
    tracing.sending([append(outgoing(contextText('a')))])?.(new TidemarkError('LOG_UNAVAILABLE', 'no broker'))
    const [span] = spans.ended()
    expect(span?.status).to.deep.equal({ code: SpanStatusCode.ERROR, message: 'no broker' })
    expect(span?.attributes['error.type']).to.equal('LOG_UNAVAILABLE')
  })

  const applied = (commands: readonly Command[], outcomes: readonly Outcome[][], live = true): void => {
    const records = commands.map((_, at): LogRecord => {
      const headers = new Map([['tracestate', Buffer.from('vendor=1')]])
      return { key: KEY, value: KEY, headers, offset: offset(10 + at), time: logTime(1) }
    })
    const effects = outcomes.map((each, at) => ({
      offset: offset(10 + at),
      time: logTime(1),
      outcomes: each,
      changes: [],
      duplicateOf: undefined,
    }))
    const place = { keyspace: 'default', topic: TOPIC, state: { partition: partition(3) } }
    tracing.applied(place, records, { commands, effects, live, seconds: 0.25 })
  }
  const put = (traceparent?: string): Command & { readonly kind: 'row' } => ({
    kind: 'row',
    step: { kind: 'put', key: KEY, value: KEY, ...(traceparent === undefined ? {} : { traceparent }) },
  })
  const good: Outcome = { status: 'applied', offset: offset(10), duplicate: false }
  const bad: Outcome = {
    status: 'rejected',
    offset: offset(10),
    reason: 'VERSION_MISMATCH',
    duplicate: false,
  }

  it('process: a child of the write and a link to it, over the run that had its record', () => {
    applied([put(), put(contextText('a'))], [[good], [good]])
    const [span, ...others] = spans.ended()
    expect(others).to.deep.equal([])
    expect(span).to.deep.include({ name: `process ${TOPIC}`, kind: SpanKind.CONSUMER })
    expect(span?.parentSpanContext?.spanId).to.equal('a'.repeat(16))
    expect(span?.spanContext().traceState?.get('vendor')).to.equal('1')
    expect(links()).to.deep.equal([['a'.repeat(16)]])
    expect(span?.attributes).to.deep.include({
      'messaging.operation.type': 'process',
      'messaging.kafka.offset': 11,
      'tidemark.outcome': 'applied',
    })
    const [seconds = 0, nanos = 0] = span?.duration ?? []
    expect(seconds + nanos / 1e9).to.be.closeTo(0.25, 0.01)
  })

  it('process: each mutation of a pack has its own, with its outcome', () => {
    const steps = [put(contextText('a')).step, put().step, put(contextText('c')).step]
    applied([{ kind: 'pack', steps, requestId: undefined }], [[good, good, bad]])
    const seen = spans
      .ended()
      .map((span) => [span.spanContext().traceId[0], span.attributes['tidemark.outcome']])
    expect(seen).to.deep.equal([
      ['a', 'applied'],
      ['c', 'VERSION_MISMATCH'],
    ])
  })

  it('process: nothing of what is not sampled, is no context, was not applied, or is only built again', () => {
    applied([put(contextText('a', '00')), put('rubbish'), put(contextText('b'))], [[good], [good]])
    applied([put(contextText('a'))], [[good]], false)
    expect(spans.ended()).to.have.lengthOf(0)
  })
})
