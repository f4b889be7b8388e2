/**
 * The first two boards over InfluxDB (InfluxQL), of what Telegraf makes of the same DogStatsD stream (infra/influx/telegraf.conf): counts and
 * gauges. Durations are left out: Telegraf does not weigh the samples of a distribution, so its percentiles would be wrong.
 */
import { datadogName } from '../../services/node/metrics/catalogue.ts'
import type { Board, Panel, Series } from './board.ts'

const SOURCE = { type: 'influxdb', uid: '${datasource}' }
const SCOPE = `"cluster" =~ /^$cluster$/ AND "node" =~ /^$node$/`

const isShown = ({ formula, series }: Panel): boolean =>
  formula === undefined && series.every(({ how }) => !how.startsWith('p'))

/** One series in InfluxQL. Telegraf writes a count once for each of its intervals, and a gauge as it stands. */
export function influxql({ metric, how, by, where }: Series): string {
  const asked = Object.entries(where).map(([tag, values]) => ` AND "${tag}" =~ /^(${values.join('|')})$/`)
  const from = `FROM "${datadogName(metric).replaceAll('.', '_')}" WHERE ${SCOPE}${asked.join('')} AND $timeFilter`
  const tags = by.map((tag) => `, "${tag}"`).join('')
  if (how === 'rate')
    return `SELECT sum("value") * 1000 / $__interval_ms ${from} GROUP BY time($__interval)${tags} fill(0)`
  if (how === 'increase') return `SELECT sum("value") ${from} GROUP BY time($__interval)${tags} fill(0)`
  const inner = `SELECT last("value") AS "value" ${from} GROUP BY time($__interval), *`
  return `SELECT ${how}("value") FROM (${inner}) WHERE $timeFilter GROUP BY time($__interval)${tags} fill(previous)`
}

export function influxBoard({ name, title, description, groups }: Board): object {
  const shown = groups.flatMap(({ panels }) => panels).filter(isShown)
  return {
    uid: `${name}-influx`,
    id: null,
    title: `${title} (InfluxDB)`,
    description,
    tags: ['tidemark', 'influxdb'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    templating: {
      list: [
        {
          name: 'datasource',
          label: 'data source',
          type: 'datasource',
          query: 'influxdb',
          current: {},
          hide: 0,
        },
        variable('cluster', 'SHOW TAG VALUES FROM "tidemark_ready" WITH KEY = "cluster"'),
        variable(
          'node',
          'SHOW TAG VALUES FROM "tidemark_ready" WITH KEY = "node" WHERE "cluster" =~ /^$cluster$/',
        ),
      ],
    },
    panels: shown.map((panel, at) => ({
      id: at + 1,
      type: 'timeseries',
      title: panel.title,
      description: panel.description,
      datasource: SOURCE,
      gridPos: { x: (at % 2) * 12, y: Math.floor(at / 2) * 8, w: 12, h: 8 },
      fieldConfig: { defaults: { min: 0 }, overrides: [] },
      options: {
        legend: { displayMode: 'list', placement: 'bottom' },
        tooltip: { mode: 'multi', sort: 'desc' },
      },
      targets: panel.series.map((series, index) => ({
        refId: String.fromCharCode(65 + index),
        datasource: SOURCE,
        rawQuery: true,
        resultFormat: 'time_series',
        query: influxql(series),
        alias: [series.label, ...series.by.map((tag) => `$tag_${tag}`)].join(' ').trim() || 'all',
      })),
    })),
  }
}

const variable = (name: string, query: string): object => ({
  name,
  label: name,
  type: 'query',
  datasource: SOURCE,
  query,
  definition: query,
  refresh: 2,
  sort: 1,
  multi: true,
  includeAll: true,
  allValue: '.*',
  current: { selected: true, text: ['All'], value: ['$__all'] },
})
