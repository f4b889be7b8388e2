/**
 * The Membership port: who is in the cluster, who holds what, who leads. Leadership coordinates (ticks, marks, snapshots); that
 * the data is right never depends on it, because a leader's records carry its epoch and apply ignores older ones.
 * Implementations: `single` (one node holds and leads everything), `kafka` (a consumer group), `simulated` (in memory, for tests).
 */
import type { Observable } from 'rxjs'
import type { ClusterMap, MemberState } from '../core/cluster-map.ts'

export interface Membership {
  /** The newest map, whole; replays the last one to a new subscriber, never EMPTY_MAP. Completes after close(). */
  readonly map$: Observable<ClusterMap>
  /**
   * False while this member may have been taken for dead without knowing it: it goes on serving what it holds, and acts as leader
   * of nothing. Replays the last value.
   */
  readonly connected$: Observable<boolean>
  /**
   * What this node says of itself from now on; the first call joins. A change that can alter the map (a topic, a replica that
   * became live or stopped, a leadership taken or given up, draining, a handover) leads to a new map soon; mere progress of `applied` is told with the
   * next change.
   */
  announce(state: MemberState): void
  /** Leaves: the others get a map without this node. */
  close(): Promise<void>
}
