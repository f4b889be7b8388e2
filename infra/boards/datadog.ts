/** Boards as Datadog's API takes them (v1, `POST /api/v1/dashboard`), laid out by hand so that they look the same everywhere. */
import { type MetricName, datadogName, metricOf } from '../../services/node/metrics/catalogue.ts'
import type { Board, Group, Panel, PanelUnit, Series } from './board.ts'

const SCOPE = ['env', 'service', 'cluster', 'node'] as const
const WIDTH = 12
const SIZES = {
  number: { width: 3, height: 2 },
  lines: { width: 6, height: 3 },
  list: { width: 6, height: 3 },
} as const

/** In the words of Datadog; where a ratio is meant, as a fraction. */
const UNITS: Readonly<Record<PanelUnit, object | undefined>> = {
  none: undefined,
  seconds: { type: 'canonical_unit', unit_name: 'second' },
  bytes: { type: 'canonical_unit', unit_name: 'byte' },
  'bytes a second': { type: 'canonical_unit', unit_name: 'byte', per_unit_name: 'second' },
  'a second': { type: 'custom_unit_label', label: '/s' },
  ratio: { type: 'canonical_unit', unit_name: 'fraction' },
}

/** Datadog keeps the values of tags in small letters. */
const small = (value: string): string => value.toLowerCase()

/** What stands between the braces of a query. `scope` = the variables of a board, or tags of a monitor. */
export function filterOf(
  { metric, where }: Pick<Series, 'metric' | 'where'>,
  scope: readonly string[],
): string {
  const asked = Object.entries(where).map(([tag, values]) => {
    const [first = ''] = values
    return values.length === 1 ? `${tag}:${small(first)}` : `${tag} IN (${values.map(small).join(',')})`
  })
  const keyspace = metricOf(metric).tags.includes('keyspace') && scope.length > 0 ? ['$keyspace'] : []
  return [...scope, ...keyspace, ...asked].join(' AND ') || '*'
}

/** One series as a query. A number of many is that of the worst. */
export function datadogQuery(series: Series, kind: Panel['kind'], scope: readonly string[]): string {
  const { metric, how, by } = series
  const worst = kind === 'number' && by.length > 0
  const filter = filterOf(series, scope)
  const grouped = by.length === 0 || worst ? '' : ` by {${by.join(',')}}`
  const named = `${datadogName(metric)}{${filter}}${grouped}`
  switch (how) {
    case 'rate':
      return `${worst ? 'max' : 'sum'}:${named}.as_rate()`
    case 'increase':
      return `${worst ? 'max' : 'sum'}:${named}.as_count()`
    default:
      return `${worst ? 'max' : how}:${named}`
  }
}

export function datadogBoard({ name, title, description, groups }: Board): object {
  const variables = SCOPE.map((tag) => ({ name: tag, prefix: tag, available_values: [], defaults: ['*'] }))
  const keyspace = groups.some((group) => group.panels.some(hasKeyspace))
  const widgets: object[] = []
  let y = 0
  for (const group of [about(name, description), ...groups.map((each) => groupOf(each, name))]) {
    widgets.push({ definition: group.definition, layout: { x: 0, y, width: WIDTH, height: group.height } })
    y += group.height
  }
  return {
    title,
    description: `${description} Generated: infra/boards.`,
    layout_type: 'ordered',
    reflow_type: 'fixed',
    template_variables: keyspace
      ? [...variables, { name: 'keyspace', prefix: 'keyspace', available_values: [], defaults: ['*'] }]
      : variables,
    notify_list: [],
    tags: ['team:tidemark'],
    widgets,
  }
}

const hasKeyspace = ({ series }: Panel): boolean =>
  series.some(({ metric }) => metricOf(metric).tags.includes('keyspace'))

interface Placed {
  readonly definition: object
  readonly height: number
}

function about(name: string, description: string): Placed {
  const content = [
    `**${description}** Read from top to bottom.`,
    'Alerts and reasons of errors: `infra/runbooks` in the repository. What each metric means: `infra/metrics.md`.',
  ].join('\n\n')
  const note = {
    definition: {
      type: 'note',
      content,
      background_color: 'white',
      font_size: '14',
      text_align: 'left',
      show_tick: false,
      has_padding: true,
    },
    layout: { x: 0, y: 0, width: name === 'tidemark-overview' ? 6 : WIDTH, height: 2 },
  }
  const objectives = {
    definition: {
      type: 'slo_list',
      title: 'Objectives',
      requests: [{ request_type: 'slo_list', query: { query_string: 'team:tidemark', limit: 10 } }],
    },
    layout: { x: 6, y: 0, width: 6, height: 2 },
  }
  const widgets = name === 'tidemark-overview' ? [note, objectives] : [note]
  return {
    definition: { type: 'group', title: 'About', layout_type: 'ordered', show_title: true, widgets },
    height: 3,
  }
}

