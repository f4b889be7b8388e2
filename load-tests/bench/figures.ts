/** The figures of a run, and how they are shown. */
import type { Measured } from '../../services/cli/measure.ts'
import { tableText } from '../../services/cli/output.ts'
import type { Machine } from './machine.ts'

export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** What is aimed at on a machine with two cores. */
  readonly target?: { readonly atLeast: number } | { readonly atMost: number }
  /** What the machine itself can do in this run, and which share of it this is. */
  readonly ceiling?: { readonly name: string; readonly share: number }
  readonly more?: Readonly<Record<string, number>>
}

export class Figures {
  readonly #figures: Figure[] = []
  readonly #onFigure: (figure: Figure) => void

  constructor(onFigure: (figure: Figure) => void) {
    this.#onFigure = onFigure
  }

  add(figure: Figure): void {
    this.#figures.push(figure)
    this.#onFigure(figure)
  }

  rate(name: string, measured: Measured, extra: { target?: Figure['target']; ceiling?: string } = {}): void {
    const { perSecond, operations, p50Ms, p99Ms, maxMs } = measured
    const ceiling = extra.ceiling === undefined ? undefined : this.value(extra.ceiling)
    this.add({
      name,
      value: perSecond,
      unit: '/s',
      ...(extra.target === undefined ? {} : { target: extra.target }),
      ...(extra.ceiling === undefined || ceiling === undefined
        ? {}
        : { ceiling: { name: extra.ceiling, share: perSecond / ceiling } }),
      more: { operations, p50Ms, p99Ms, maxMs },
    })
  }

  value(name: string): number | undefined {
    return this.#figures.find((figure) => figure.name === name)?.value
  }

  all(): readonly Figure[] {
    return this.#figures
  }
}

export const figuresTable = (figures: readonly Figure[]): string =>
  tableText(['FIGURE', 'MEASURED', 'AIM', 'SHARE OF', 'P50 MS', 'P99 MS'], figures.map(cells))

const cells = ({ name, value, unit, target, ceiling, more }: Figure): string[] => [
  name,
  `${shown(value)} ${unit}${verdict(value, target)}`,
  target === undefined
    ? ''
    : 'atLeast' in target
      ? `>= ${shown(target.atLeast)}`
      : `<= ${shown(target.atMost)}`,
  ceiling === undefined ? '' : `${Math.round(ceiling.share * 100)} % of ${ceiling.name}`,
  more?.['p50Ms'] === undefined ? '' : more['p50Ms'].toFixed(2),
  more?.['p99Ms'] === undefined ? '' : more['p99Ms'].toFixed(2),
]

function verdict(value: number, target: Figure['target']): string {
  if (target === undefined) return ''
  const met = 'atLeast' in target ? value >= target.atLeast : value <= target.atMost
  return met ? '' : ' (missed)'
}

const shown = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2)

export const machineText = (machine: Machine): string =>
  `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}, ${machine.date}`
