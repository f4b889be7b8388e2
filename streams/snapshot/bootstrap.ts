/**
 * Builds a replica that a node does not have from a copy, where that is better than replaying the log, or the only way: asks one
 * offer after another.
 */
import { TidemarkError } from '../core/errors.ts'
import { COPY_RECORDS_MIN } from '../core/limits.ts'
import type { Offsets } from '../log/log.ts'
import type { Bootstrap } from '../node/open-replica.ts'
import type { CopyOffer, CopyOffers, Telemetry } from '../ports.ts'
import type { Store } from '../store/store.ts'
import { installCopy } from './install.ts'
import type { Installed, WantedReplica } from './install.ts'

export interface BootstrapParts {
  readonly cluster: string
  readonly logIdentity: string
  readonly store: Store
  readonly offers: CopyOffers
  readonly telemetry: Telemetry
  /** As in install.ts. */
  readonly rest?: (() => Promise<void>) | undefined
}

/** Resolves with the replica in the store, or without having done anything where the log is short or no copy is good. */
export const bootstrapFrom =
  ({ cluster, logIdentity, store, offers, telemetry, rest }: BootstrapParts): Bootstrap =>
  async ({ topic, partition, offsets, sources, signal }) => {
    if (!wantsCopy(offsets)) return
    const wanted = {
      cluster,
      logIdentity,
      topic: topic.topic,
      topicIdentity: topic.identity,
      partition,
      partitions: topic.partitions,
      notBefore: offsets.start,
    }
    await bootstrapReplica({
      store,
      wanted,
      offers: offers(topic.topic, partition, sources),
      telemetry,
      signal,
      rest,
    })
  }

/** The log no longer begins at its first record, or it is long: a short one is replayed before a peer has answered. */
export const wantsCopy = ({ start, end }: Offsets): boolean => start > 0 || end - start >= COPY_RECORDS_MIN

export interface BootstrapOptions {
  readonly store: Store
  readonly wanted: WantedReplica
  readonly offers: AsyncIterable<CopyOffer>
  readonly telemetry: Telemetry
  readonly signal: AbortSignal
  readonly onProgress?: (entries: number, bytes: number) => void
  readonly rest?: (() => Promise<void>) | undefined
}

/**
 * Installs the first copy that is good. Each one that is not is told as trouble and left.
 * @returns undefined where no offer was good: the replica is as it was. @throws CANCELLED by the signal, DISK_FULL
 */
export async function bootstrapReplica(options: BootstrapOptions): Promise<Installed | undefined> {
  const { store, wanted, offers, telemetry, signal, rest } = options
  const { topic, partition } = wanted
  const { counts, tallies, levels } = telemetry.meters
  let failed = false
  for await (const offer of offers) {
    try {
      const copy = offer.open(signal)
      levels['restore.copies.running'] += 1
      const onProgress = (entries: number, bytes: number): void => {
        counts['restore.copy.bytes'] += bytes
        options.onProgress?.(entries, bytes)
      }
      const installed = await installCopy({ store, wanted, copy, signal, onProgress, rest }).finally(() => {
        levels['restore.copies.running'] -= 1
      })
      tallies['restore.copies'].add('installed')
      if (failed) telemetry.recovered(`${topic}/${partition} was built from the copy of ${offer.from}`)
      return installed
    } catch (caught) {
      if (signal.aborted)
        throw new TidemarkError('CANCELLED', 'the copy is no longer wanted', { cause: caught })
      const error = TidemarkError.from(caught)
      if (error.reason === 'DISK_FULL') throw error
      failed = true
      tallies['restore.copies'].add('failed')
      telemetry.trouble(
        `${topic}/${partition} could not be built from the copy of ${offer.from}: ${error.reason}: ${error.message}`,
      )
    }
  }
  return undefined
}
