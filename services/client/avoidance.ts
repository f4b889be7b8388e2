/**
 * What failures tell about where to ask next: nodes, and replicas of single partitions, that are passed over for
 * CLIENT_AVOID_MS. After that time all is forgotten at once; so is what is known of partitions when a new map comes.
 */
import type { Reason } from '../../streams/core/errors.ts'
import { CLIENT_AVOID_MS } from '../../streams/core/limits.ts'
import type { NodeLink } from './node-link.ts'
import type { Slot } from './routes.ts'

/**
 * `node`: pass over the node. `partition`: its replica of this partition cannot do it, another may. `none`: another node would
 * answer the same, or (OVERLOADED) must not get what this one sheds.
 */
export type News = 'node' | 'partition' | 'none'

const NEWS: Readonly<Partial<Record<Reason, News>>> = {
  NODE_DRAINING: 'node',
  PARTITION_ELSEWHERE: 'partition',
  PARTITION_RESTORING: 'partition',
  PARTITION_STOPPED: 'partition',
  // The node could not reach the one that it passed the request on to.
  NODE_UNREACHABLE: 'partition',
  // It lost its brokers; another node may reach them.
  LOG_UNAVAILABLE: 'partition',
  WRITE_UNKNOWN: 'partition',
  DISK_FULL: 'partition',
  // The map has the keyspace, the node does not know it yet.
  KEYSPACE_NOT_FOUND: 'partition',
}

export const newsOf = (reason: Reason): News => NEWS[reason] ?? 'none'

export class Avoidance {
  readonly #nodes = new Set<NodeLink>()
  /** Under `undefined`: nodes that could not do what any node can. */
  readonly #replicas = new Map<Slot | undefined, Set<NodeLink>>()
  /** A node said that the partition is elsewhere: where none of its replicas serves it, any node may know better. */
  readonly #misplaced = new Set<Slot>()
  readonly #onForgotten: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(onForgotten: () => void) {
    this.#onForgotten = onForgotten
  }

  avoids(link: NodeLink, slot: Slot | undefined): boolean {
    return this.#nodes.has(link) || (this.#replicas.get(slot)?.has(link) ?? false)
  }

  misplaced(slot: Slot): boolean {
    return this.#misplaced.has(slot)
  }

  /** @returns false when it was known already */
  add(link: NodeLink, slot: Slot | undefined, reason: Reason): boolean {
    this.#timer ??= setTimeout(() => this.#forget(), CLIENT_AVOID_MS)
    if (slot !== undefined && reason === 'PARTITION_ELSEWHERE') this.#misplaced.add(slot)
    const set = newsOf(reason) === 'node' ? this.#nodes : this.#setOf(slot)
    if (set.has(link)) return false
    set.add(link)
    return true
  }

  /** The slots are void: a new map has others. */
  forgetPartitions(): void {
    this.#replicas.clear()
    this.#misplaced.clear()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #setOf(slot: Slot | undefined): Set<NodeLink> {
    let set = this.#replicas.get(slot)
    if (set === undefined) this.#replicas.set(slot, (set = new Set<NodeLink>()))
    return set
  }

  #forget(): void {
    this.#timer = undefined
    this.#nodes.clear()
    this.forgetPartitions()
    this.#onForgotten()
  }
}
