/** Surveys for tests. */
import type { ClusterDescription, ReplicaDescription } from '../client/index.ts'
import type { Survey } from './survey.ts'

export const replicaOf = (fields: Partial<ReplicaDescription>): ReplicaDescription => ({
  keyspace: 'default',
  partition: 0,
  state: 'live',
  applied: 10,
  logEnd: 10,
  logEndAgeMs: 3,
  epoch: 1,
  leader: 'a',
  rows: 5,
  chainHash: 'abcdef0123456789',
  timeMs: 1_000_000,
  rejected: 0,
  historyStart: 0,
  stoppedReason: '',
  stoppedMessage: '',
  checkpoints: [],
  ...fields,
})

/** A cluster in which each node serves the replicas that it has; the first node leads all. */
export function surveyOf(held: Readonly<Record<string, readonly ReplicaDescription[]>>): Survey {
  const nodeIds = Object.keys(held)
  const places = new Map<string, { keyspace: string; partition: number; replicas: string[] }>()
  for (const [nodeId, replicas] of Object.entries(held)) {
    for (const { keyspace, partition } of replicas) {
      const name = `${keyspace}/${partition}`
      const place = places.get(name) ?? { keyspace, partition, replicas: [] }
      place.replicas.push(nodeId)
      places.set(name, place)
    }
  }
  const descriptionOf = (nodeId: string): ClusterDescription => ({
    cluster: 'test',
    logIdentity: 'log',
    nodeId,
    version: '1.2.3',
    logKind: 'kafka',
    format: 1,
    replicas: held[nodeId] ?? [],
  })
  return {
    cluster: 'test',
    logKind: 'kafka',
    logIdentity: 'log',
    generation: 4,
    nodes: nodeIds.map((nodeId, index) => ({
      nodeId,
      address: `127.0.0.1:${7401 + index}`,
      zone: `zone-${nodeId}`,
      draining: false,
      description: descriptionOf(nodeId),
      failure: undefined,
    })),
    placements: [...places.values()].map((place) => ({ ...place, leader: nodeIds[0], warming: [] })),
  }
}
