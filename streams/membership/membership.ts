/**
 * The Membership port: elects a leader for each partition and publishes the map of the cluster. Leadership coordinates (ticks,
 * marks, snapshots); that the data is right never depends on it, because a leader's records carry its epoch and apply ignores
 * older ones. Implementations: `single` (one node leads everything); on Kafka a consumer group will elect.
 */
import type { Observable } from 'rxjs'
import type { Partition } from '../core/types.ts'

export interface Leadership {
  readonly topic: string
  readonly partition: Partition
}

export interface Membership {
  /** The partitions that this node should lead, whole and anew at each change; replays the last value to a new subscriber. */
  readonly leads$: Observable<readonly Leadership[]>
  /** Tells which partitions exist here; a member leads none that it did not offer. */
  offer(partitions: readonly Leadership[]): void
  /** Gives up all leaderships and leaves. */
  close(): Promise<void>
}
