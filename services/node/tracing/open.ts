/** Traces of a node, as its settings ask for them. Loads OpenTelemetry: import it only where there is a receiver. */
import type { Tally } from '../../../streams/meters.ts'
import type { Tracing } from '../../../streams/tracing.ts'
import type { Config } from '../config.ts'
import { type Logger, traceFields } from '../logger.ts'
import { keptNodeId } from '../node-id.ts'
import { VERSION } from '../package-root.ts'
import { callSpans } from './call-spans.ts'
import { openExporter } from './exporter.ts'
import { logSpans } from './log-spans.ts'
import { deciderOf } from './spans.ts'
import type { CallTracing } from './tracing.ts'

export interface NodeTracing {
  readonly calls: CallTracing
  readonly log: Tracing
  /** Sends what waits, if the receiver takes it soon. */
  close(): Promise<void>
}

/** @param spans - counts them by what became of them */
export async function openTracing(
  config: Config,
  endpoint: string,
  spans: Tally,
  logger: Logger,
): Promise<NodeTracing> {
  const resource = {
    ...config.resourceAttributes,
    'service.name': config.serviceName,
    'service.version': VERSION,
    'service.instance.id': config.nodeId ?? (await keptNodeId(config.dataDirectory)),
    'tidemark.cluster': config.cluster,
  }
  const receiver = { endpoint, headers: config.tracesHeaders ?? {} }
  const { start, close } = openExporter(receiver, resource, spans, logger)
  const decide = deciderOf(config)
  const at = config.grpcAdvertise ?? config.grpcListen
  const fields = traceFields(config.logFormat)
  return {
    calls: callSpans(start, decide, at, logger, fields),
    log: logSpans(start, decide, config.log),
    close,
  }
}
