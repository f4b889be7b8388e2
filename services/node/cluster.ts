/** ClusterService: what the node sees, and draining it. */
import {
  ClusterServiceService as methods,
  type DescribeRequest,
  type DescribeResponse,
  type DrainRequest,
  type DrainResponse,
  type ReplicaStatus as ReplicaStatusMessage,
  ReplicaState as ReplicaStateNumber,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { ReplicaState, ReplicaStatus } from '../../streams/face.ts'
import { type HandlersOf, type Serving, type Unary, unary } from './calls.ts'
import type { clusterDefinition } from './definitions.ts'
import { VERSION } from './package-root.ts'

const STATE_NUMBERS = {
  restoring: ReplicaStateNumber.REPLICA_STATE_RESTORING,
  live: ReplicaStateNumber.REPLICA_STATE_LIVE,
  stopped: ReplicaStateNumber.REPLICA_STATE_STOPPED,
} as const satisfies Record<ReplicaState, ReplicaStateNumber>

export function cluster(serving: Serving): HandlersOf<typeof clusterDefinition> {
  const { node } = serving

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
      map: undefined,
    }
  }

  const drain: Unary<DrainRequest, DrainResponse> = async () => {
    // After the answer: what begins to drain refuses to speak.
    setImmediate(serving.drain)
    return {}
  }

  return {
    describe: unary(serving, methods.describe, describe),
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
