/** Builds a replica from a copy where that is better than replaying the log, or the only way: asks one offer after another. */
import { TidemarkError } from '../core/errors.ts'
import { COPY_RECORDS_MIN } from '../core/limits.ts'
import type { Offset } from '../core/types.ts'
import type { Offsets } from '../log/log.ts'
import type { CopyOffer, Telemetry } from '../ports.ts'
import type { Store } from '../store/store.ts'
import { installCopy } from './install.ts'
import type { Installed, WantedReplica } from './install.ts'

/**
 * `must`: the log no longer holds what the replica needs next. `better`: it does, and a copy is faster.
 * @param next - the offset that the replica needs; undefined where there is none yet
 */
export function copyNeed(next: Offset | undefined, log: Offsets): 'must' | 'better' | 'none' {
  const from = next ?? 0
  if (from < log.start) return 'must'
  return log.end - from >= COPY_RECORDS_MIN ? 'better' : 'none'
}

export interface BootstrapOptions {
  readonly store: Store
  readonly wanted: WantedReplica
  readonly offers: AsyncIterable<CopyOffer>
  readonly telemetry: Telemetry
  readonly signal: AbortSignal
  readonly onProgress?: (entries: number, bytes: number) => void
}

/**
 * Installs the first copy that is good. Each one that is not is told as trouble and left.
 * @returns undefined where no offer was good: the replica is as it was. @throws CANCELLED by the signal, DISK_FULL
 */
export async function bootstrapReplica(options: BootstrapOptions): Promise<Installed | undefined> {
  const { store, wanted, offers, telemetry, signal } = options
  const { topic, partition } = wanted
  let failed = false
  for await (const offer of offers) {
    try {
      const copy = offer.open(signal)
      const { onProgress } = options
      const installed = await installCopy({ store, wanted, copy, signal, ...(onProgress && { onProgress }) })
      if (failed) telemetry.recovered(`${topic}/${partition} was built from the copy of ${offer.from}`)
      return installed
    } catch (caught) {
      if (signal.aborted)
        throw new TidemarkError('CANCELLED', 'the copy is no longer wanted', { cause: caught })
      const error = TidemarkError.from(caught)
      if (error.reason === 'DISK_FULL') throw error
      failed = true
      telemetry.trouble(
        `${topic}/${partition} could not be built from the copy of ${offer.from}: ${error.reason}: ${error.message}`,
      )
    }
  }
  return undefined
}

/** Lets so many at once do something; the others wait in the order in which they came. */
export function turns(most: number): <T>(action: () => Promise<T>) => Promise<T> {
  let running = 0
  const waiting: (() => void)[] = []
  return async (action) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      return await action()
    } finally {
      // Whoever is next has the turn of this one.
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }
}
