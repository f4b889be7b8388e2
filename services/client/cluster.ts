/** Keyspaces and the cluster. */
import {
  ReplicaState,
  type DescribeResponse,
  type ReplicaStatus,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type {
  CreateResponse,
  Keyspace as KeyspaceMessage,
  ListResponse,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { must } from '../../streams/core/assert.ts'
import { toBuffer } from './bytes.ts'
import { checkedWhole } from './checks.ts'
import type { ClusterDescription, Keyspaces, KeyspaceDescription, ReplicaDescription } from './index.ts'
import { ask, type Link } from './link.ts'

export const keyspacesOf = (link: Link): Keyspaces => ({
  async create(name, options = {}) {
    const request = {
      name,
      partitions: checkedWhole(options.partitions ?? 0, 'partitions'),
      partitionByPrefix: toBuffer(options.partitionByPrefix ?? '', 'partitionByPrefix'),
      valueBytesMax: checkedWhole(options.valueBytesMax ?? 0, 'valueBytesMax'),
      packingDisabled: options.packingDisabled ?? false,
      replication: 0,
      defaultTtlMs: 0,
    }
    // Creating twice is harmless, so it may be retried.
    const { keyspace } = await ask<CreateResponse>(link, options.deadlineMs, (metadata, call, done) =>
      link.keyspaces.create(request, metadata, call, done),
    )
    return describeKeyspace(must(keyspace, 'the keyspace in CreateResponse'))
  },
  async list(options = {}) {
    const { keyspaces } = await ask<ListResponse>(link, options.deadlineMs, (metadata, call, done) =>
      link.keyspaces.list({}, metadata, call, done),
    )
    return keyspaces.map(describeKeyspace)
  },
})

export async function describeCluster(
  link: Link,
  deadlineMs: number | undefined,
): Promise<ClusterDescription> {
  const { replicas, ...rest } = await ask<DescribeResponse>(link, deadlineMs, (metadata, call, done) =>
    link.cluster.describe({}, metadata, call, done),
  )
  link.token.met(rest.logIdentity)
  return { ...rest, replicas: replicas.map(describeReplica) }
}

const describeKeyspace = (keyspace: KeyspaceMessage): KeyspaceDescription => ({ ...keyspace })

const describeReplica = (replica: ReplicaStatus): ReplicaDescription => ({
  ...replica,
  state: STATES[replica.state] ?? 'stopped',
})

const STATES: Readonly<Partial<Record<ReplicaState, ReplicaDescription['state']>>> = {
  [ReplicaState.REPLICA_STATE_RESTORING]: 'restoring',
  [ReplicaState.REPLICA_STATE_LIVE]: 'live',
  [ReplicaState.REPLICA_STATE_STOPPED]: 'stopped',
}
