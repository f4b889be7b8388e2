/**
 * How far the log may be trimmed: every kept snapshot that reads back good must still find its tail in the log. What is trimmed is gone
 * for ever, so each partition is looked at once more right before.
 */
import { TidemarkError } from '../core/errors.ts'
import type { Offset, Partition } from '../core/types.ts'
import type { Log } from '../log/log.ts'
import type { Manifest } from './manifest.ts'

export interface TrimPoint {
  readonly topic: string
  readonly topicIdentity: string
  readonly partition: Partition
  /** Records before it are in every one of the snapshots. */
  readonly before: Offset
}

/**
 * Only partitions that the newest snapshot covers, and of each the least offset of all snapshots that have it.
 * @param verified - kept snapshots that were read back whole, the newest first
 */
export function trimPoints(verified: readonly Manifest[]): readonly TrimPoint[] {
  const [newest] = verified
  return (newest?.partitions ?? []).map(({ topic, topicIdentity, partition }) => ({
    topic,
    topicIdentity,
    partition,
    before: Math.min(
      ...verified.flatMap((manifest) =>
        manifest.partitions
          .filter(
            (one) =>
              manifest.logIdentity === newest?.logIdentity &&
              one.topic === topic &&
              one.topicIdentity === topicIdentity &&
              one.partition === partition,
          )
          .map(({ next }) => next),
      ),
    ) as Offset,
  }))
}

/** Where the log began, and where it begins after. */
export interface Trimmed {
  readonly start: Offset
  readonly trimmedTo: Offset
}

/**
 * @param applied - how far the node's own replica is; undefined where it has none
 * @param dryRun - looks, and trims nothing
 * @throws TRIM_REFUSED, LOG_UNAVAILABLE
 */
export async function trimPartition(
  log: Log,
  { topic, topicIdentity, partition, before }: TrimPoint,
  applied: Offset | undefined,
  dryRun: boolean,
): Promise<Trimmed> {
  const refuse = (why: string): never => {
    throw new TidemarkError('TRIM_REFUSED', `${topic}/${partition} is not trimmed to ${before}: ${why}`, {
      metadata: { topic, partition: String(partition), before: String(before) },
    })
  }
  const found = await log.describeTopic(topic)
  if (found?.identity !== topicIdentity)
    return refuse(
      `the snapshot is of topic ${topicIdentity}, ${found === undefined ? 'there is none' : `this is ${found.identity}`}`,
    )
  if (partition >= found.partitions) return refuse(`the topic has ${found.partitions} partitions`)
  const { start, end } = await log.offsets(topic, partition)
  if (before > end) return refuse(`the log ends at ${end}`)
  if (applied !== undefined && applied < before)
    return refuse(`the replica of this node has applied ${applied}`)
  if (before <= start) return { start, trimmedTo: start }
  if (!dryRun) await log.trim(topic, partition, before)
  return { start, trimmedTo: before }
}
