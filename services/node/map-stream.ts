/**
 * ClusterService.WatchMap: the map now and at each change. A peer that is slow gets the newest when it takes more, not those
 * between. The stream ends with NODE_DRAINING when the node drains, and with LOG_UNAVAILABLE, behind the map that it has, while it is cut off
 * from the others, who may have another by now: follow the map at another one.
 */
import {
  ClusterServiceService as methods,
  type WatchMapRequest,
  type WatchMapResponse,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import type { ClusterMap } from '../../streams/core/cluster-map.ts'
import { type HandlerOf, type Serving, type Streaming, serverStreaming } from './calls.ts'
import type { clusterDefinition } from './definitions.ts'
import { mapMessage } from './map-message.ts'

export function watchMap(serving: Serving): HandlerOf<typeof clusterDefinition.watchMap> {
  const { node, draining } = serving
  const { cluster, logIdentity } = node.description

  const watch: Streaming<WatchMapRequest, WatchMapResponse> = (_, call) =>
    new Promise((resolve, reject) => {
      let newest: ClusterMap | undefined
      let told = false
      let full = false
      let ended = false
      const send = (): void => {
        if (ended || full || newest === undefined) return
        full = !call.write({ map: mapMessage(cluster, newest), logIdentity })
        newest = undefined
        told = true
      }
      const end = (error?: TidemarkError): void => {
        if (ended) return
        ended = true
        following.unsubscribe()
        draining.removeEventListener('abort', drain)
        if (error === undefined) resolve()
        else reject(error)
      }
      const drain = (): void => {
        end(new TidemarkError('NODE_DRAINING', 'the node is shutting down: follow the map at another one'))
      }
      call.on('drain', () => {
        full = false
        send()
      })
      call.on('cancelled', () => end())
      const following = node.map$.subscribe((map) => {
        newest = map
        send()
      })
      following.add(
        node.connected$.subscribe((connected) => {
          // One that has just started has no map that could be old.
          if (!connected && told) end(cutOff())
        }),
      )
      following.add(drain)
      draining.addEventListener('abort', drain)
      if (draining.aborted) drain()
    })
  return serverStreaming(serving, methods.watchMap, watch)
}

const cutOff = (): TidemarkError =>
  new TidemarkError(
    'LOG_UNAVAILABLE',
    'the node does not hear from the cluster, its map may be old: follow the map at another one',
  )
