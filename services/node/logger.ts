/**
 * What a node says: one line for each event that an operator cares about, none for a request. JSON for machines; plain lines
 * where a person looks on, because stdout is a terminal.
 */
import { ecsFormat } from '@elastic/ecs-pino-format'
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import { VERSION } from './package-root.ts'
import type { TraceIds } from './tracing/tracing.ts'

export type { Logger } from 'pino'

/** Paths that may never be printed, whoever logs them. */
const SECRETS = [
  'password',
  '*.password',
  'token',
  '*.token',
  'authorization',
  '*.authorization',
  'sasl',
  '*.sasl',
]

export interface Output {
  readonly isTTY?: boolean
  write(line: string): unknown
}

export type LogFormat = 'json' | 'ecs'

/** @param format - `ecs`: Elastic's Common Schema, for machines only; a terminal shows plain lines */
export function createLogger(level: string, output: Output, format: LogFormat = 'json'): Logger {
  const stream = output.isTTY === true ? plain(output) : { write: (line: string) => void output.write(line) }
  if (format === 'ecs' && output.isTTY !== true)
    return pino({ ...ecsFormat({ ...ECS, serviceVersion: VERSION }), level, redact: SECRETS }, stream)
  return pino(
    {
      level,
      base: null,
      redact: SECRETS,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: levelName },
    },
    stream,
  )
}

/** What names the service; without apmIntegration the library would look for an APM agent in the process. */
const ECS = { serviceName: 'tidemark', apmIntegration: false } as const

/** The names under which lines tell the trace that they belong to: those that log pipelines look for. */
export const traceFields =
  (format: LogFormat) =>
  ({ traceId, spanId }: TraceIds): Readonly<Record<string, string>> =>
    format === 'ecs' ? { 'trace.id': traceId, 'span.id': spanId } : { trace_id: traceId, span_id: spanId }

/** Switches between what was set and `debug`. @returns the level from now on */
export function toggleDebug(logger: Logger, configured: string): string {
  logger.level = logger.level === configured ? 'debug' : configured
  return logger.level
}

const levelName = (label: string): { readonly level: string } => ({ level: label })

/** `12:34:56 warn  the message`, and the stack where a bug is reported. */
const plain = (output: Output): DestinationStream => ({
  write(line) {
    const { time, level, msg, err } = JSON.parse(line) as Line
    const stack = level === 'info' || err?.stack === undefined ? '' : `\n${err.stack}`
    const when = new Date(time).toTimeString().slice(0, 8)
    output.write(`${when} ${level.padEnd(5)} ${msg ?? ''}${stack}\n`)
  },
})

interface Line {
  readonly time: string
  readonly level: string
  readonly msg?: string
  readonly err?: { readonly stack?: string }
}
