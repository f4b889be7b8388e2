/**
 * An alert, for Prometheus and for Datadog: what is wrong, for how long, and a series that fires it and one that must not. rules.ts writes the
 * rules and their tests, monitors.ts the monitors; each has a page in infra/runbooks.
 */

/** One series of a test of promtool, as `name{labels}`, and its values, one for each minute. */
export type Input = Readonly<Record<string, string>>

export interface Alert {
  /** `Tidemark…`; the file of its runbook is the rest of it in kebab-case. */
  readonly name: string
  /** `page`: somebody gets up. `ticket`: tomorrow. */
  readonly severity: 'page' | 'ticket'
  /** For people; `{{ $labels.x }}` stands for a label. */
  readonly summary: string
  /** PromQL. */
  readonly expr: string
  readonly minutes: number
  /** Labels of what fires; those of Prometheus, and tags of Datadog to group by. */
  readonly by: readonly string[]
  readonly datadog: Monitor
  readonly test: AlertTest
}

export interface Monitor {
  /** Ends with the comparison to the critical value. */
  readonly query: string
  readonly critical: number
  /** Where it counts as over. */
  readonly recovery: number
  /** Minutes without data after which it tells; without it, no data is no news. */
  readonly noDataMinutes?: number
}

export interface AlertTest {
  readonly fires: Input
  readonly quiet: Input
  /** Minute at which it is looked at; by default that after `minutes`, and some more. */
  readonly at?: number
  /** Labels of the alert that fires, beside cluster="c" and node="n" where it is by these. */
  readonly labels?: Readonly<Record<string, string>>
}

/** Of a node in tests. */
const NODE = 'cluster="c",node="n"'

/** A series of a test: of node n of cluster c. @param more - further labels */
export const series = (name: string, more = ''): string => `${name}{${NODE}${more === '' ? '' : `,${more}`}}`

/** What fires where a gauge of a node is so for so long. */
export const whileGauge = (name: string, bad: number, good: number, more = ''): AlertTest => ({
  fires: { [series(name, more)]: `${bad}x120` },
  quiet: { [series(name, more)]: `${good}x120` },
})

/** What fires where a count rises by so much a minute. */
export const whileRising = (name: string, bad: number, good: number, more = ''): AlertTest => ({
  fires: { [series(name, more)]: `0+${bad}x120` },
  quiet: { [series(name, more)]: `0+${good}x120` },
})
