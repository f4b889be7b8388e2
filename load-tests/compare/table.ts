/** What was measured, as a table: losses stand there like wins. */
import { tableText } from '../../services/cli/output.ts'
import type { Workload } from './plan.ts'
import type { Measured, Sample } from './run.ts'

export interface Row {
  readonly durability: string
  readonly workload: string
  readonly peer: string
  /** Of all rounds: the median, the least and the most. */
  readonly perSecond: Spread
  readonly p50Ms: number
  readonly p99Ms: number
  readonly serverMicros: number
  readonly rssMiB: number
  readonly failed: number
  /** Tidemark's rate over this one's, best Tidemark of the class; on Tidemark's own row where the peer has nothing like it (Workload.against). */
  readonly ratio?: number
  readonly aim?: number
}

export interface Spread {
  readonly median: number
  readonly least: number
  readonly most: number
}

export function rowsOf(measured: readonly Measured[]): Row[] {
  return measured.map((one) => {
    const row = {
      durability: one.durability,
      workload: one.workload.title,
      peer: one.peer,
      perSecond: spreadOf(one.samples.map(({ perSecond }) => perSecond)),
      p50Ms: medianOf(one.samples, 'p50Ms'),
      p99Ms: medianOf(one.samples, 'p99Ms'),
      serverMicros: medianOf(one.samples, 'serverMicros'),
      rssMiB: medianOf(one.samples, 'rssMiB'),
      failed: one.samples.reduce((sum, { failed }) => sum + failed, 0),
    }
    const { workload } = one
    if (one.kind === 'tidemark') {
      const other = measured.find(
        ({ kind, durability, workload: { title } }) =>
          kind !== 'tidemark' && durability === one.durability && title === workload.against,
      )
      return other === undefined ? row : { ...row, ...held(row.perSecond.median, other, workload) }
    }
    const own = measured
      .filter(
        ({ kind, durability, workload: { title } }) =>
          kind === 'tidemark' && durability === one.durability && title === workload.title,
      )
      .map(({ samples }) => spreadOf(samples.map(({ perSecond }) => perSecond)).median)
    if (own.length === 0) return row
    return { ...row, ...held(Math.max(...own), one, workload) }
  })
}

/** Our rate against that of a peer, with the aim. */
function held(own: number, { kind, samples }: Measured, { aims }: Workload): Pick<Row, 'ratio' | 'aim'> {
  const ratio = own / spreadOf(samples.map(({ perSecond }) => perSecond)).median
  const aim = aims?.[kind]
  return aim === undefined ? { ratio } : { ratio, aim }
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const median = ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2
  return { median, least: sorted[0] ?? NaN, most: sorted.at(-1) ?? NaN }
}

const medianOf = (samples: readonly Sample[], field: 'p50Ms' | 'p99Ms' | 'serverMicros' | 'rssMiB'): number =>
  spreadOf(samples.map((sample) => sample[field])).median

export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row, index) => {
    const { median, least, most } = row.perSecond
    const again = rows[index - 1]?.workload === row.workload && rows[index - 1]?.durability === row.durability
    return [
      again ? '' : `${row.workload} (${row.durability})`,
      row.peer,
      `${shown(median)} (${shown(least)} to ${shown(most)})`,
      row.p50Ms.toFixed(2),
      row.p99Ms.toFixed(2),
      row.serverMicros.toFixed(1),
      whole(row.rssMiB),
      row.ratio === undefined ? '' : `${row.ratio.toFixed(2)} x${verdict(row)}`,
      row.failed === 0 ? '' : String(row.failed),
    ]
  })
  return tableText(
    ['WORKLOAD', 'SERVER', 'PER SECOND', 'P50 MS', 'P99 MS', 'CPU US', 'RSS MIB', 'TIDEMARK IS', 'FAILED'],
    cells,
  )
}

function verdict({ ratio, aim }: Row): string {
  if (aim === undefined || ratio === undefined) return ''
  return ratio >= aim ? ` (aim ${aim})` : ` (aim ${aim}, missed)`
}

const whole = (value: number): string => Math.round(value).toLocaleString('en-US')
const shown = (value: number): string => (value < 10 ? value.toFixed(2) : whole(value))
