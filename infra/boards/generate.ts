/**
 * Writes everything that is made from the catalogue, the boards and the alerts: `npm run generate:boards`. generate.test.ts holds the files
 * against it.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { METRIC_NAMES } from '../../services/node/metrics/catalogue.ts'
import { ALL_ALERTS } from '../alerts/alerts.ts'
import { manifest, monitorOf, objectives, serviceChecks } from '../alerts/monitors.ts'
import { alertRules, recordingRules, ruleTests } from '../alerts/rules.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { BOARDS } from './boards.ts'
import { METADATA_HEADER, datadogBoard, metadataRow } from './datadog.ts'
import { grafanaBoard } from './grafana.ts'
import { influxBoard } from './influx.ts'
import { metricsPage } from './metrics-page.ts'

/** Folders in which nothing else stands. */
export const GENERATED_FOLDERS = [
  'infra/grafana',
  'infra/datadog/dashboards',
  'infra/datadog/monitors',
  'infra/datadog/slos',
  'infra/prometheus/rules',
  'infra/prometheus/tests',
] as const

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

/** Their texts, by path from the root of the project. */
export function generated(): ReadonlyMap<string, string> {
  return new Map([
    ...BOARDS.map((board): [string, string] => [
      `infra/grafana/${board.name}.json`,
      json(grafanaBoard(board)),
    ]),
    ...BOARDS.map((board): [string, string] => [
      `infra/datadog/dashboards/${board.name}.json`,
      json(datadogBoard(board)),
    ]),
    ...BOARDS.slice(0, 2).map((board): [string, string] => [
      `infra/influx/${board.name}.json`,
      json(influxBoard(board)),
    ]),
    ...ALL_ALERTS.map((alert): [string, string] => [
      `infra/datadog/monitors/${alert.name}.json`,
      json(monitorOf(alert)),
    ]),
    ...objectives().map(({ file, body }): [string, string] => [
      `infra/datadog/slos/${file}.json`,
      json(body),
    ]),
    ['infra/datadog/service_checks.json', json(serviceChecks())],
    ['infra/datadog/manifest.json', json(manifest(BOARDS, ALL_ALERTS))],
    [
      'infra/datadog/metadata.csv',
      `${[METADATA_HEADER, ...METRIC_NAMES.map(metadataRow).sort()].join('\n')}\n`,
    ],
    ['infra/prometheus/rules/recording.yaml', recordingRules()],
    ['infra/prometheus/rules/alerts.yaml', alertRules()],
    ['infra/prometheus/tests/alerts.yaml', ruleTests()],
    ['infra/metrics.md', metricsPage()],
  ])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = PROJECT_ROOT
  const files = generated()
  for (const folder of GENERATED_FOLDERS) {
    mkdirSync(join(root, folder), { recursive: true })
    for (const name of readdirSync(join(root, folder)))
      if (!files.has(`${folder}/${name}`)) rmSync(join(root, folder, name))
  }
  for (const [path, content] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
}
