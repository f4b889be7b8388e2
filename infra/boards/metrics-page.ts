/** The table of all metrics, for people: with the boards that show each and the alerts that rest on it. */
import {
  METRIC_NAMES,
  type MetricName,
  datadogName,
  metricOf,
  prometheusName,
} from '../../services/node/metrics/catalogue.ts'
import { ALL_ALERTS, pageOf } from '../alerts/alerts.ts'
import { BOARDS } from './boards.ts'

const boardsOf = (name: MetricName): readonly string[] =>
  BOARDS.filter(({ groups }) =>
    groups.some(({ panels }) => panels.some(({ series }) => series.some(({ metric }) => metric === name))),
  ).map((board) => board.name.replace('tidemark-', ''))

const alertsOf = (name: MetricName): readonly string[] =>
  ALL_ALERTS.filter(({ datadog }) => namesIn(datadog.query).includes(datadogName(name))).map(
    (alert) => `[${alert.name}](runbooks/${pageOf(alert.name)}.md)`,
  )

/** Names of metrics in a query of Datadog. */
export const namesIn = (query: string): readonly string[] =>
  query.match(/\btidemark\.[a-z0-9_.]*[a-z0-9_]/g) ?? []

export function metricsPage(): string {
  const rows = METRIC_NAMES.map((name) => {
    const { type, unit, tags, meaning } = metricOf(name)
    return `| ${[
      `\`${datadogName(name)}\``,
      `\`${prometheusName(name)}\``,
      type,
      unit === 'none' ? '' : unit,
      tags.map((tag) => `\`${tag}\``).join(' '),
      meaning,
      boardsOf(name).join(', '),
      alertsOf(name).join(', '),
    ].join(' | ')} |`
  })
  return `# Metrics

Made from \`services/node/metrics/catalogue.ts\` by \`npm run generate:boards\`. A node sends each to the Datadog agent that
\`DD_AGENT_HOST\` or \`DD_DOGSTATSD_URL\` names, and shows each on \`/metrics\`. Every series has \`cluster\` and \`node\` beside its own tags; in
Datadog \`env\`, \`service\` and \`version\` come from \`DD_ENV\`, \`DD_SERVICE\` and \`DD_VERSION\`.

<!-- prettier-ignore-start -->

| Datadog | Prometheus | type | unit | tags | meaning | boards | alerts |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

<!-- prettier-ignore-end -->
`
}
