/**
 * Where replicas belong: rendezvous hashing ("highest random weight", Thaler & Ravishankar, "Using name-based mappings to increase hit
 * rates", 1998). Each node has a weight for each partition; those with the highest hold it. Invariants, each a property test:
 *
 * - Depends on nothing but topic, partition and the nodes' ids and zones: not on order, history, or other partitions.
 * - A node that joins takes at most one replica of a partition from one other node; one that leaves gives each of its own to one other.
 *   Nothing else moves, with zones too.
 * - No two replicas in one zone while another zone has a node without one.
 *
 * The weight is FROZEN: nodes of two versions that planned by turns would push replicas to and fro. Vectors stand in the test.
 */
import { murmur2 } from './partitioner.ts'

export interface Place {
  readonly nodeId: string
  /** Nodes of the empty zone count as one zone. */
  readonly zone: string
}

/** murmur2, Kafka's as for keys, over "topic/partition/nodeId" in UTF-8. FROZEN. @returns an unsigned 32-bit number */
export const weightOf = (topic: string, partition: number, nodeId: string): number =>
  murmur2(Buffer.from(`${topic}/${partition}/${nodeId}`)) >>> 0

/** Ids of the nodes where the partition belongs, at most `replication`, the one with the highest claim first. */
export function targetsOf(
  topic: string,
  partition: number,
  nodes: readonly Place[],
  replication: number,
): string[] {
  const ranked = nodes
    .map(({ nodeId, zone }) => ({ nodeId, zone, weight: weightOf(topic, partition, nodeId), rank: 0 }))
    .sort(byWeight)
  // The best of each zone come before the second best of any: that spreads, and it moves no more than it must.
  const inZone = new Map<string, number>()
  for (const node of ranked) {
    node.rank = inZone.get(node.zone) ?? 0
    inZone.set(node.zone, node.rank + 1)
  }
  return ranked
    .sort((a, b) => a.rank - b.rank || byWeight(a, b))
    .slice(0, replication)
    .map(({ nodeId }) => nodeId)
}

interface Weighed {
  readonly nodeId: string
  readonly weight: number
}

const byWeight = (a: Weighed, b: Weighed): number => b.weight - a.weight || (a.nodeId < b.nodeId ? -1 : 1)
