/** Alerts and recorded series as Prometheus reads them, and their tests as promtool does. */
import { FAULT_CODES } from '../boards/overview.ts'
import type { Alert, Input } from './alert.ts'
import { ALERTS, pageOf } from './alerts.ts'

/** A path in this repository; where you publish the runbooks, generate with their address: RUNBOOKS=https://… npm run generate:boards */
const RUNBOOKS = process.env['RUNBOOKS'] ?? 'infra/runbooks'
export const runbookOf = ({ name }: Alert): string => `${RUNBOOKS}/${pageOf(name)}.md`

const HEADER = '# Made from infra/alerts by `npm run generate:boards`.\n'

/** YAML takes JSON's strings as they are. */
const text = (value: string): string => JSON.stringify(value)

const faults = `code=~"${FAULT_CODES.join('|')}"`

const RECORDED: readonly (readonly [name: string, expr: string])[] = [
  ...['5m', '30m', '1h', '6h'].map((window): [string, string] => [
    `cluster:tidemark_fault_ratio:rate${window}`,
    `(sum by (cluster) (rate(tidemark_grpc_requests_total{${faults}}[${window}])) or 0 * sum by (cluster) (rate(tidemark_grpc_requests_total[${window}]))) / sum by (cluster) (rate(tidemark_grpc_requests_total[${window}]))`,
  ]),
  [
    'cluster_method:tidemark_grpc_requests:rate5m',
    'sum by (cluster, method) (rate(tidemark_grpc_requests_total[5m]))',
  ],
  [
    'cluster_method:tidemark_grpc_request_duration_seconds:p99_5m',
    'histogram_quantile(0.99, sum by (cluster, method, le) (rate(tidemark_grpc_request_duration_seconds_bucket[5m])))',
  ],
]

export function recordingRules(): string {
  const rules = RECORDED.map(([name, expr]) => `      - record: ${name}\n        expr: ${text(expr)}`)
  return `${HEADER}groups:\n  - name: tidemark-recorded\n    interval: 30s\n    rules:\n${rules.join('\n')}\n`
}

export function alertRules(): string {
  const groups = Object.entries(ALERTS).map(
    ([group, alerts]) => `  - name: tidemark-${group}\n    rules:\n${alerts.map(rule).join('\n')}`,
  )
  return `${HEADER}groups:\n${groups.join('\n')}\n`
}

const rule = (alert: Alert): string =>
  [
    `      - alert: ${alert.name}`,
    `        expr: ${text(alert.expr)}`,
    ...(alert.minutes === 0 ? [] : [`        for: ${alert.minutes}m`]),
    `        labels:`,
    `          severity: ${alert.severity}`,
    `        annotations:`,
    `          summary: ${text(alert.summary)}`,
    `          runbook_url: ${text(runbookOf(alert))}`,
  ].join('\n')

/** Two tests for each alert: it fires, and it does not. */
export function ruleTests(): string {
  const tests = Object.values(ALERTS)
    .flat()
    .flatMap((alert) => [test(alert, alert.test.fires, true), test(alert, alert.test.quiet, false)])
  return `${HEADER}rule_files:\n  - ../rules/recording.yaml\n  - ../rules/alerts.yaml\nevaluation_interval: 1m\ntests:\n${tests.join('\n')}\n`
}

function test(alert: Alert, input: Input, fires: boolean): string {
  const at = alert.test.at ?? alert.minutes + 10
  const node = { cluster: 'c', node: 'n' }
  const labels: Record<string, string> = { ...pick(node, alert.by), ...alert.test.labels }
  const summary = alert.summary.replaceAll(
    /\{\{ \$labels\.(\w+) \}\}/g,
    (_, label: string) => labels[label] ?? '',
  )
  return [
    `  - name: ${text(`${alert.name} ${fires ? 'fires' : 'is quiet'}`)}`,
    `    interval: 1m`,
    `    input_series:`,
    ...Object.entries(input).flatMap(([series, values]) => [
      `      - series: ${text(series)}`,
      `        values: ${text(values)}`,
    ]),
    `    alert_rule_test:`,
    `      - eval_time: ${at}m`,
    `        alertname: ${alert.name}`,
    ...(fires
      ? [
          `        exp_alerts:`,
          `          - exp_labels:`,
          ...Object.entries({ severity: alert.severity, ...labels }).map(
            ([name, value]) => `              ${name}: ${text(value)}`,
          ),
          `            exp_annotations:`,
          `              summary: ${text(summary)}`,
          `              runbook_url: ${text(runbookOf(alert))}`,
        ]
      : [`        exp_alerts: []`]),
  ].join('\n')
}

const pick = (from: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)))
