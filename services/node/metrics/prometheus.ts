/** The catalogue in Prometheus' text format. prom-client writes it; nothing is counted in its own objects. */
import { Registry } from 'prom-client'
import { BOUNDS_SECONDS } from '../../../streams/meters.ts'
import { METRIC_NAMES, type MetricName, metricOf, prometheusName } from './catalogue.ts'
import { type Look, type Measured, look } from './look.ts'
import { READINGS, type Sample, type Spread } from './readings.ts'

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
}

/** What prom-client asks of a metric. */
interface Written {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly aggregator: 'sum'
  readonly values: readonly {
    readonly value: number
    readonly labels: Readonly<Record<string, string | number>>
    readonly metricName?: string
  }[]
}

const TYPES = { count: 'counter', gauge: 'gauge', distribution: 'histogram' } as const

/** Every series says of which node of which cluster it is, whatever scrapes it. */
export function createMetrics(measured: Measured): Metrics {
  const registry = new Registry()
  let now = look(measured)
  for (const name of METRIC_NAMES) {
    const { unit, meaning } = metricOf(name)
    const metric = {
      name: prometheusName(name),
      get: () => Promise.resolve(write(name, `${meaning}${unit === 'none' ? '' : ` (${unit}s)`}`, now)),
    }
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
  }
  return {
    contentType: registry.contentType,
    async text() {
      now = look(measured)
      const description = measured.node?.description
      if (description !== undefined)
        registry.setDefaultLabels({ cluster: description.cluster, node: description.nodeId })
      return registry.metrics()
    },
  }
}

function write(metric: MetricName, help: string, look: Look): Written {
  const name = prometheusName(metric)
  const { type } = metricOf(metric)
  const read: readonly (Sample | Spread)[] = READINGS[metric](look)
  const values = read.flatMap((each) =>
    'value' in each ? [{ value: each.value, labels: each.tags }] : buckets(name, each),
  )
  return { name, help, type: TYPES[type], aggregator: 'sum', values }
}

function buckets(name: string, { tags, distribution: { count, seconds } }: Spread): Written['values'] {
  const values: Written['values'][number][] = []
  let below = 0
  let sum = 0
  count.forEach((calls, bucket) => {
    below += calls
    sum += seconds[bucket] ?? 0
    const le = BOUNDS_SECONDS[bucket] ?? '+Inf'
    values.push({ value: below, labels: { ...tags, le }, metricName: `${name}_bucket` })
  })
  values.push({ value: sum, labels: tags, metricName: `${name}_sum` })
  values.push({ value: below, labels: tags, metricName: `${name}_count` })
  return values
}
