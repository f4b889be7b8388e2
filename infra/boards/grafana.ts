/** Boards as Grafana provisions them, over Prometheus. Portable: the data source is a variable, and no number of an installation is in them. */
import { type MetricName, metricOf, prometheusName } from '../../services/node/metrics/catalogue.ts'
import type { Board, Panel, PanelUnit, Series } from './board.ts'

/** What every query is narrowed to; a label that nobody has matches as well. */
const SCOPE = ['namespace', 'cluster', 'node'] as const
const WIDTH = 24
const SIZES = {
  number: { w: 6, h: 4 },
  lines: { w: 12, h: 8 },
  list: { w: 12, h: 8 },
} as const

const UNITS: Readonly<Record<PanelUnit, string>> = {
  none: 'short',
  seconds: 's',
  bytes: 'bytes',
  'bytes a second': 'Bps',
  'a second': 'ops',
  ratio: 'percentunit',
}

const TYPES = { lines: 'timeseries', number: 'stat', list: 'bargauge' } as const

const SOURCE = { type: 'prometheus', uid: '${datasource}' }

/** Labels between braces: the scope, and what the series asks for. */
function matchers({ metric, where }: Pick<Series, 'metric' | 'where'>): string {
  const { tags } = metricOf(metric)
  const scope = [...SCOPE, ...(tags.includes('keyspace') ? ['keyspace'] : [])]
  const asked = Object.entries(where).map(([tag, values]) => `${tag}=~"${values.join('|')}"`)
  return [...scope.map((label) => `${label}=~"$${label}"`), ...asked].join(',')
}

/** One series in PromQL. */
export function promql(series: Series, range = '$__rate_interval'): string {
  const { metric, how, by } = series
  const name = prometheusName(metric)
  const labels = matchers(series)
  const grouped = (labels: readonly string[]): string =>
    labels.length === 0 ? '' : ` by (${labels.join(', ')})`
  switch (how) {
    case 'rate':
    case 'increase':
      return `sum${grouped(by)} (${how}(${name}{${labels}}[${range}]))`
    case 'p50':
    case 'p95':
    case 'p99':
      return `histogram_quantile(0.${how.slice(1)}, sum${grouped(['le', ...by])} (rate(${name}_bucket{${labels}}[${range}])))`
    default:
      return `${how}${grouped(by)} (${name}{${labels}})`
  }
}

/** The queries of a panel, with what stands in the legend. */
export function queriesOf({ kind, series, formula }: Panel): readonly { expr: string; legend: string }[] {
  const [a, b] = series
  if (formula !== undefined && a !== undefined && b !== undefined) {
    // Nothing of a kind that never happened is none of it.
    const first = a.metric === b.metric ? `(${promql(a)} or 0 * ${promql(b)})` : promql(a)
    const expr = formula.replace(/\b[ab]\b/g, (letter) => (letter === 'a' ? first : promql(b)))
    return [{ expr, legend: legendOf(a) }]
  }
  return series.map((each) => ({
    // One number of many: that of the worst.
    expr: kind === 'number' && each.by.length > 0 ? `max (${promql(each)})` : promql(each),
    legend: legendOf(each),
  }))
}

const legendOf = ({ by, label }: Series): string =>
  [label, ...by.map((tag) => `{{${tag}}}`)].join(' ').trim() || 'all'

export function grafanaBoard({ name, title, description, groups }: Board): object {
  const panels: object[] = []
  let id = 1
  let y = 0
  for (const group of groups) {
    panels.push({
      id: id++,
      type: 'row',
      title: group.title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
    })
    y += 1
    let x = 0
    let height = 0
    for (const panel of group.panels) {
      const { w, h } = SIZES[panel.kind]
      if (x + w > WIDTH || (height > 0 && height !== h)) {
        y += height
        x = 0
      }
      height = h
      panels.push({ id: id++, gridPos: { x, y, w, h }, ...panelOf(panel) })
      x += w
    }
    y += height
  }
  return {
    uid: name,
    id: null,
    title,
    description,
    tags: ['tidemark'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    timezone: 'browser',
    annotations: { list: [] },
    links: [
      {
        type: 'dashboards',
        title: 'Tidemark',
        tags: ['tidemark'],
        asDropdown: true,
        includeVars: true,
        keepTime: true,
      },
    ],
    templating: { list: variables(groups.some((group) => group.panels.some(hasKeyspace))) },
    panels,
  }
}

const hasKeyspace = ({ series }: Panel): boolean =>
  series.some(({ metric }) => metricOf(metric).tags.includes('keyspace'))

function panelOf(panel: Panel): object {
  const { title, description, kind, unit, limits } = panel
  const colors = limits?.low === true ? ['red', 'orange', 'green'] : ['green', 'orange', 'red']
  const [first, second] =
    limits?.low === true ? [limits.bad, limits.warn] : [limits?.warn ?? 0, limits?.bad ?? 0]
  const steps =
    limits === undefined
      ? [{ color: 'green', value: null }]
      : [null, first, second].map((value, at) => ({ color: colors[at], value }))
  return {
    type: TYPES[kind],
    title,
    description,
    datasource: SOURCE,
    fieldConfig: {
      defaults: {
        unit: UNITS[unit],
        ...(unit === 'ratio' ? { max: 1, decimals: 2 } : {}),
        min: 0,
        thresholds: { mode: 'absolute', steps },
      },
      overrides: [],
    },
    options:
      kind === 'lines'
        ? { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } }
        : {
            reduceOptions: { calcs: ['lastNotNull'], values: false },
            ...(kind === 'list'
              ? { orientation: 'horizontal' }
              : { colorMode: limits === undefined ? 'none' : 'value' }),
          },
    targets: queriesOf(panel).map(({ expr, legend }, at) => ({
      refId: String.fromCharCode(65 + at),
      datasource: SOURCE,
      expr,
      legendFormat: legend,
      ...(kind === 'list' ? { instant: true } : {}),
    })),
  }
}

const INFO: MetricName = 'build.info'

function variables(keyspaces: boolean): readonly object[] {
  const info = prometheusName(INFO)
  const values = (name: string, query: string): object => ({
    name,
    label: name,
    type: 'query',
    datasource: SOURCE,
    query: { query, refId: name },
    definition: query,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.*',
    current: { selected: true, text: ['All'], value: ['$__all'] },
  })
  return [
    {
      name: 'datasource',
      label: 'data source',
      type: 'datasource',
      query: 'prometheus',
      current: {},
      hide: 0,
    },
    values('namespace', `label_values(${info}, namespace)`),
    values('cluster', `label_values(${info}{namespace=~"$namespace"}, cluster)`),
    values('node', `label_values(${info}{namespace=~"$namespace",cluster=~"$cluster"}, node)`),
    ...(keyspaces
      ? [values('keyspace', `label_values(${prometheusName('rows')}{cluster=~"$cluster"}, keyspace)`)]
      : []),
  ]
}
