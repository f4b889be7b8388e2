/** The map and keyspaces, from messages to what callers see. */
import type { ClusterMap as MapMessage } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { Keyspace as KeyspaceMessage } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import type { ClusterMap, KeyspaceDescription } from './cluster-types.ts'

export const toKeyspaceDescription = (keyspace: KeyspaceMessage): KeyspaceDescription => ({ ...keyspace })

/** A map that is missing is an empty one. */
export const toClusterMap = (map: MapMessage | undefined): ClusterMap => ({
  generation: map?.generation ?? 0,
  nodes: (map?.nodes ?? []).map((node) => ({ ...node })),
  keyspaces: (map?.keyspaces ?? []).flatMap(({ keyspace, placements }) =>
    keyspace === undefined
      ? []
      : { ...toKeyspaceDescription(keyspace), placements: placements.map((placement) => ({ ...placement })) },
  ),
})
