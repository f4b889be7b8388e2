/**
 * Spans on their way out, by OTLP over HTTP. A receiver that is away or slow costs what it was not given, a log line, and nothing else: spans
 * wait in a queue with a bound, one request after the other takes them, and what finds the queue full is dropped. `traces.spans` counts
 * all three ways a span can end.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOnSampler,
  BatchSpanProcessor,
  type SpanExporter,
  type SpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import {
  SPANS_CLOSE_MS_MAX,
  SPANS_GATHER_MS,
  SPANS_SEND_MS_MAX,
  SPANS_TOGETHER_MAX,
  SPANS_WAITING_MAX,
} from '../../../streams/core/limits.ts'
import type { Tally } from '../../../streams/meters.ts'
import type { Logger } from '../logger.ts'
import { VERSION } from '../package-root.ts'
import { type Attributes, type StartSpan, starterOf } from './spans.ts'

export interface Receiver {
  /** Of OTLP; `/v1/traces` is added. */
  readonly endpoint: string
  readonly headers: Readonly<Record<string, string>>
}

export interface Exporter {
  readonly start: StartSpan
  /** Sends what waits, if the receiver takes it soon. */
  close(): Promise<void>
}

/** @param spans - counts them by what became of them: sent, failed, dropped */
export function openExporter(
  receiver: Receiver,
  resource: Attributes,
  spans: Pick<Tally, 'add'>,
  logger: Pick<Logger, 'warn' | 'info'>,
): Exporter {
  const url = `${receiver.endpoint.replace(/\/+$/, '')}/v1/traces`
  const otlp = new OTLPTraceExporter({
    url,
    headers: { ...receiver.headers },
    timeoutMillis: SPANS_SEND_MS_MAX,
  })
  const provider = new TracerProvider({
    // Whether there is a span at all was decided before.
    sampler: new AlwaysOnSampler(),
    resource: resourceFromAttributes(resource),
    spanProcessors: [counted(otlp, url, spans, logger)],
  })
  return {
    start: starterOf(provider.getTracer('tidemark', VERSION)),
    async close() {
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, SPANS_CLOSE_MS_MAX)))
      await Promise.race([provider.shutdown().catch(() => undefined), patience])
      clearTimeout(timer)
    },
  }
}

/** The library's queue, which drops silently, behind a count of what waits in it: it is never given more than it takes. */
function counted(
  otlp: SpanExporter,
  url: string,
  spans: Pick<Tally, 'add'>,
  logger: Pick<Logger, 'warn' | 'info'>,
): SpanProcessor {
  let waiting = 0
  let failing = false
  const exporter: SpanExporter = {
    export(batch, done) {
      waiting -= batch.length
      otlp.export(batch, (result) => {
        const code: number = result.code
        const failed = code !== SUCCESS
        spans.add(failed ? 'failed' : 'sent', batch.length)
        if (failed && !failing)
          logger.warn(`cannot send traces to ${url}: ${result.error?.message ?? 'it refused them'}`)
        if (!failed && failing) logger.info(`traces are sent to ${url} again`)
        failing = failed
        done(result)
      })
    },
    shutdown: () => otlp.shutdown(),
  }
  const queue = new BatchSpanProcessor({
    exporter,
    maxQueueSize: SPANS_WAITING_MAX,
    maxExportBatchSize: SPANS_TOGETHER_MAX,
    scheduledDelayMillis: SPANS_GATHER_MS,
    exportTimeoutMillis: 2 * SPANS_SEND_MS_MAX,
  })
  return {
    onStart: () => undefined,
    onEnd(span) {
      if (waiting >= SPANS_WAITING_MAX) {
        spans.add('dropped')
        return
      }
      waiting += 1
      queue.onEnd(span)
    },
    forceFlush: () => queue.forceFlush(),
    shutdown: () => queue.shutdown(),
  }
}

/** Of the library's ExportResultCode, which stands in a package that is not ours to import. */
const SUCCESS = 0
