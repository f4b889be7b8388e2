/**
 * Knows the nodes, and says where each operation goes.
 *
 *   seeds ─▶ a node that answers ─WatchMap─▶ map ─▶ routes ─▶ node for (partition, kind of operation)
 *
 * - One node, or nodes that tell no map: everything goes to the one that answers; no operation is looked at.
 * - Several: straight to a node with a replica (preference.ts). A node that is out of reach, or that said that another should be
 *   asked, is passed over while there is another. Nodes route too, so where none of the replicas can be reached any node will do.
 * - Whatever changes the choice (a map, a node lost or back, a refusal) counts the epoch up, and all pipelines hand on what goes
 *   elsewhere now, before anything new is submitted: that keeps the order of writes.
 */
import { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_MAP_WAIT_MS, CLIENT_NODES_MAX } from '../../streams/core/limits.ts'
import { Consistency } from '../../proto/generated/tidemark/v1/types.ts'
import { Avoidance, newsOf } from './avoidance.ts'
import type { ClusterMap } from './cluster-types.ts'
import type { LinkPool } from './link-pool.ts'
import { MapFollower } from './map-follower.ts'
import type { NodeLink } from './node-link.ts'
import type { Operation } from './operation.ts'
import type { Dispatch, Pipeline } from './pipeline.ts'
import type { ClientPlace } from './preference.ts'
import { Silence } from './patience.ts'
import { Routes, type Choice, type Place, type Slot } from './routes.ts'

export interface RouterOptions {
  readonly seeds: readonly string[]
  readonly place: ClientPlace
  readonly retryUnreachable: boolean
  /** False: the seeds only, whatever the map says. */
  readonly discover: boolean
  readonly pool: (router: Router) => LinkPool
  readonly onLogIdentity: (logIdentity: string) => void
}

export class Router {
  readonly retryUnreachable: boolean
  #settled = false
  readonly #options: RouterOptions
  readonly #pool: LinkPool
  readonly #follower: MapFollower
  readonly #listeners = new Set<(map: ClusterMap | undefined) => void>()
  #started = false
  #following = false
  #map: ClusterMap | undefined
  /** Why there is no map, once a node has said so. */
  #noMap: TidemarkError | undefined
  #lastFailure: TidemarkError | undefined
  #routes: Routes
  /** Everything goes there. */
  #direct: NodeLink | undefined
  #anywhere: NodeLink | undefined
  #epoch = 1
  readonly #avoidance = new Avoidance(() => this.changed())
  readonly #silence = new Silence(() => this.changed())
  #settleTimer: NodeJS.Timeout | undefined

  constructor(options: RouterOptions) {
    this.#options = options
    this.retryUnreachable = options.retryUnreachable
    this.#settled = !options.discover
    this.#routes = new Routes(undefined, options.place)
    this.#pool = options.pool(this)
    this.#follower = new MapFollower({
      choose: (not) => this.any(not),
      count: () => new Set([...this.#routes.anywhere, ...options.seeds]).size,
      onMap: (map, logIdentity, from) => this.#onMap(map, logIdentity, from),
      onNone: (failure) => this.#onNoMap(failure),
      onLost: (link, failure) => {
        this.#lastFailure = failure
        this.#lost(link, failure)
      },
    })
  }

  get map(): ClusterMap | undefined {
    return this.#map
  }

  get noMap(): TidemarkError | undefined {
    return this.#noMap
  }

  /** Why the last attempt to get a map failed. */
  get lastFailure(): TidemarkError | undefined {
    return this.#lastFailure
  }

  /** True where another node can go on with what one has begun. */
  get clustered(): boolean {
    return this.#direct === undefined && this.#started
  }

