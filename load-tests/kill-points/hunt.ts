/**
 * Kills a real process at every kill point of the code, so many times each, and verifies all after each kill. First each scenario is
 * traced: it tells which kill points it comes to, and how often. Then each point is tried in the scenario that comes to it first, at
 * another of its times with each hit.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { must } from '../../streams/core/assert.ts'
import { Prng } from '../../streams/core/testing/prng.ts'
import { ready, type Life } from './life.ts'
import type { Scenario } from './scenarios.ts'
import { Stage, type Outside } from './stage.ts'

export interface World {
  readonly kind: string
  readonly scenarios: readonly Scenario[]
  /** For one stage. */
  outside(): Promise<Outside>
}

const openStage = async ({ outside }: World, { partitions = 2 }: Scenario): Promise<Stage> =>
  Stage.open({ ...(await outside()), partitions })

/** A kill point, and where it is come to. */
export interface Target {
  readonly point: string
  readonly world: World
  readonly scenario: Scenario
  /** How often the scenario comes to it, at least. */
  readonly times: number
}

export interface Outcome {
  readonly point: string
  readonly log: string
  readonly scenario: string
  readonly hits: number
  readonly faults: readonly string[]
  readonly replicasCompared: number
  readonly acknowledged: number
  readonly seconds: number
}

/** Each point with the scenarios that come to it, the cheapest first. */
export async function targetsOf(
  worlds: readonly World[],
  told: (sentence: string) => void,
): Promise<ReadonlyMap<string, readonly Target[]>> {
  const targets = new Map<string, Target[]>()
  for (const world of worlds)
    for (const scenario of world.scenarios) {
      told(`tracing ${world.kind}: ${scenario.name}`)
      const stage = await openStage(world, scenario)
      try {
        // What only a first start comes to is a scenario of its own.
        if (scenario.fresh !== true) await stage.peace(() => Promise.resolve())
        const { places, faults } = await once(stage, scenario, 'trace')
        if (faults.length > 0)
          throw new Error(`${scenario.name} is faulty without a kill: ${faults.join('; ')}`)
        for (const [point, times] of places)
          targets.set(point, [...(targets.get(point) ?? []), { point, world, scenario, times }])
      } finally {
        await stage.close()
      }
    }
  return targets
}

interface Tried {
  readonly killed: boolean
  readonly places: ReadonlyMap<string, number>
  readonly faults: readonly string[]
}

/** One life that a failpoint may end, between what comes before it and what proves that all is well. */
async function once(stage: Stage, scenario: Scenario, failpoint: string): Promise<Tried> {
  await scenario.prepare?.(stage)
  const life = scenario.begin?.(stage, failpoint) ?? stage.serve(failpoint)
  const over = (): boolean => life.over
  const faults: string[] = []
  try {
    if (scenario.begin !== undefined) await life.ended
    else if (await ready(life, stage.httpAddress)) faults.push(...(await stage.faultsOfLife(over)))
    if (scenario.begin !== undefined || !life.over) await acted(stage, scenario, life)
  } finally {
    // On its way out it comes to some of them.
    if (!life.over) await life.stop('SIGTERM')
  }
  const killed = await life.ended
  faults.push(...(await stage.faultsOfData()))
  return { killed, places: life.places, faults: faults.map((fault) => `${failpoint}: ${fault}`) }
}

/** Milliseconds that a scenario has. */
const ACT_MS_MAX = 60_000
const DEATH_MS = 2000

/** What a scenario throws counts only where nothing was killed under it. */
async function acted(stage: Stage, { begin, act }: Scenario, life: Life): Promise<void> {
  if (act === undefined) return
  const acting = act(stage, life)
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => {
      reject(new Error(`the scenario did not come to its end:\n${life.output()}`))
    }, ACT_MS_MAX).unref()
  })
  // Where the process is dead, all that was on its way fails at once.
  await Promise.race([acting, late]).catch(async (caught: unknown) => {
    // A connection ends a moment before the process is known to be dead.
    await Promise.race([life.ended, sleep(DEATH_MS)])
    if (begin !== undefined || !life.over) throw caught
  })
}

/** Tries at lower times when a life never came to the one that was asked for. */
const TRIES_MAX = 6

/** In another scenario where one did not come to the point as its trace promised: some come to it by chance. */
export async function hunt(targets: readonly Target[], hits: number, seed: number): Promise<Outcome> {
  const [target, ...others] = targets
  const outcome = await huntIn(must(target, 'a scenario'), hits, seed)
  return outcome.hits === 0 && others.length > 0 ? hunt(others, hits, seed) : outcome
}

/** Kills at one point until it was hit so often; then a life in peace must find all well. */
async function huntIn(target: Target, hits: number, seed: number): Promise<Outcome> {
  const { point, world, scenario, times } = target
  const random = new Prng(seed)
  const began = performance.now()
  const faults: string[] = []
  const stage = await openStage(world, scenario)
  let hit = 0
  try {
    for (let misses = 0; hit < hits && misses < TRIES_MAX && faults.length === 0;) {
      const time = Math.max(1, (1 + random.below(times)) >> misses)
      const tried = await once(stage, scenario, `${point}:${time}`)
      faults.push(...tried.faults)
      if (tried.killed) [hit, misses] = [hit + 1, 0]
      else misses += 1
    }
    if (hit < hits && faults.length === 0) faults.push(`it was come to ${hit} times only, of ${hits}`)
    await stage.peace(async (life) => {
      faults.push(...(await stage.faultsOfLife(() => life.over)))
    })
    faults.push(...(await stage.faultsOfData()))
  } catch (caught) {
    faults.push(caught instanceof Error ? (caught.stack ?? caught.message) : String(caught))
  } finally {
    await stage.close()
  }
  return {
    point,
    log: world.kind,
    scenario: scenario.name,
    hits: hit,
    faults,
    replicasCompared: stage.compared,
    acknowledged: stage.ledger.acknowledged,
    seconds: (performance.now() - began) / 1000,
  }
}
