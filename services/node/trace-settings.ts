/** The settings of traces, under the names that OpenTelemetry's specification gives them. */
import { z } from 'zod'
import { setting } from './setting.ts'

/** `key=value,…`, values percent-encoded, as the specification has headers and attributes. */
const pairs = z.string().transform((text, context): Readonly<Record<string, string>> => {
  const found: Record<string, string> = {}
  for (const part of text.split(',')) {
    if (part.trim() === '') continue
    const at = part.indexOf('=')
    const [key, value] = [part.slice(0, at).trim(), decoded(part.slice(at + 1).trim())]
    if (at < 0 || key === '' || value === undefined) context.addIssue('must be key=value, several by comma')
    else found[key] = value
  }
  return found
})

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** `parentbased_…`: whoever has a trace already has decided; the rest is about calls that come without one. */
export const SAMPLERS = [
  'parentbased_traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'always_on',
  'always_off',
] as const

export const TRACE_SETTINGS = {
  tracesEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'http://host:port',
    z.url({ protocol: /^https?$/, error: 'must be a URL with http or https' }),
    undefined,
    'sends traces there by OTLP over HTTP (/v1/traces is added): an OpenTelemetry Collector, Jaeger, a Datadog agent; unset: there are none',
    { example: 'http://jaeger:4318' },
  ),
  tracesExporter: setting(
    'OTEL_TRACES_EXPORTER',
    'otlp | none',
    z.enum(['otlp', 'none'], 'must be otlp or none'),
    'otlp',
    'none: no traces, though there is a receiver',
  ),
  tracesProtocol: setting(
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    'http/protobuf',
    z.enum(
      ['http/protobuf'],
      'must be http/protobuf, which receivers take on port 4318: OTLP over gRPC is not spoken',
    ),
    'http/protobuf',
    'form of OTLP',
  ),
  tracesHeaders: setting(
    'OTEL_EXPORTER_OTLP_HEADERS',
    'key=value,…',
    pairs,
    undefined,
    'headers of each request to the receiver, such as an API key',
    { secret: true },
  ),
  tracesSampler: setting(
    'OTEL_TRACES_SAMPLER',
    SAMPLERS.join(' | '),
    z.enum(SAMPLERS, `must be one of ${SAMPLERS.join(', ')}`),
    'parentbased_traceidratio',
    'which calls and records are traced; parentbased: those that come with a trace, as its sampled flag says',
  ),
  tracesRatio: setting(
    'OTEL_TRACES_SAMPLER_ARG',
    '0 to 1',
    z
      .string()
      .regex(/^(0|1|[01]?\.\d+)$/, 'must be a number from 0 to 1')
      .transform(Number)
      .refine((ratio) => ratio <= 1, 'must be a number from 0 to 1'),
    '0.01',
    'parentbased_traceidratio: how much of what comes without a trace begins one',
    { example: '0.001' },
  ),
  serviceName: setting('OTEL_SERVICE_NAME', 'name', z.string(), 'tidemark', 'service.name of the traces', {
    example: 'tidemark-orders',
  }),
  resourceAttributes: setting(
    'OTEL_RESOURCE_ATTRIBUTES',
    'key=value,…',
    pairs,
    undefined,
    'attributes of all spans of this node',
    { example: 'deployment.environment.name=production' },
  ),
} as const
