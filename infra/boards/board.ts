/**
 * What a board is, for every system that shows one: groups of panels that read from top to bottom as somebody on call asks: is it up, is
 * it slow, why. The boards are in boards.ts, and datadog.ts, grafana.ts and influx.ts write them in the words of their system.
 */
import type { MetricName } from '../../services/node/metrics/catalogue.ts'

/** `rate`: of a count, for each second. `increase`: of a count, in the time of a point. Percentiles: of a distribution. The others: over gauges. */
export type How = 'rate' | 'increase' | 'sum' | 'max' | 'min' | 'p50' | 'p95' | 'p99'

export interface Series {
  readonly metric: MetricName
  readonly how: How
  readonly by: readonly string[]
  /** Values of tags; several are alternatives. */
  readonly where: Readonly<Record<string, readonly string[]>>
  readonly label: string
}

export type PanelUnit = 'none' | 'seconds' | 'bytes' | 'bytes a second' | 'a second' | 'ratio'

export interface Panel {
  readonly title: string
  readonly description: string
  readonly kind: 'lines' | 'number' | 'list'
  readonly unit: PanelUnit
  readonly series: readonly Series[]
  /** Of a and b, the first two series, in place of both: `a / b`, `1 - a / b`. */
  readonly formula?: string
  /** Numbers from here on are shown as a warning and as a fault; `low`: from there down. */
  readonly limits?: { readonly warn: number; readonly bad: number; readonly low?: boolean }
}

export interface Group {
  readonly title: string
  readonly panels: readonly Panel[]
}

export interface Board {
  /** Of the file and of the address. */
  readonly name: string
  readonly title: string
  readonly description: string
  readonly groups: readonly Group[]
}

type More = Partial<Pick<Series, 'where' | 'label'>> & { readonly by?: string }

/** A series: how, of what, by which tags. */
export const of = (how: How, metric: MetricName, { by = '', where = {}, label = '' }: More = {}): Series => ({
  metric,
  how,
  by: by === '' ? [] : by.split(' '),
  where,
  label,
})

type Rest = Pick<Panel, 'formula' | 'limits'>

const panel =
  (kind: Panel['kind']) =>
  (
    title: string,
    unit: PanelUnit,
    description: string,
    series: readonly Series[],
    rest: Rest = {},
  ): Panel => ({
    title,
    description,
    kind,
    unit,
    series,
    ...rest,
  })

export const lines = panel('lines')
export const number = panel('number')
export const list = panel('list')
