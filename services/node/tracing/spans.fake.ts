/** Spans that stay in memory, for tests. */
import {
  AlwaysOnSampler,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { type StartSpan, starterOf } from './spans.ts'

export interface KeptSpans {
  readonly start: StartSpan
  /** Those that have ended, in that order. */
  readonly ended: () => readonly ReadableSpan[]
}

export function keptSpans(): KeptSpans {
  const exporter = new InMemorySpanExporter()
  const provider = new TracerProvider({
    sampler: new AlwaysOnSampler(),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  })
  return { start: starterOf(provider.getTracer('test')), ended: () => exporter.getFinishedSpans() }
}

/** A context of a trace of this digit; its span is the same digit. */
export const contextText = (digit: string, flags = '01'): string =>
  `00-${digit.repeat(32)}-${digit.repeat(16)}-${flags}`
