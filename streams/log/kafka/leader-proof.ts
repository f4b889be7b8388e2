/** Whether an end offset is proved: all replicas name the broker that gave it as leader, of the same epoch (read-index.ts has the why). */
import { TidemarkError } from '../../core/errors.ts'
import { offset, type Offset } from '../../core/types.ts'
import { describeCode } from './client.ts'
import type { TopicIdentity } from '../log.ts'
import type { Metadata, PartitionMetadata } from './metadata-protocol.ts'
import type { OffsetAnswer } from './protocol.ts'

/** Partitions by name, as one broker sees them. */
export type ClusterAsSeen = ReadonlyMap<string, PartitionMetadata>

export const nameOf = (topic: string, partition: number): string => `${topic}/${partition}`

/** What one broker says about each partition; topics of another identity than the expected one are left out. */
export const viewOf = (
  answer: Metadata | TidemarkError,
  identityOf: (topic: string) => TopicIdentity | undefined,
): ClusterAsSeen | TidemarkError =>
  answer instanceof TidemarkError
    ? answer
    : new Map(
        answer.topics
          .filter(({ topic, topicId }) => topicId === (identityOf(topic) ?? topicId))
          .flatMap(({ topic, partitions }) =>
            partitions.map((one) => [nameOf(topic, one.partition), one] as const),
          ),
      )

/**
 * The end offset if it is proved, otherwise why it is not. `leader` is what was known when the leader was asked, `named`
 * what each broker that was asked said.
 */
export function judgeEnd(
  name: string,
  leader: PartitionMetadata | undefined,
  answer: OffsetAnswer | undefined,
  named: ReadonlyMap<number, ClusterAsSeen | TidemarkError>,
): Offset | TidemarkError {
  if (leader === undefined) return unproved(name, 'it has no leader that is known')
  if (answer === undefined) return unproved(name, `its leader, broker ${leader.leader}, did not answer`)
  if (answer.errorCode !== 0) return unproved(name, describeCode(answer.errorCode))
  for (const nodeId of leader.replicas) {
    const said = named.get(nodeId)
    if (said === undefined || said instanceof TidemarkError) return unasked(name, nodeId)
    const one = said.get(name)
    if (one === undefined)
      return unproved(name, `broker ${nodeId} does not know it, or knows another topic of its name`)
    if (one.leader !== leader.leader || one.leaderEpoch !== leader.leaderEpoch)
      return unproved(
        name,
        `broker ${nodeId} names broker ${one.leader} as its leader, not broker ${leader.leader}`,
      )
    if (one.replicas.some((replica) => !leader.replicas.includes(replica)))
      return unproved(name, `broker ${nodeId} lists a replica that was not asked`)
  }
  return offset(answer.offset)
}

export const unasked = (name: string, nodeId: number): TidemarkError =>
  unproved(name, `broker ${nodeId}, a replica, cannot be asked who leads it`)

export const unproved = (name: string, why: string): TidemarkError =>
  new TidemarkError('LOG_UNAVAILABLE', `The end of partition ${name} cannot be proved: ${why}.`)
