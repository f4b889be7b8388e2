/** The same random calls on both sides, by seed, and the smallest ones whose outcomes differ. */
import fc from 'fast-check'

export interface Compared {
  readonly seed: number
  readonly calls: number
  /** Undefined: the outcomes are equal. */
  readonly difference: string | undefined
}

/** @param trace - makes the calls on both sides, and says where their outcomes part */
export async function compare<Call>(
  seed: number,
  calls: fc.Arbitrary<readonly Call[]>,
  trace: (calls: readonly Call[]) => Promise<string | undefined>,
): Promise<Compared> {
  let made = 0
  const found = await fc.check(
    fc.asyncProperty(fc.noBias(calls), async (some) => {
      made ||= some.length
      const difference = await trace(some)
      if (difference !== undefined) throw new Error(difference)
    }),
    { seed, numRuns: 1, interruptAfterTimeLimit: SHRINK_MS, markInterruptAsFailure: false },
  )
  if (!found.failed) return { seed, calls: made, difference: undefined }
  const why = found.errorInstance instanceof Error ? found.errorInstance.message : String(found.errorInstance)
  return { seed, calls: made, difference: `${why}\nwith ${JSON.stringify(found.counterexample)}` }
}

/** Milliseconds in which a difference is made small. */
const SHRINK_MS = 60_000

/** Where two lists of outcomes part. */
export function parting(
  calls: readonly unknown[],
  simulated: readonly string[],
  real: readonly string[],
): string | undefined {
  for (let at = 0; at < Math.max(simulated.length, real.length); at++)
    if (simulated[at] !== real[at])
      return [
        `call ${at}: ${JSON.stringify(calls[at])}`,
        `  simulated  ${simulated[at]}`,
        `  real       ${real[at]}`,
      ].join('\n')
  return undefined
}
