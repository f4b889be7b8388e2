/** The arguments of `npm run sim`. */
import { parseArgs } from 'node:util'

export interface Arguments {
  readonly from: number
  /** Infinity: until the minutes are over. */
  readonly to: number
  readonly minutes: number
  readonly workers: number
  /** Of one seed: prints everything that happened. */
  readonly trace: boolean
  /** Of one seed: only these faults, by number. */
  readonly faults: ReadonlySet<number> | undefined
  readonly calls: number | undefined
  /** Stops at the first seed that fails. */
  readonly first: boolean
  /** Least share of pairs of operation and fault that must have met, of a hundred. */
  readonly coverage: number
}

export const USAGE = `usage: npm run sim -- [--seed N | --seeds A..B | --minutes M] [--workers N] [--coverage PERCENT] [--first]
                      with --seed: [--trace] [--faults none|N,N,…] [--calls N]`

/** @throws Error that says what is wrong */
export function readArguments(given: readonly string[]): Arguments {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...given],
    options: {
      seed: text,
      seeds: text,
      minutes: text,
      workers: text,
      faults: text,
      calls: text,
      coverage: text,
      trace: { type: 'boolean' },
      first: { type: 'boolean' },
    },
  })
  const { seed, seeds, minutes, faults } = values
  const [first, last] = seeds === undefined ? [seed, seed] : seeds.split('..')
  const from = first === undefined ? 1 : whole('seed', first)
  const to = last === undefined ? (minutes === undefined ? from + 99 : Infinity) : whole('seed', last)
  if (to < from) throw new Error(`there are no seeds from ${from} to ${to}`)
  return {
    from,
    to,
    minutes: minutes === undefined ? Infinity : Number(minutes),
    workers: whole('workers', values.workers ?? '1'),
    trace: values.trace === true,
    first: values.first === true,
    faults:
      faults === undefined
        ? undefined
        : new Set(faults === 'none' ? [] : faults.split(',').map((one) => whole('faults', one))),
    calls: values.calls === undefined ? undefined : whole('calls', values.calls),
    coverage: whole('coverage', values.coverage ?? '0'),
  }
}

function whole(name: string, text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 0) throw new Error(`--${name} is "${text}", not a whole number`)
  return number
}
