/** ClusterService: what the node sees, moving a leadership, and draining the node. */
import {
  ClusterServiceService as methods,
  type DescribeRequest,
  type DescribeResponse,
  type DrainRequest,
  type DrainResponse,
  type ReplicaStatus as ReplicaStatusMessage,
  type TransferLeadershipRequest,
  type TransferLeadershipResponse,
  ReplicaState as ReplicaStateNumber,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { ClusterMap } from '../../streams/core/cluster-map.ts'
import { partition } from '../../streams/core/types.ts'
import type { ReplicaState, ReplicaStatus } from '../../streams/face.ts'
import { type HandlersOf, type Serving, type Unary, nodeFor, unary } from './calls.ts'
import type { clusterDefinition } from './definitions.ts'
import { mapMessage } from './map-message.ts'
import { watchMap } from './map-stream.ts'
import { VERSION } from './package-root.ts'
import { keyspaceName } from './validate.ts'

const STATE_NUMBERS = {
  restoring: ReplicaStateNumber.REPLICA_STATE_RESTORING,
  live: ReplicaStateNumber.REPLICA_STATE_LIVE,
  stopped: ReplicaStateNumber.REPLICA_STATE_STOPPED,
} as const satisfies Record<ReplicaState, ReplicaStateNumber>

export function cluster(serving: Serving): HandlersOf<typeof clusterDefinition> {
  const { node } = serving
  let map: ClusterMap | undefined
  node.map$.subscribe((newest) => (map = newest))

  const describe: Unary<DescribeRequest, DescribeResponse> = async () => {
    const { cluster, logIdentity, nodeId, logKind, format } = node.description
    return {
      cluster,
      logIdentity,
      nodeId,
      version: VERSION,
      logKind,
      replicas: node.replicas().map(replicaMessage),
      format,
      map: map === undefined ? undefined : mapMessage(cluster, map),
    }
  }

  const transferLeadership: Unary<TransferLeadershipRequest, TransferLeadershipResponse> = async (
    request,
    call,
  ) => {
    const keyspace = keyspaceName(request.keyspace)
    const place = partition(request.partition)
    return { leader: await nodeFor(serving, call).transferLeadership(keyspace, place, request.toNode) }
  }

  const drain: Unary<DrainRequest, DrainResponse> = async () => {
    // After the answer: what begins to drain refuses to speak.
    setImmediate(serving.drain)
    return {}
  }

  return {
    describe: unary(serving, methods.describe, describe),
    watchMap: watchMap(serving),
    transferLeadership: unary(serving, methods.transferLeadership, transferLeadership),
    drain: unary(serving, methods.drain, drain),
  }
}

const replicaMessage = (replica: ReplicaStatus): ReplicaStatusMessage => ({
  keyspace: replica.keyspace,
  partition: replica.partition,
  state: STATE_NUMBERS[replica.state],
  applied: replica.next,
  logEnd: replica.logEnd,
  logEndAgeMs: replica.logEndAgeMs,
  epoch: replica.epoch,
  leader: replica.leader,
  rows: replica.rows,
  chainHash: replica.chainHash,
  timeMs: replica.time,
  rejected: replica.rejected,
  historyStart: replica.historyStart,
  stoppedReason: replica.stopped?.reason ?? '',
  stoppedMessage: replica.stopped?.message ?? '',
  checkpoints: replica.checkpoints.map(({ at, chainHash }) => ({ at, chainHash })),
})
