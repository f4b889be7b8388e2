/** The cluster: its map, its nodes, and who leads what. */
import type { ServiceError } from '@grpc/grpc-js'
import {
  ReplicaState,
  type DescribeResponse,
  type DrainResponse,
  type ReplicaStatus,
  type TransferLeadershipResponse,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { ask, askOnce, deadlineOf } from './ask.ts'
import { checkedWhole } from './checks.ts'
import type {
  CallOptions,
  ClusterDescription,
  ClusterMap,
  NodeDescription,
  ReplicaDescription,
} from './cluster-types.ts'
import type { Context } from './context.ts'
import { closedError, failureOf } from './failure.ts'
import type { NodeLink } from './node-link.ts'
import type { Tidemark } from './types.ts'

type Cluster = Pick<Tidemark, 'describe' | 'describeAll' | 'map' | 'onMap' | 'transferLeadership' | 'drain'>

export function clusterOn(context: Context): Cluster {
  const { router } = context

  const describe = async ({ deadlineMs }: CallOptions): Promise<ClusterDescription> => {
    const response = await ask<DescribeResponse>(context, { deadlineMs }, (link, ...call) =>
      link.cluster.describe({}, ...call),
    )
    context.token.met(response.logIdentity)
    return toClusterDescription(response)
  }

  const map = (options: CallOptions = {}): Promise<ClusterMap> => newestMap(context, options)

  return {
    describe: (options = {}) => describe(options),

    async describeAll(options = {}) {
      const { nodes } = await map(options)
      const asked = nodes.map(async (node): Promise<NodeDescription> => {
        try {
          const description = await describeNode(context, router.linkTo(node), options)
          return { ...node, description, failure: undefined }
        } catch (error) {
          return { ...node, description: undefined, failure: TidemarkError.from(error) }
        }
      })
      return Promise.all(asked)
    },

    map,

    onMap(listener) {
      const end = router.listen((found) => {
        if (found !== undefined) listener(found)
      })
      if (router.map !== undefined) listener(router.map)
      return end
    },

    async transferLeadership(keyspace, partition, toNode = '', options = {}) {
      const place = { keyspace, partition: checkedWhole(partition, 'partition') }
      const request = { ...place, toNode }
      // Twice is harmless: it says where leadership shall be, not where it shall go from.
      const asked = { deadlineMs: options.deadlineMs, place }
      const { leader } = await ask<TransferLeadershipResponse>(context, asked, (link, ...call) =>
        link.cluster.transferLeadership(request, ...call),
      )
      return leader
    },

    async drain(nodeId, options = {}) {
      const link = await linkOfNode(context, nodeId, options, () => describe(options))
      try {
        await askOnce<DrainResponse>(
          context,
          link,
          deadlineOf(context, options.deadlineMs),
          (node, ...call) => node.cluster.drain({}, ...call),
        )
      } catch (error) {
        throw failureOf(error as ServiceError, link.address)
      }
    },
  }
}

/** Asked a second time where the connection broke, and no further: the caller wants to know that a node is away. */
async function describeNode(
  context: Context,
  link: NodeLink,
  { deadlineMs }: CallOptions,
): Promise<ClusterDescription> {
  const deadline = deadlineOf(context, deadlineMs)
  const once = (): Promise<DescribeResponse> =>
    askOnce<DescribeResponse>(context, link, deadline, (node, ...call) => node.cluster.describe({}, ...call))
  const response = await once()
    .catch(once)
    .catch((error: unknown) => {
      throw failureOf(error as ServiceError, link.address)
    })
  context.token.met(response.logIdentity)
  return toClusterDescription(response)
}

/** The map, when there is one. @throws NOT_IMPLEMENTED, NODE_UNREACHABLE */
function newestMap(context: Context, options: CallOptions): Promise<ClusterMap> {
  const { router, closed } = context
  const deadline = deadlineOf(context, options.deadlineMs)
  return new Promise((resolve, reject) => {
    const settle = (): boolean => {
      const { map, noMap } = router
      if (map !== undefined) resolve(map)
      else if (closed.aborted) reject(closedError())
      else if (noMap !== undefined) reject(noMap)
      else return false
      return true
    }
    const done = (): void => {
      clearTimeout(timer)
      end()
      closed.removeEventListener('abort', onChange)
    }
    const onChange = (): void => {
      if (settle()) done()
    }
    const end = router.listen(onChange)
    closed.addEventListener('abort', onChange)
    const timer = setTimeout(() => {
      done()
      const cause = router.lastFailure
      const because = cause === undefined ? '' : `; the last failure was: ${cause.message}`
      const message = `no node told the map of the cluster within the deadline${because}`
      reject(new TidemarkError(cause?.reason ?? 'DEADLINE_EXCEEDED', message, { cause }))
    }, deadline - Date.now())
    onChange()
  })
}

/** @throws FIELD_INVALID where no node has this id */
async function linkOfNode(
  context: Context,
  nodeId: string,
  options: CallOptions,
  describe: () => Promise<ClusterDescription>,
): Promise<NodeLink> {
  const { router } = context
  const map = await newestMap(context, options).catch((error: unknown) => {
    if (TidemarkError.from(error).reason === 'NOT_IMPLEMENTED') return undefined
    throw error
  })
  const node = map?.nodes.find((one) => one.nodeId === nodeId)
  if (node !== undefined) return router.linkTo(node)
  const known = map?.nodes.map((one) => one.nodeId) ?? []
  if (known.length === 0) {
    const { nodeId: only } = await describe()
    if (only === nodeId) return router.linkOf(undefined, false)
    known.push(only)
  }
  throw new TidemarkError('FIELD_INVALID', `there is no node ${nodeId}; there are ${known.join(', ')}`, {
    metadata: { field: 'nodeId' },
  })
}

const toClusterDescription = ({ map: _, replicas, ...rest }: DescribeResponse): ClusterDescription => ({
  ...rest,
  replicas: replicas.map(describeReplica),
})

const describeReplica = (replica: ReplicaStatus): ReplicaDescription => ({
  ...replica,
  state: STATES[replica.state] ?? 'stopped',
})

const STATES: Readonly<Partial<Record<ReplicaState, ReplicaDescription['state']>>> = {
  [ReplicaState.REPLICA_STATE_RESTORING]: 'restoring',
  [ReplicaState.REPLICA_STATE_LIVE]: 'live',
  [ReplicaState.REPLICA_STATE_STOPPED]: 'stopped',
}
