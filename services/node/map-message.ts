/** The map of the cluster from the words of streams to those of the proto. */
import type { ClusterMap as ClusterMapMessage } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { ClusterMap, MapTopic } from '../../streams/core/cluster-map.ts'
import { asBuffer } from '../../streams/core/bytes.ts'

/** @param cluster - its name: the part of a topic's name before the keyspace's */
export const mapMessage = (cluster: string, map: ClusterMap): ClusterMapMessage => ({
  generation: map.generation,
  nodes: map.nodes.map(({ nodeId, incarnation, address, zone, draining }) => ({
    nodeId,
    incarnation,
    address,
    zone,
    draining,
  })),
  keyspaces: map.topics.flatMap((topic) => keyspaceMessage(cluster, topic)),
})

/** Nothing while its settings are unknown: whoever routes by it could only guess the partition of a key. */
function keyspaceMessage(cluster: string, topic: MapTopic): ClusterMapMessage['keyspaces'] {
  const prefix = `${cluster}.`
  const { settings } = topic
  if (settings === undefined || !topic.topic.startsWith(prefix)) return []
  const { partitionBy, valueBytesMax, packing, defaultTtlMs } = settings
  return [
    {
      keyspace: {
        name: topic.topic.slice(prefix.length),
        topic: topic.topic,
        partitions: topic.partitions,
        partitionByPrefix: partitionBy.kind === 'prefix' ? asBuffer(partitionBy.separator) : Buffer.alloc(0),
        valueBytesMax,
        packingDisabled: !packing,
        replication: topic.replication,
        defaultTtlMs,
      },
      placements: topic.placements.map(({ leader = '', replicas, warming }) => ({
        leader,
        replicas: [...replicas],
        warming: [...warming],
      })),
    },
  ]
}
