/**
 * Spans of a write on its way through the log, in OpenTelemetry's conventions for messaging:
 *
 *   send <topic>      from the append to its acknowledgement, on the node that writes
 *   process <topic>   from the run of records that had it to its batch in the store, on each live replica
 *
 * Both are children of the context that the record carries, and link to it. Several writes in one record each have a `send` of their own: that
 * of the first links to all of them, and those of the others to that of the first.
 */
import { must } from '../../../streams/core/assert.ts'
import { asBuffer } from '../../../streams/core/bytes.ts'
import type { Command } from '../../../streams/core/command.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import type { Outcome } from '../../../streams/core/mutation.ts'
import type { LogRecord } from '../../../streams/core/types.ts'
import type { AppliedOn, AppliedRecords, Sending, Tracing } from '../../../streams/tracing.ts'
import type { Append } from '../../../streams/log/log.ts'
import {
  type Attributes,
  type Decide,
  type Span,
  SpanKind,
  SpanStatusCode,
  type StartSpan,
  contextOf,
} from './spans.ts'

/** @param logKind - of the description of the node */
export function logSpans(start: StartSpan, decide: Decide, logKind: string): Tracing {
  const onKafka = logKind === 'kafka'
  const offsetName = onKafka ? 'messaging.kafka.offset' : 'tidemark.offset'
  const attributesOf = (operation: string, type: string, topic: string, partition: number): Attributes => ({
    'messaging.system': onKafka ? 'kafka' : 'tidemark',
    'messaging.operation.name': operation,
    'messaging.operation.type': type,
    'messaging.destination.name': topic,
    'messaging.destination.partition.id': String(partition),
  })

  const sendRecord = ({ topic, partition, records }: Append, traces: readonly string[]): Span[] => {
    const contexts = traces.flatMap((text) => contextOf(text) ?? [])
    const attributes = attributesOf('send', 'send', topic, partition)
    if (records.length > 1) attributes['messaging.batch.message_count'] = records.length
    const spans: Span[] = []
    for (const parent of contexts) {
      const first = spans[0]
      const links = first === undefined ? contexts : [parent, first.spanContext()]
      spans.push(start({ name: `send ${topic}`, kind: SpanKind.PRODUCER, attributes, parent, links }))
    }
    return spans
  }

  const sending = (parts: readonly Append[]): Sending | undefined => {
    const sent: { readonly part: number; readonly at: number; readonly spans: readonly Span[] }[] = []
    parts.forEach((append, part) => {
      append.records.forEach(({ traces }, at) => {
        if (traces !== undefined) sent.push({ part, at, spans: sendRecord(append, traces) })
      })
    })
    if (sent.length === 0) return undefined
    return (result) => {
      for (const { part, at, spans } of sent)
        for (const span of spans) {
          if (result instanceof TidemarkError) fail(span, result.reason, result.message)
          else span.setAttribute(offsetName, must(result[part], 'a place').firstOffset + at)
          span.end()
        }
    }
  }

  const applied = (replica: AppliedOn, records: readonly LogRecord[], run: AppliedRecords): void => {
    if (!run.live) return
    const endTime = Date.now()
    const startTime = endTime - run.seconds * 1000
    run.effects.forEach(({ offset, outcomes }, at) => {
      const command = run.commands[at]
      if (command === undefined || !isTraced(command)) return
      const traces = tracesOf(command)
      traces.forEach((text, mutation) => {
        if (text === undefined) return
        const tracestate = records[at]?.headers.get('tracestate')
        const state = tracestate === undefined ? '' : asBuffer(tracestate).toString('latin1')
        const parent = contextOf(text, state)
        if (parent === undefined || !decide(parent)) return
        const { topic, state: place } = replica
        const attributes = attributesOf('process', 'process', topic, place.partition)
        attributes[offsetName] = offset
        attributes['tidemark.outcome'] = outcomeOf(outcomes[mutation])
        if (traces.length > 1) attributes['messaging.batch.message_count'] = traces.length
        if (records[at]?.value === null) attributes['messaging.kafka.message.tombstone'] = true
        const name = `process ${topic}`
        const kind = SpanKind.CONSUMER
        start({ name, kind, attributes, parent, links: [parent], startTime }).end(endTime)
      })
    })
  }

  return { sending, applied }
}

/** Asked of every record, so it makes nothing. */
function isTraced(command: Command): boolean {
  if (command.kind === 'pack') {
    for (const step of command.steps)
      if (step.kind !== 'rejected' && step.traceparent !== undefined) return true
    return false
  }
  return command.kind === 'row' || command.kind === 'txn'
}

/** The contexts that a record carries, one for each of its mutations. */
function tracesOf(command: Command): readonly (string | undefined)[] {
  switch (command.kind) {
    case 'row':
      return [command.step.kind === 'rejected' ? undefined : command.step.traceparent]
    case 'txn':
      return [command.mutation.traceparent]
    case 'pack':
      return command.steps.map((step) => (step.kind === 'rejected' ? undefined : step.traceparent))
    default:
      return []
  }
}

const outcomeOf = (outcome: Outcome | undefined): string => {
  if (outcome === undefined) return 'none'
  if (outcome.duplicate) return 'duplicate'
  return outcome.status === 'applied' ? 'applied' : outcome.reason
}

/** @param type - a word of few */
export function fail(span: Span, type: string, message: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, message })
}
