/** Where a node gets copies of replicas that it shall hold: from peers, those of its own zone first, else from snapshots. */
import type { Clock, CopyOffers } from '../../streams/ports.ts'
import { snapshotOffers } from '../../streams/snapshot/restore.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import { peerCopy } from '../snapshot-calls.ts'

export interface CopyOffersOptions {
  readonly cluster: string
  readonly zone: string
  readonly snapshots: SnapshotStore | undefined
  readonly clock: Clock
}

export const copyOffers = ({ cluster, zone, snapshots, clock }: CopyOffersOptions): CopyOffers =>
  async function* (topic, partition, peers) {
    const keyspace = topic.slice(cluster.length + 1)
    // A peer that leaves may be gone before the end of the copy.
    const rank = (peer: (typeof peers)[number]): number => (peer.draining ? 2 : peer.zone === zone ? 0 : 1)
    for (const { nodeId, address } of peers.toSorted((a, b) => rank(a) - rank(b)))
      yield {
        from: `node ${nodeId}`,
        open: (signal) => peerCopy({ address, keyspace, partition }, clock, signal),
      }
    if (snapshots !== undefined) yield* snapshotOffers(snapshots, cluster, topic, partition)
  }
