/** Whether another node answers: what membership asks before it puts one out of the cluster. */
import { Metadata, credentials } from '@grpc/grpc-js'
import { HealthClient } from '../../proto/generated/grpc/health/v1/health.ts'
import { ClusterServiceService } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { MapNode } from '../../streams/core/cluster-map.ts'
import { NODES_MAX, PROBE_MS } from '../../streams/core/limits.ts'

export interface PeerProbe {
  /** True once the node has answered anything at all; never rejects. */
  readonly alive: (node: MapNode) => Promise<boolean>
  close(): void
}

/** The service that describes the node: it serves from the start, also while replicas are being built. */
const SERVICE = ClusterServiceService.describe.path.split('/')[1] ?? ''

const NO_METADATA = new Metadata()

const CHANNEL_OPTIONS = {
  // A probe must find out each time: what was refused a moment ago may be served now.
  'grpc.initial_reconnect_backoff_ms': PROBE_MS,
  'grpc.max_reconnect_backoff_ms': PROBE_MS,
  'grpc.use_local_subchannel_pool': 1,
}

export function peerProbe(): PeerProbe {
  /** By address, the one that was asked last at the end. */
  const clients = new Map<string, HealthClient>()

  const clientOf = (address: string): HealthClient => {
    const client =
      clients.get(address) ?? new HealthClient(address, credentials.createInsecure(), CHANNEL_OPTIONS)
    clients.delete(address)
    clients.set(address, client)
    const [oldest] = clients
    if (clients.size > NODES_MAX && oldest !== undefined) {
      clients.delete(oldest[0])
      oldest[1].close()
    }
    return client
  }

  return {
    alive({ address, draining }) {
      // It stops listening before it leaves, and has handed over what it led.
      if (draining) return Promise.resolve(true)
      return new Promise((resolve) => {
        const deadline = Date.now() + PROBE_MS
        clientOf(address).check({ service: SERVICE }, NO_METADATA, { deadline }, (error) => {
          resolve(error === null)
        })
      })
    },
    close() {
      for (const client of clients.values()) client.close()
      clients.clear()
    },
  }
}
