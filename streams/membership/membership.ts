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
   * of nothing. Replays the last value. True again only after a map that was made with this member in it.
   */
  readonly connected$: Observable<boolean>
  /**
   * What this node says of itself from now on; the first call joins. A change that can alter the map (`changesMap`: a topic, a
   * replica that became live or stopped, a leadership given up, draining, a handover) leads to a new map soon; anything else is told
   * with the next change. A node that a map names as leader says so (`leading`) before its subscriber returns: the map after the next
   * one is made from that.
   */
  announce(state: MemberState): void
  /** Leaves: the others get a map without this node. */
  close(): Promise<void>
}
