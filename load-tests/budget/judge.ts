/** What a run came to against what was committed. */

/** The figure of each workload: the ceiling's processor time for one operation over the node's; 1 would be a node that costs nothing more. */
export type Ratios = Readonly<Record<string, number>>

/** A ratio may fall by so much of the committed one: less than what a real regression takes, more than what a busy machine does. */
export const FALL_MAX = 0.2

export interface Judged {
  readonly name: string
  readonly measured: number
  readonly committed: number | undefined
  readonly verdict: 'good' | 'too dear' | 'not committed' | 'renew'
}

export function judge(measured: Ratios, committed: Ratios): Judged[] {
  return Object.entries(measured).map(([name, ratio]) => {
    const known = committed[name]
    const verdict =
      known === undefined
        ? 'not committed'
        : ratio < known * (1 - FALL_MAX)
          ? 'too dear'
          : ratio > known * (1 + FALL_MAX)
            ? 'renew'
            : 'good'
    return { name, measured: ratio, committed: known, verdict }
  })
}

/** Microseconds of processor time for one operation, of all rounds. */
export interface Costs {
  readonly ceiling: readonly number[]
  readonly node: readonly number[]
}

/** Of each side its cheapest round: what it costs where nothing disturbs it. */
export const ratioOf = ({ ceiling, node }: Costs): number => Math.min(...ceiling) / Math.min(...node)
