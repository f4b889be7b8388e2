/** Boards, alerts and what is made from them are whole: nothing is shown that no node sends, and nothing is sent that no board shows. */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { METRIC_NAMES, datadogName, metricOf, prometheusName } from '../../services/node/metrics/catalogue.ts'
import { ALL_ALERTS } from '../alerts/alerts.ts'
import { alertRules, recordingRules } from '../alerts/rules.ts'
import { PROJECT_ROOT } from '../project-root.ts'
import { BOARDS } from './boards.ts'
import { GENERATED_FOLDERS, generated } from './generate.ts'
import { queriesOf } from './grafana.ts'
import { namesIn } from './metrics-page.ts'

const root = PROJECT_ROOT
const files = generated()
const PANELS = BOARDS.flatMap(({ groups }) => groups.flatMap(({ panels }) => panels))

const DATADOG = new Set(METRIC_NAMES.map(datadogName))
const PROMETHEUS = new Set(
  METRIC_NAMES.flatMap((name) => {
    const shown = prometheusName(name)
    return metricOf(name).type === 'distribution'
      ? [`${shown}_bucket`, `${shown}_sum`, `${shown}_count`]
      : [shown]
  }),
)
const RECORDED = new Set(recordingRules().match(/(?<=record: )\S+/g))

/** Names of series in PromQL: what stands before braces or a range, or alone and is no word of the language. */
function namesInPromql(query: string): readonly string[] {
  const bare = query
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '{}')
    .replaceAll(/\b(?:by|without) \([^)]*\)/g, '')
  return (bare.match(/[a-z_][a-z0-9_:]*(?![a-z0-9_:]*\s*\()/gi) ?? []).filter(
    (word) => /[_:]/.test(word) && !/^\$/.test(word) && !['__rate_interval'].includes(word),
  )
}

describe('boards and alerts', () => {
  it('stand in the files as they are generated, and nothing else does', () => {
    for (const [path, text] of files)
      expect(
        existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : '',
        `${path}: npm run generate:boards`,
      ).to.equal(text)
    for (const folder of GENERATED_FOLDERS)
      for (const name of readdirSync(join(root, folder)))
        expect(files.has(`${folder}/${name}`), `${folder}/${name}`).to.equal(true)
  })

  it('name in Datadog only what nodes send', () => {
    for (const [path, text] of files) {
      if (!/^infra\/datadog\/(dashboards|monitors|slos)/.test(path)) continue
      const queries = [...text.matchAll(/"(?:query|numerator|denominator)": "((?:[^"\\]|\\.)*)"/g)].map(
        ([, query = '']) => query,
      )
      expect(queries.join(), path).to.match(/\btidemark\.|^team:/)
      for (const query of queries)
        for (const name of namesIn(query)) expect(DATADOG.has(name), `${path}: ${name}`).to.equal(true)
    }
  })

  it('name in Prometheus only what nodes show, or what is recorded from it', () => {
    const queries = [
      ...PANELS.flatMap((panel) => queriesOf(panel).map(({ expr }) => expr)),
      ...[...(alertRules() + recordingRules()).matchAll(/expr: (".*")/g)].map(
        ([, text = '""']) => JSON.parse(text) as string,
      ),
    ]
    for (const query of queries) {
      const names = namesInPromql(query)
      if (!query.startsWith('up{')) expect(names, query).not.to.have.length(0)
      for (const name of names)
        expect(PROMETHEUS.has(name) || RECORDED.has(name), `${name} in ${query}`).to.equal(true)
    }
  })

  it('show every metric of the catalogue', () => {
    const shown = new Set(PANELS.flatMap(({ series }) => series.map(({ metric }) => metric)))
    expect(METRIC_NAMES.filter((name) => !shown.has(name))).to.deep.equal([])
  })

  it('group and filter by tags that the metric has', () => {
    for (const { title, series } of PANELS)
      for (const { metric, by, where, how } of series) {
        const { type, tags } = metricOf(metric)
        for (const tag of [...by, ...Object.keys(where)])
          expect(['node', 'cluster', ...tags], `${title}: ${metric}`).to.include(tag)
        const fits = {
          count: ['rate', 'increase'],
          gauge: ['sum', 'max', 'min'],
          distribution: ['p50', 'p95', 'p99'],
        }[type]
        expect(fits, `${title}: ${metric}`).to.include(how)
      }
  })

  it('say what they show, and on what somebody is called, in words', () => {
    for (const { title, description } of PANELS)
      expect(
        [title, description].every((text) => text.length > 3),
        title,
      ).to.equal(true)
    for (const { groups, description } of BOARDS)
      expect(groups.length * description.length).to.be.greaterThan(0)
    expect(new Set(ALL_ALERTS.map(({ name }) => name)).size).to.equal(ALL_ALERTS.length)
    for (const { summary, by, datadog, name } of ALL_ALERTS) {
      for (const [, label] of summary.matchAll(/\$labels\.(\w+)/g)) expect(by, name).to.include(label)
      expect(datadog.query, name).to.match(new RegExp(`(>|<|<=) ${datadog.critical}$`))
      for (const tag of by.filter((each) => each !== 'job' && each !== 'instance'))
        expect(datadog.query, name).to.contain(tag)
    }
  })
})
