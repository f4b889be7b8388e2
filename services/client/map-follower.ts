/**
 * Follows the map of the cluster on one node, and on another when that one is lost. Maps come whole.
 *
 * - A node too old to tell a map, and one that refuses to, is asked again every CLIENT_MAP_RETRY_MS.
 * - A stream whose first map is older than the one known is of a node that was left behind: another is asked. Only when as many
 *   as there are say the same, the count of maps has begun anew (the group of the nodes was made again), and that map holds.
 */
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js'
import type { WatchMapResponse } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_MAP_REFRESH_MS, CLIENT_MAP_RETRY_MS } from '../../streams/core/limits.ts'
import { backoffMs } from './backoff.ts'
import type { ClusterMap } from './cluster-types.ts'
import { endedError, failureOf } from './failure.ts'
import { toClusterMap } from './map-messages.ts'
import type { NodeLink } from './node-link.ts'

export interface MapFollowerOptions {
  /** A node to ask, another than `not` where there is one. */
  readonly choose: (not: NodeLink | undefined) => NodeLink
  /** How many there are to ask. */
  readonly count: () => number
  readonly onMap: (map: ClusterMap, logIdentity: string, from: NodeLink) => void
  /** The node tells no map. */
  readonly onNone: (failure: TidemarkError) => void
  readonly onLost: (link: NodeLink, failure: TidemarkError) => void
}

export class MapFollower {
  readonly #options: MapFollowerOptions
  #call: ClientReadableStream<WatchMapResponse> | undefined
  #link: NodeLink | undefined
  #timer: NodeJS.Timeout | undefined
  #openedAt = -Infinity
  #failures = 0
  #generation = -1
  /** Nodes in a row whose map was older. */
  #behind = 0
  #stopped = false

  constructor(options: MapFollowerOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#stopped) return
    this.#open(this.#options.choose(undefined))
  }

  stop(): void {
    this.#stopped = true
    this.#drop()
  }

  /** This node knows more than the map that we have. */
  refresh(link: NodeLink): void {
    if (this.#stopped || link === this.#link) return
    if (performance.now() - this.#openedAt < CLIENT_MAP_REFRESH_MS) return
    this.#drop()
    this.#open(link.reachable ? link : this.#options.choose(this.#link))
  }

  /** This node has just become reachable. */
  nudge(link: NodeLink): void {
    if (this.#stopped || this.#failures === 0 || this.#call !== undefined) return
    this.#drop()
    this.#open(link)
  }

  #drop(): void {
    clearTimeout(this.#timer)
    const call = this.#call
    if (call === undefined) return
    this.#call = undefined
    this.#link?.calls.delete(call)
    call.cancel()
  }

  #open(link: NodeLink): void {
    this.#openedAt = performance.now()
    this.#link = link
    link.use()
    const call = link.cluster.watchMap({})
    this.#call = call
    link.calls.add(call)
    let first = true
    call.on('data', (response: WatchMapResponse) => {
      if (call !== this.#call) return
      this.#failures = 0
      this.#onMap(response, link, first)
      first = false
    })
    // Also after it was dropped: an 'error' without a listener would stop the process.
    call.on('error', (error: ServiceError) => {
      if (call === this.#call) this.#onEnd(failureOf(error, link.address), link)
    })
    call.on('end', () => {
      setImmediate(() => {
        if (call === this.#call) this.#onEnd(endedError(link.address), link)
      })
    })
  }

  #onMap({ map: message, logIdentity }: WatchMapResponse, link: NodeLink, first: boolean): void {
    const map = toClusterMap(message)
    if (first && map.generation < this.#generation) {
      this.#behind += 1
      if (this.#behind < this.#options.count()) {
        this.#drop()
        return this.#openLater(backoffMs(this.#behind), this.#options.choose(link))
      }
    }
    this.#behind = 0
    this.#generation = map.generation
    this.#options.onMap(map, logIdentity, link)
  }

  #onEnd(failure: TidemarkError, link: NodeLink): void {
    this.#drop()
    if (!failure.retriable) {
      this.#openLater(CLIENT_MAP_RETRY_MS)
      return this.#options.onNone(failure)
    }
    this.#failures += 1
    this.#openLater(backoffMs(this.#failures))
    this.#options.onLost(link, failure)
  }

  #openLater(ms: number, link?: NodeLink): void {
    this.#timer = setTimeout(() => {
      this.#open(link?.reachable === true ? link : this.#options.choose(undefined))
    }, ms)
  }
}