  /** Calls at each new map, and with `undefined` when it is known that there is none. */
  listen(listener: (map: ClusterMap | undefined) => void): () => void {
    this.start()
    this.#follow()
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    this.#direct = this.any()
    if (this.#options.discover) this.#follow()
  }

  #follow(): void {
    if (this.#following) return
    this.#following = true
    this.#follower.start()
  }

  /** Refuses new operations, waits for those begun, and closes all connections. */
  async close(): Promise<void> {
    await this.#pool.drained()
    this.#follower.stop()
    this.#avoidance.stop()
    this.#silence.stop()
    clearTimeout(this.#settleTimer)
    this.#pool.close()
  }

  /** The part of the router that the pipelines of one node see. */
  dispatchFor(link: NodeLink): Dispatch {
    const settled = (): boolean => this.#settled
    return {
      retryUnreachable: this.retryUnreachable,
      get settled() {
        return settled()
      },
      pipelineFor: (operation) => this.pipelineFor(operation),
      lost: (failure) => this.#lost(link, failure),
      refused: (operation, failure) => this.#refused(link, operation, failure),
      nameOf: (operation) => this.#slotOf(operation)?.name,
      silent: (operation) => this.#silent(link, operation),
    }
  }

  // ---- choice -------------------------------------------------------------------------------------------------

  pipelineFor(operation: Operation): Pipeline {
    return this.#linkFor(operation).pipelineFor(operation.key)
  }

  #linkFor(operation: Operation): NodeLink {
    if (this.#direct !== undefined) return this.#direct
    if (!this.#started) this.start()
    const slot = this.#routes.slotOf(operation)
    if (slot === undefined) return this.any()
    if (!operation.isRead) return this.#leader(slot)
    const first = operation.beside?.carrier?.node
    if (first !== undefined) return this.#beside(slot, first) ?? this.#nearest(slot)
    const near = operation.consistency !== Consistency.CONSISTENCY_LINEARIZABLE
    return near ? this.#nearest(slot) : this.#leader(slot)
  }

  /** The node for a call on one partition; undefined = any. */
  linkOf(place: Place | undefined, near: boolean): NodeLink {
    this.start()
    if (this.#direct !== undefined) return this.#direct
    const slot = this.#slotOf(place)
    if (slot === undefined) return this.any()
    return near ? this.#nearest(slot) : this.#leader(slot)
  }

  /** Another node that serves the place too; undefined where there is none. */
  linkBeside(place: Place, link: object): NodeLink | undefined {
    const slot = this.#slotOf(place)
    return slot === undefined ? undefined : this.#beside(slot, link)
  }

  /** A node of the map. @throws OVERLOADED where it is one too many for this client */
  linkTo({ address }: { readonly address: string }): NodeLink {
    const single = (this.#map?.nodes.length ?? 0) <= 1
    const link = (single ? this.#direct : undefined) ?? this.#pool.get(address)
    if (link !== undefined) return link
    const message = `this client talks to ${CLIENT_NODES_MAX} nodes already, the most that it can`
    throw new TidemarkError('OVERLOADED', message, { metadata: { limit: String(CLIENT_NODES_MAX) } })
  }

  partitionOf(keyspace: string, key: Buffer): number | undefined {
    return this.#direct === undefined ? this.#routes.partitionOf(keyspace, key) : undefined
  }

  /** A node for what any can do, another than `not` where there is one. */
  any(not?: NodeLink): NodeLink {
    if (not !== undefined) return this.#anyFor(undefined, not) ?? this.any()
    return (this.#anywhere ??= this.#anyFor(undefined) ?? this.#anyReachable())
  }

  #anyFor(slot: Slot | undefined, not?: NodeLink): NodeLink | undefined {
    // What was good so far stays, before the address that the map has for the same node.
    for (const link of this.#linksOf(this.#direct, this.#everywhere())) {
      if (link !== not && this.#fit(link, slot)) return link
    }
    return undefined
  }

  #anyReachable(): NodeLink {
    const everywhere = this.#everywhere()
    for (const link of this.#linksOf(this.#direct, everywhere)) if (link.reachable) return link
    return this.#direct ?? this.#pool.must(everywhere)
  }

  #everywhere(): readonly string[] {
    return [...this.#routes.anywhere, ...this.#options.seeds]
  }

  *#linksOf(first: NodeLink | undefined, addresses: readonly string[]): Generator<NodeLink> {
    if (first !== undefined) yield first
    for (const address of addresses) {
      const link = this.#pool.get(address)
      if (link !== undefined) yield link
    }
  }

  #leader(slot: Slot): NodeLink {
    return this.#chosen(slot, slot.leaderFirst)
  }

  #nearest(slot: Slot): NodeLink {
    return this.#chosen(slot, slot.nearestFirst)
  }

  #chosen(slot: Slot, choice: Choice): NodeLink {
    if (choice.epoch === this.#epoch && choice.link !== undefined) return choice.link
    choice.epoch = this.#epoch
    return (choice.link = this.#choose(slot, choice))
  }

  #choose(slot: Slot, { addresses, link: before }: Choice): NodeLink {
    let reachable: NodeLink | undefined
    for (const link of this.#linksOf(undefined, addresses)) {
      if (this.#fit(link, slot)) return link
      if (link.reachable) reachable ??= link
    }
    if (reachable === undefined || this.#avoidance.misplaced(slot)) {
      const other = this.#anyFor(slot)
      if (other !== undefined) return other
    }
    // Nobody is fit: operations rest where they are, and try again.
    return before?.reachable === true ? before : (reachable ?? this.#anyReachable())
  }

  #beside(slot: Slot, first: object): NodeLink | undefined {
    for (const link of this.#linksOf(undefined, slot.nearestFirst.addresses)) {
      if (link !== first && this.#fit(link, slot)) return link
    }
    return undefined
  }

  // ---- events -------------------------------------------------------------------------------------------------

  #lost(link: NodeLink, failure: TidemarkError): void {
    if (failure.reason === 'NODE_UNREACHABLE') return link.lost()
    this.#note(link, undefined, failure)
  }

  #refused(link: NodeLink, operation: Operation, failure: TidemarkError): boolean {
    if (!this.#note(link, operation, failure)) return false
    const next = this.#linkFor(operation)
    return next !== link && this.#fit(next, this.#slotOf(operation))
  }

  #silent(link: NodeLink, operation: Operation): void {
    const slot = this.#slotOf(operation)
    if (slot === undefined || this.#beside(slot, link) === undefined) return
    this.#silence.add(slot.name, link)
    this.changed(true)
  }

  /** A call failed on this node. @returns whether another one, which is thought to do better, can be asked at once */
  failed(link: NodeLink, place: Place | undefined, failure: TidemarkError, near = true): boolean {
    if (failure.reason === 'NODE_UNREACHABLE') link.lost()
    else if (!this.#note(link, place, failure)) return false
    const next = this.linkOf(place, near)
    return next !== link && this.#fit(next, this.#slotOf(place))
  }

  #fit(link: NodeLink, slot: Slot | undefined): boolean {
    if (!link.reachable || this.#avoidance.avoids(link, slot)) return false
    return slot === undefined || !this.#silence.of(slot.name, link)
  }

  #slotOf(place: Place | undefined): Slot | undefined {
    return place === undefined || this.#direct !== undefined ? undefined : this.#routes.slotOf(place)
  }

  /** Takes to heart what the failure tells. @returns false when it tells nothing about where to go */
  #note(link: NodeLink, place: Place | undefined, { reason }: TidemarkError): boolean {
    const news = newsOf(reason)
    if (news === 'none') return false
    const slot = this.#slotOf(place)
    if (news === 'partition' && slot === undefined) {
      // A single node has nobody beside it, and what no map knows is nowhere.
      if (this.#direct !== undefined || reason === 'KEYSPACE_NOT_FOUND') return false
    }
    if (news === 'node' || reason === 'PARTITION_ELSEWHERE') this.#follower.refresh(link)
    if (this.#avoidance.add(link, slot, reason)) this.changed()
    return true
  }

  onLinkChange(link: NodeLink): void {
    if (link.up && !this.#settled) {
      this.#settleTimer ??= setTimeout(() => this.#settle(), CLIENT_MAP_WAIT_MS)
    }
    this.changed()
    if (link.up) this.#follower.nudge(link)
    // What waits there for a connection can be had elsewhere.
    else if (link.unconnected && this.any() !== link) link.leave()
  }

  #onMap(map: ClusterMap, logIdentity: string, from: NodeLink): void {
    if (logIdentity !== '') this.#options.onLogIdentity(logIdentity)
    // A node that has just begun may not have one yet.
    if (map.nodes.length === 0 && (this.#map?.nodes.length ?? 0) > 0) return
    this.#map = map
    this.#noMap = undefined
    if (this.#options.discover) this.#route(map, from)
    for (const listener of this.#listeners) listener(map)
  }

  #route(map: ClusterMap, from: NodeLink): void {
    const before = this.#routes.anywhere
    this.#routes = new Routes(map, this.#options.place)
    this.#avoidance.forgetPartitions()
    const living = this.#routes.anywhere
    const gone = before.filter((address) => !living.includes(address))
    const leaving = gone.flatMap((address) => this.#pool.retire(address) ?? [])
    // Who tells of a single node is that node, under whatever address, unless it is known as another one.
    const single = map.nodes.length <= 1
    this.#direct = single ? (leaving.includes(from) ? this.#pool.must(living) : from) : undefined
    this.#settle()
    for (const link of leaving) link.leave()
  }

  #onNoMap(failure: TidemarkError): void {
    this.#noMap = failure
    this.#settle()
    for (const listener of this.#listeners) listener(undefined)
  }

  #settle(): void {
    this.#settled = true
    clearTimeout(this.#settleTimer)
    this.changed()
    for (const pipeline of this.#pool.pipelines()) pipeline.flushSoon()
  }

  /** The choice may be another now. @param silent - because a node owes answers: what it has is not in good hands there */
  changed(silent = false): void {
    this.#epoch += 1
    this.#anywhere = undefined
    if (this.#direct !== undefined) this.#direct = this.any()
    for (const pipeline of this.#pool.pipelines()) pipeline.handOn(silent)
  }
}
