/** How a replica stands, in the words of the face. */
import { TidemarkError } from '../core/errors.ts'
import type { Offset } from '../core/types.ts'
import type { ReplicaStatus } from '../face.ts'
import type { Replica } from '../replica/replica.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export function statusOf(replica: Replica): ReplicaStatus {
  const { partition, next, epoch, leader, rows, chain, time, rejected, historyStart } = replica.state
  return {
    keyspace: replica.keyspace,
    partition,
    state: replica.status,
    next,
    logEnd: Math.max(replica.logEnd, next) as Offset,
    logEndAgeMs: replica.logEndAgeMs,
    epoch,
    leader,
    rows,
    chainHash: hex(chain),
    time,
    rejected,
    historyStart,
    stopped: replica.stopped,
    checkpoints: replica.state.checkpoints.map(({ at, chain: link }) => ({ at, chainHash: hex(link) })),
  }
}

/** What a read is told whose deadline passed before the replica was fresh enough. */
export const lateRead = (replica: Replica): TidemarkError => {
  const { partition, next } = replica.state
  const { status, logEnd } = replica
  return status === 'restoring'
    ? new TidemarkError(
        'PARTITION_RESTORING',
        `partition ${partition} of keyspace ${replica.keyspace} is being restored: ${next} of ${logEnd}`,
      )
    : new TidemarkError(
        'DEADLINE_EXCEEDED',
        `the deadline passed before partition ${partition} of keyspace ${replica.keyspace} was fresh enough: it has applied ${next}, the log ends at ${logEnd}`,
      )
}
