/** Alerts as Datadog's monitors, in the form of its integrations; objectives and service checks beside them. */
import { filterOf } from '../boards/datadog.ts'
import { FAULT_CODES } from '../boards/overview.ts'
import type { Alert } from './alert.ts'
import { runbookOf } from './rules.ts'

const CREATED = '2026-11-21'
const TAGS = ['team:tidemark', 'integration:tidemark']

export function monitorOf(alert: Alert): object {
  const { name, severity, summary, datadog } = alert
  const said = summary.replaceAll(
    /\{\{ \$labels\.(\w+) \}\}/g,
    (_, tag: string) => `{{${tag === 'instance' ? 'node' : tag}.name}}`,
  )
  const title = `[Tidemark] ${words(name)}`
  return {
    version: 2,
    created_at: CREATED,
    last_updated_at: CREATED,
    title: words(name),
    tags: TAGS,
    description: said.replaceAll(/ ?\{\{(\w+)\.name\}\}/g, ''),
    definition: {
      name: title,
      type: 'query alert',
      query: datadog.query,
      message: [
        `{{#is_alert}}${said}.{{/is_alert}}`,
        `{{#is_recovery}}It is over.{{/is_recovery}}`,
        `What to do: ${runbookOf(alert)}`,
      ].join('\n'),
      tags: [...TAGS, `severity:${severity}`],
      priority: severity === 'page' ? 1 : 3,
      options: {
        thresholds: {
          critical: datadog.critical,
          ...(datadog.recovery === datadog.critical ? {} : { critical_recovery: datadog.recovery }),
        },
        include_tags: true,
        notify_audit: false,
        require_full_window: false,
        new_group_delay: 300,
        renotify_interval: severity === 'page' ? 60 : 0,
        on_missing_data: datadog.noDataMinutes === undefined ? 'default' : 'show_and_notify_no_data',
      },
    },
  }
}

const words = (name: string): string => name.replace(/^Tidemark/, '').replaceAll(/([a-z])([A-Z])/g, '$1 $2')

/** Calls without a fault, and quick ones; 30 days. The second counts calls of the distribution up to a threshold. */
export function objectives(): readonly { readonly file: string; readonly body: object }[] {
  const good = filterOf({ metric: 'grpc.requests', where: { code: FAULT_CODES } }, [])
  const all = 'sum:tidemark.grpc.requests{*}.as_count()'
  const quick = '{method IN (keyvalueservice/get,keyvalueservice/put,pipeline/get,pipeline/put)}.as_count()'
  return [
    {
      file: 'availability',
      body: {
        type: 'metric',
        name: 'Tidemark: calls without a fault',
        description: 'Calls and Pipeline operations that did not end with a fault of the service.',
        tags: TAGS,
        query: { numerator: `${all} - sum:tidemark.grpc.requests{${good}}.as_count()`, denominator: all },
        thresholds: [{ timeframe: '30d', target: 99.9, warning: 99.95 }],
      },
    },
    {
      file: 'latency',
      body: {
        type: 'metric',
        name: 'Tidemark: reads and writes within 100 ms',
        description: 'Gets and puts, unary or of a Pipeline, that took at most 100 ms on the node.',
        tags: TAGS,
        query: {
          numerator: `count(v: v<=0.1):tidemark.grpc.request.duration${quick}`,
          denominator: `count:tidemark.grpc.request.duration${quick}`,
        },
        thresholds: [{ timeframe: '30d', target: 99, warning: 99.5 }],
      },
    },
  ]
}

export const serviceChecks = (): readonly object[] =>
  [
    {
      check: 'tidemark.can_serve',
      name: 'Can serve',
      statuses: ['ok', 'critical'],
      description:
        'CRITICAL while the node is not ready: a replica of the map is not live, or the log does not answer.',
    },
    {
      check: 'tidemark.log.can_connect',
      name: 'Log answers',
      statuses: ['ok', 'critical'],
      description: 'CRITICAL while the log (Kafka, or the embedded one) does not answer.',
    },
  ].map((check) => ({
    agent_version: '7.0.0',
    integration: 'Tidemark',
    groups: ['host', 'cluster', 'node'],
    ...check,
  }))

export function manifest(
  boards: readonly { readonly name: string; readonly title: string }[],
  alerts: readonly Alert[],
): object {
  return {
    manifest_version: '2.0.0',
    app_uuid: '0b6d7c5e-6a0c-4f0e-9b53-5d0c1b6f2a71',
    app_id: 'tidemark',
    owner: 'tidemark',
    display_on_public_website: false,
    tile: {
      overview: 'README.md#Overview',
      configuration: 'README.md#Setup',
      support: 'README.md#Support',
      changelog: 'CHANGELOG.md',
      title: 'Tidemark',
      description: 'A key-value store whose only truth is a Kafka log',
      media: [],
      classifier_tags: [
        'Supported OS::Linux',
        'Category::Data Stores',
        'Category::Metrics',
        'Offering::Integration',
        'Submitted Data Type::Metrics',
      ],
    },
    assets: {
      integration: {
        auto_install: false,
        source_type_id: 0,
        source_type_name: 'Tidemark',
        configuration: {},
        events: { creates_events: false },
        metrics: { prefix: 'tidemark.', check: ['tidemark.ready'], metadata_path: 'metadata.csv' },
        service_checks: { metadata_path: 'service_checks.json' },
      },
      dashboards: Object.fromEntries(boards.map(({ name, title }) => [title, `dashboards/${name}.json`])),
      monitors: Object.fromEntries(alerts.map(({ name }) => [words(name), `monitors/${name}.json`])),
    },
    author: { name: 'Tidemark' },
  }
}
