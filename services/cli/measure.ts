/**
 * Calls one operation over and over, and says how often and how long it took. Closed: so many callers, each with one call on its way.
 * Open (`perSecond`): calls begin at an even rate whatever the answers do, and each is timed from when it was due, so that a server
 * that stands still for a moment is seen in the percentiles of all calls that it kept waiting. Times go into an HDR histogram.
 */
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Plan {
  readonly name: string
  /** Milliseconds after which no further call is started. */
  readonly ms: number
  /** Callers that each await one call after the other; of an open load, the most calls that are on their way at once. */
  readonly loops: number
  /** Calls that become due in a second. Default: each caller begins the next one when it has its answer. */
  readonly perSecond?: number | undefined
  /** Operations that one call counts for. Default: 1. */
  readonly weight?: number
  /** At most so many calls. Default: no bound. */
  readonly calls?: number
  /** Hears how many operations are done and, where the end is known, what share of the whole that is. */
  readonly onProgress?: (done: number, share: number) => void
  /** Hears what failed; throws to end the run. Default: the first failure ends it. */
  readonly onFailure?: (error: unknown) => void
}

export interface Measured {
  readonly name: string
  /** That succeeded. */
  readonly operations: number
  readonly failed: number
  readonly seconds: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
  /** Processor time that this process took meanwhile, for one operation. */
  readonly clientMicros: number
}

export async function measure(plan: Plan, call: () => Promise<unknown>): Promise<Measured> {
  const { name, ms, loops, perSecond, weight = 1, calls = Infinity } = plan
  const latency = createHistogram()
  const cpu = process.cpuUsage()
  const began = performance.now()
  const until = began + ms
  let [started, done, failed] = [0, 0, 0]

  /** @param due - when it should have begun */
  const one = async (due: number): Promise<number> => {
    started += 1
    const worked = await attempt(call, plan)
    const now = performance.now()
    if (worked) {
      done += 1
      latency.record(Math.max(1, Math.round((now - due) * 1e6)))
    } else failed += 1
    plan.onProgress?.(done * weight, Math.min(1, Math.max((now - began) / ms, done / calls)))
    return now
  }
  const closedLoop = async (): Promise<void> => {
    for (let before = began; before < until && started < calls;) before = await one(before)
  }
  if (perSecond === undefined) await Promise.all(Array.from({ length: loops }, closedLoop))
  else {
    const due = (): number | undefined => {
      const at = began + (started * 1000) / perSecond
      return at < until && performance.now() < until && started < calls ? at : undefined
    }
    await openArrival(due, loops, one)
  }
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - began) / 1000
  const operations = done * weight
  const at = (percent: number): number => latency.percentile(percent) / 1e6
  return {
    name,
    operations,
    failed,
    seconds,
    perSecond: operations / seconds,
    p50Ms: at(50),
    p90Ms: at(90),
    p99Ms: at(99),
    p999Ms: at(99.9),
    maxMs: done === 0 ? 0 : latency.max / 1e6,
    clientMicros: (user + system) / Math.max(1, operations),
  }
}

async function attempt(call: () => Promise<unknown>, { onFailure }: Plan): Promise<boolean> {
  if (onFailure === undefined) {
    await call()
    return true
  }
  try {
    await call()
    return true
  } catch (error) {
    onFailure(error)
    return false
  }
}

/** @param due - when the next call is to begin; undefined: there is none @param most - calls on their way at once */
async function openArrival(
  due: () => number | undefined,
  most: number,
  call: (due: number) => Promise<unknown>,
): Promise<void> {
  let running = 0
  let failure: { readonly error: unknown } | undefined
  let wake = (): void => undefined
  const oneEnded = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
    })
  const begin = async (at: number): Promise<void> => {
    running += 1
    try {
      await call(at)
    } catch (error) {
      failure ??= { error }
    }
    running -= 1
    wake()
  }
  for (let at = due(); at !== undefined && failure === undefined; at = due()) {
    const wait = at - performance.now()
    if (wait > 0) await sleep(wait)
    else if (running === most) await oneEnded()
    else void begin(at)
  }
  while (running > 0) await oneEnded()
  if (failure !== undefined) throw failure.error
}
