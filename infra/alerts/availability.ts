/** Whether users are served. */
import { type Alert, series, whileGauge, whileRising } from './alert.ts'

const BY_NODE = ['cluster', 'node'] as const
const BY_CLUSTER = ['cluster'] as const
const FAULTS = 'IN (unavailable,internal,deadline_exceeded,resource_exhausted,data_loss)'

const requests = 'tidemark_grpc_requests_total'
const ok = series(requests, 'method="KeyValueService/Get",code="OK"')
const fault = series(requests, 'method="KeyValueService/Get",code="UNAVAILABLE"')

/** Share of faults over so much of the last hours, in Datadog. */
const burn = (window: string, share: number): string =>
  `sum(last_${window}):sum:tidemark.grpc.requests{code ${FAULTS}} by {cluster}.as_count() / sum:tidemark.grpc.requests{*} by {cluster}.as_count() > ${share}`

export const AVAILABILITY: readonly Alert[] = [
  {
    name: 'TidemarkNodeDown',
    severity: 'page',
    summary: 'The node {{ $labels.instance }} cannot be scraped',
    expr: 'up{job=~".*tidemark.*"} == 0',
    minutes: 3,
    by: ['instance', 'job'],
    datadog: {
      query: 'max(last_5m):max:tidemark.build.info{*} by {cluster,node} < 1',
      critical: 1,
      recovery: 1,
      noDataMinutes: 5,
    },
    test: {
      fires: { 'up{job="tidemark",instance="n:7480"}': '0x30' },
      quiet: { 'up{job="tidemark",instance="n:7480"}': '1x30' },
      labels: { job: 'tidemark', instance: 'n:7480' },
    },
  },
  {
    name: 'TidemarkNodeNotReady',
    severity: 'page',
    summary: 'Node {{ $labels.node }} of cluster {{ $labels.cluster }} is not ready for 15 minutes',
    expr: 'tidemark_ready == 0',
    minutes: 15,
    by: BY_NODE,
    datadog: { query: 'max(last_15m):max:tidemark.ready{*} by {cluster,node} < 1', critical: 1, recovery: 1 },
    test: whileGauge('tidemark_ready', 0, 1),
  },
  {
    name: 'TidemarkNodeDisconnected',
    severity: 'page',
    summary: 'Node {{ $labels.node }} is not in the map of cluster {{ $labels.cluster }}: it leads nothing',
    expr: 'tidemark_connected == 0',
    minutes: 3,
    by: BY_NODE,
    datadog: {
      query: 'max(last_5m):max:tidemark.connected{*} by {cluster,node} < 1',
      critical: 1,
      recovery: 1,
    },
    test: whileGauge('tidemark_connected', 0, 1),
  },
  {
    name: 'TidemarkErrorBudgetBurnsFast',
    severity: 'page',
    summary:
      'Cluster {{ $labels.cluster }} fails so many calls that the budget of a month is gone in two days',
    expr: 'cluster:tidemark_fault_ratio:rate1h > 14.4 * 0.001 and cluster:tidemark_fault_ratio:rate5m > 14.4 * 0.001',
    minutes: 2,
    by: BY_CLUSTER,
    datadog: { query: burn('1h', 0.0144), critical: 0.0144, recovery: 0.01 },
    test: {
      fires: { [ok]: '0+6000x120', [fault]: '0+120x120' },
      quiet: { [ok]: '0+6000x120', [fault]: '0+3x120' },
      at: 90,
    },
  },
  {
    name: 'TidemarkErrorBudgetBurnsSlowly',
    severity: 'ticket',
    summary:
      'Cluster {{ $labels.cluster }} fails so many calls that the budget of a month is gone in five days',
    expr: 'cluster:tidemark_fault_ratio:rate6h > 6 * 0.001 and cluster:tidemark_fault_ratio:rate30m > 6 * 0.001',
    minutes: 15,
    by: BY_CLUSTER,
    datadog: { query: burn('4h', 0.006), critical: 0.006, recovery: 0.004 },
    test: {
      fires: { [ok]: '0+6000x600', [fault]: '0+48x600' },
      quiet: { [ok]: '0+6000x600', [fault]: '0+3x600' },
      at: 420,
    },
  },
  {
    name: 'TidemarkCallsSlow',
    severity: 'ticket',
    summary: 'p99 of {{ $labels.method }} in cluster {{ $labels.cluster }} is over 250 ms',
    expr: 'cluster_method:tidemark_grpc_request_duration_seconds:p99_5m{method=~"KeyValueService/(Get|BatchGet|Put|Delete|Increment|Transact)|Pipeline/.*"} > 0.25',
    minutes: 10,
    by: ['cluster', 'method'],
    datadog: {
      query:
        'percentile(last_10m):p99:tidemark.grpc.request.duration{method IN (keyvalueservice/get,keyvalueservice/batchget,keyvalueservice/put,keyvalueservice/delete,keyvalueservice/increment,keyvalueservice/transact,pipeline/get,pipeline/put)} by {cluster,method} > 0.25',
      critical: 0.25,
      recovery: 0.1,
    },
    test: {
      fires: {
        [series('tidemark_grpc_request_duration_seconds_bucket', 'method="KeyValueService/Get",le="0.25"')]:
          '0+100x60',
        [series('tidemark_grpc_request_duration_seconds_bucket', 'method="KeyValueService/Get",le="1"')]:
          '0+200x60',
        [series('tidemark_grpc_request_duration_seconds_bucket', 'method="KeyValueService/Get",le="+Inf"')]:
          '0+200x60',
      },
      quiet: {
        [series('tidemark_grpc_request_duration_seconds_bucket', 'method="KeyValueService/Get",le="0.25"')]:
          '0+200x60',
        [series('tidemark_grpc_request_duration_seconds_bucket', 'method="KeyValueService/Watch",le="10"')]:
          '0+0x60',
        [series('tidemark_grpc_request_duration_seconds_bucket', 'method="KeyValueService/Get",le="+Inf"')]:
          '0+200x60',
      },
      labels: { method: 'KeyValueService/Get' },
    },
  },
  {
    name: 'TidemarkOverloaded',
    severity: 'ticket',
    summary: 'Node {{ $labels.node }} refuses calls because a bound is reached',
    expr: 'sum by (cluster, node) (rate(tidemark_errors_total{reason="OVERLOADED"}[5m])) > 1',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_5m):sum:tidemark.errors{reason:overloaded} by {cluster,node}.as_rate() > 1',
      critical: 1,
      recovery: 0.1,
    },
    test: whileRising('tidemark_errors_total', 600, 0, 'reason="OVERLOADED"'),
  },
  {
    name: 'TidemarkBug',
    severity: 'ticket',
    summary: 'Node {{ $labels.node }} answered with INTERNAL: a bug',
    expr: 'sum by (cluster, node) (increase(tidemark_errors_total{reason="INTERNAL"}[15m])) > 0',
    minutes: 0,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_15m):sum:tidemark.errors{reason:internal} by {cluster,node}.as_count() > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileRising('tidemark_errors_total', 1, 0, 'reason="INTERNAL"'),
  },
]
