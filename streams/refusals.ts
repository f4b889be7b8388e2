/** Why a keyspace does not answer for a partition here. */
import { TidemarkError } from './core/errors.ts'
import type { Partition } from './core/types.ts'
import type { Replica } from './replica/replica.ts'

/** @throws why it does not answer */
export function serving(replica: Replica): Replica {
  if (replica.refused !== undefined) throw replica.refused
  return replica
}

export const elsewhere = (keyspace: string, partition: Partition): TidemarkError =>
  new TidemarkError(
    'PARTITION_ELSEWHERE',
    `this node has no replica of partition ${partition} of keyspace ${keyspace}: go to a node that the map of the cluster names`,
    { metadata: { keyspace, partition: String(partition) } },
  )

/**
 * Nobody has read the settings of the keyspace from the log: a guess could read another partition and find nothing there.
 * Where all replicas here have stopped (the topic was created again, say), no retry will find them read.
 */
export function unread(keyspace: string, replicas: Iterable<Replica>): TidemarkError {
  const refusals = [...replicas].map(({ refused }) => refused)
  const [stopped] = refusals
  if (stopped?.reason === 'PARTITION_STOPPED' && !refusals.includes(undefined)) return stopped
  return new TidemarkError(
    'PARTITION_RESTORING',
    `the node has not read the settings of keyspace ${keyspace} yet`,
  )
}
