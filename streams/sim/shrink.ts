/**
 * From a run that fails to a smaller one that still does: faults are left out as long as it fails without them (delta debugging, Zeller
 * 2002), then clients stop as early as they can. Everything else is as the seed has it.
 */
import type { RunResult, SimulationOptions } from './simulation.ts'

/** Runs that shrinking may take. */
const RUNS_MAX = 200

export interface Shrunk<Run> {
  readonly options: SimulationOptions
  /** With its trace. */
  readonly result: Run
}

type Failing = Pick<RunResult, 'seed' | 'problems' | 'faults'>

/** @param run - how a run is made */
export async function shrink<Run extends Failing>(
  failed: Run,
  run: (options: SimulationOptions) => Promise<Run>,
): Promise<Shrunk<Run>> {
  const { seed } = failed
  let runs = 0
  let best: Shrunk<Run> = { options: { seed }, result: failed }

  /** Keeps it if it still fails. */
  const fails = async (options: SimulationOptions): Promise<boolean> => {
    if (runs >= RUNS_MAX) return false
    runs += 1
    const result = await run({ ...options, seed })
    if (result.problems.length === 0) return false
    best = { options, result }
    return true
  }

  let faults = failed.faults.map((_, at) => at)
  for (let size = Math.ceil(faults.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < faults.length;) {
      const left = [...faults.slice(0, at), ...faults.slice(at + size)]
      if (await fails({ seed, faults: new Set(left) })) faults = left
      else at += size
    }
  let least = 0
  let most = 100
  while (least + 1 < most && runs < RUNS_MAX) {
    const calls = (least + most) >> 1
    if (await fails({ ...best.options, calls })) most = calls
    else least = calls
  }
  const result = await run({ ...best.options, keepTrace: true })
  return { options: best.options, result }
}

/** What runs it again. */
export function command({ seed, faults, calls }: SimulationOptions): string {
  const more = [
    ...(faults === undefined ? [] : [` --faults ${faults.size === 0 ? 'none' : [...faults].join()}`]),
    ...(calls === undefined ? [] : [` --calls ${calls}`]),
  ]
  return `npm run sim -- --seed ${seed}${more.join('')}`
}
