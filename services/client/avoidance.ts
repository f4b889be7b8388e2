/** What a failure tells about where to ask next. */
import type { Reason } from '../../streams/core/errors.ts'

/**
 * `node`: pass over the node. `partition`: its replica of this partition cannot do it, another may. `none`: another node would
 * answer the same, or (OVERLOADED) must not get what this one sheds.
 */
export type News = 'node' | 'partition' | 'none'

const NEWS: Readonly<Partial<Record<Reason, News>>> = {
  NODE_DRAINING: 'node',
  PARTITION_ELSEWHERE: 'partition',
  PARTITION_RESTORING: 'partition',
  PARTITION_STOPPED: 'partition',
  // The node could not reach the one that it passed the request on to.
  NODE_UNREACHABLE: 'partition',
  // It lost its brokers; another node may reach them.
  LOG_UNAVAILABLE: 'partition',
  WRITE_UNKNOWN: 'partition',
  DISK_FULL: 'partition',
  // The map has the keyspace, the node does not know it yet.
  KEYSPACE_NOT_FOUND: 'partition',
}

export const newsOf = (reason: Reason): News => NEWS[reason] ?? 'none'
