/**
 * grpc.health.v1: the whole node ('') and KeyValueService serve while all replicas are live; the services that describe the
 * node serve from the start. A draining node serves nothing, and ends the watches of its health.
 */
import type { Server } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import { ClusterServiceService } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { KeyValueServiceService } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { KeyspaceServiceService } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { ProofServiceService } from '../../proto/generated/tidemark/v1/proof_service.ts'
import { SnapshotServiceService } from '../../proto/generated/tidemark/v1/snapshot_service.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import { endingStreams } from './ending-streams.ts'

const nameOf = (method: { readonly path: string }): string => method.path.split('/')[1] ?? ''

const WITH_REPLICAS = ['', nameOf(KeyValueServiceService.get)]
const ALWAYS = [
  nameOf(ClusterServiceService.describe),
  nameOf(KeyspaceServiceService.list),
  nameOf(ProofServiceService.getProof),
  nameOf(SnapshotServiceService.copy),
]

export function serveHealth(server: Server, node: TidemarkNode, draining: AbortSignal): void {
  const health = new HealthImplementation()
  const set = (services: readonly string[], serving: boolean): void => {
    for (const service of services) health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING')
  }
  set(ALWAYS, true)
  set(WITH_REPLICAS, node.ready)
  const forget = node.onReady((ready) => set(WITH_REPLICAS, ready))
  draining.addEventListener('abort', () => {
    forget()
    set([...WITH_REPLICAS, ...ALWAYS], false)
  })
  health.addToServer(endingStreams(server, draining))
}
