/** Spans: which there are, whose children they are, and W3C's text for them. The only door to OpenTelemetry's API. */
import {
  type Attributes,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanKind,
  TraceFlags,
  type Tracer,
  createTraceState,
  isSpanContextValid,
  trace,
} from '@opentelemetry/api'
import type { Config } from '../config.ts'

export { type Attributes, type Span, type SpanContext, SpanKind, SpanStatusCode } from '@opentelemetry/api'

const W3C = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
/** W3C asks for no more to be carried. */
const TRACESTATE_CHARACTERS_MAX = 512

/** Undefined where the text is no context. */
export function contextOf(traceparent: string | undefined, tracestate = ''): SpanContext | undefined {
  // Most writes have none.
  if (traceparent === undefined || traceparent === '') return undefined
  const [, traceId = '', spanId = '', flags = ''] = W3C.exec(traceparent) ?? []
  const context: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED,
    isRemote: true,
    ...(tracestate === '' || tracestate.length > TRACESTATE_CHARACTERS_MAX
      ? {}
      : { traceState: createTraceState(tracestate) }),
  }
  return isSpanContextValid(context) ? context : undefined
}

export const textOf = (span: Span): string => {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-0${traceFlags & TraceFlags.SAMPLED}`
}

/** @param parent - what it came with; undefined: without a trace */
export type Decide = (parent: SpanContext | undefined) => boolean

/** Decides before a span is made, so that what is not traced costs no object. */
export function deciderOf(
  { tracesSampler: sampler, tracesRatio }: Pick<Config, 'tracesSampler' | 'tracesRatio'>,
  random: () => number = Math.random,
): Decide {
  if (sampler === 'always_on') return () => true
  if (sampler === 'always_off') return () => false
  const ratio =
    sampler === 'parentbased_always_on' ? 1 : sampler === 'parentbased_always_off' ? 0 : tracesRatio
  return (parent) =>
    parent === undefined ? random() < ratio : (parent.traceFlags & TraceFlags.SAMPLED) !== 0
}

export interface NewSpan {
  readonly name: string
  readonly kind: SpanKind
  readonly attributes: Attributes
  readonly parent: SpanContext | undefined
  readonly links?: readonly SpanContext[]
  /** Milliseconds since 1970; by default now. */
  readonly startTime?: number
}

/** Makes spans, whatever their parents say: who calls has decided. */
export type StartSpan = (span: NewSpan) => Span

export const starterOf =
  (tracer: Tracer): StartSpan =>
  ({ name, kind, attributes, parent, links = [], startTime }) =>
    tracer.startSpan(
      name,
      {
        kind,
        attributes,
        links: links.map((context) => ({ context })),
        ...(startTime === undefined ? {} : { startTime }),
      },
      parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent),
    )