function groupOf({ title, panels }: Group, board: string): Placed {
  const widgets: object[] = []
  let [x, y, height] = [0, 0, 0]
  panels.forEach((panel) => {
    const size = SIZES[panel.kind]
    if (x + size.width > WIDTH || (height > 0 && height !== size.height)) {
      y += height
      x = 0
    }
    height = size.height
    widgets.push({ definition: widgetOf(panel), layout: { x, y, ...size } })
    x += size.width
  })
  const definition = {
    type: 'group',
    title,
    layout_type: 'ordered',
    show_title: true,
    background_color: board.endsWith('overview') ? 'blue' : 'gray',
    widgets,
  }
  return { definition, height: y + height + 1 }
}

function widgetOf(panel: Panel): object {
  const { title, description, kind, series, limits } = panel
  const scope = SCOPE.map((tag) => `$${tag}`)
  const queries = series.map((each, at) => ({
    data_source: 'metrics',
    name: 'abcdef'[at],
    query: datadogQuery(each, kind, scope),
    ...(kind === 'lines' ? {} : { aggregator: kind === 'list' ? 'avg' : 'last' }),
  }))
  const unit = UNITS[panel.unit]
  const format = unit === undefined ? {} : { number_format: { unit } }
  const formulas =
    panel.formula === undefined
      ? series.map(({ label }, at) => ({
          formula: 'abcdef'[at],
          ...(label === '' ? {} : { alias: label }),
          ...format,
        }))
      : [{ formula: panel.formula, alias: title, ...format }]
  // Widgets of Datadog have no description of their own: it stands in the title.
  const named = {
    title: `${title}: ${description.replace(/\.$/, '')}`,
    title_size: '14',
    title_align: 'left',
  }
  switch (kind) {
    case 'lines':
      return {
        type: 'timeseries',
        ...named,
        show_legend: true,
        legend_layout: 'auto',
        legend_columns: ['avg', 'max', 'value'],
        requests: [
          {
            response_format: 'timeseries',
            queries,
            formulas,
            display_type: 'line',
            style: { palette: 'dog_classic', line_type: 'solid', line_width: 'normal' },
          },
        ],
        yaxis: { include_zero: true, min: '0' },
      }
    case 'number': {
      const [warn, bad] = limits?.low === true ? ['<', '<'] : ['>=', '>=']
      const formats =
        limits === undefined
          ? []
          : [
              { comparator: bad, value: limits.bad, palette: 'white_on_red' },
              { comparator: warn, value: limits.warn, palette: 'white_on_yellow' },
            ]
      return {
        type: 'query_value',
        ...named,
        autoscale: true,
        precision: 2,
        requests: [
          {
            response_format: 'scalar',
            queries,
            formulas,
            ...(formats.length === 0 ? {} : { conditional_formats: formats }),
          },
        ],
      }
    }
    case 'list':
      return {
        type: 'toplist',
        ...named,
        requests: [
          {
            response_format: 'scalar',
            queries,
            formulas,
            sort: { count: 25, order_by: [{ type: 'formula', index: 0, order: 'desc' }] },
          },
        ],
      }
  }
}

const ORIENTATIONS: Partial<Record<MetricName, 1 | -1>> = {
  ready: 1,
  connected: 1,
  'log.healthy': 1,
  errors: -1,
  'lag.seconds': -1,
  'lag.records': -1,
  'partitions.stopped': -1,
  'apply.marks.diverged': -1,
  'replicas.disputed': -1,
  'apply.misplaced_keys': -1,
}

/** A line of metadata.csv, in the columns that Datadog's integrations have. */
export function metadataRow(name: MetricName): string {
  const { type, unit, meaning } = metricOf(name)
  const text = meaning.charAt(0).toUpperCase() + meaning.slice(1)
  const quoted = /[",]/.test(text) ? `"${text.replaceAll('"', '""')}."` : `${text}.`
  const written = unit === 'none' ? '' : unit
  return [
    datadogName(name),
    type,
    type === 'count' ? '10' : '',
    written,
    '',
    quoted,
    ORIENTATIONS[name] ?? 0,
    'tidemark',
    name.replaceAll(/[._]/g, ' '),
    '',
  ].join(',')
}

export const METADATA_HEADER =
  'metric_name,metric_type,interval,unit_name,per_unit_name,description,orientation,integration,short_name,curated_metric'
