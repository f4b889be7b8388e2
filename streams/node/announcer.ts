/**
 * What this node says of itself to the others: at once when something changed that can alter the map, else now and again, so that an
 * election knows how far each replica is.
 */
import type { HeldReplica, MemberState } from '../core/cluster-map.ts'
import { PROGRESS_MS } from '../core/limits.ts'
import { isBehind } from '../core/map-changes.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import type { Keyspaces } from './keyspaces.ts'
import type { Leading } from './leading.ts'

export class Announcer {
  readonly #context: NodeContext
  readonly #keyspaces: Keyspaces
  readonly #leading: Leading
  #address: string | undefined
  #draining = false
  #closed = false
  #dirty = true
  /** Live replicas that are too far from the end of the log to lead. */
  readonly #behind = new WeakSet<Replica>()
  /** What was last said of each replica, and when. */
  #said = ''
  #saidAt = -Infinity

  constructor(context: NodeContext, keyspaces: Keyspaces, leading: Leading) {
    this.#context = context
    this.#keyspaces = keyspaces
    this.#leading = leading
  }

  get joined(): boolean {
    return this.#address !== undefined
  }

  join(address: string): void {
    this.#address = address
    this.changed()
  }

  drain(): void {
    this.#draining = true
    this.changed()
  }

  close(): void {
    this.#closed = true
  }

  /** Says it at the next look. */
  changed(): void {
    this.#dirty = true
  }

  /** @returns whether a replica became live or stopped, came or left, or leadership changed, since the last look */
  look(): boolean {
    const now = this.#context.options.clock.elapsed()
    if (this.#address === undefined || this.#closed) return false
    const marks = this.#marks()
    const moved = marks !== this.#said
    if (!moved && !this.#dirty && now - this.#saidAt < PROGRESS_MS) return false
    this.#said = marks
    this.#saidAt = now
    this.#dirty = false
    this.#context.options.membership.announce(this.#state(this.#address))
    return moved
  }

  /** All that matters of the replicas, as one text. */
  #marks(): string {
    let marks = ''
    for (const replica of this.#keyspaces.replicas())
      marks += `${replica.topic}/${replica.state.partition}${replica.status}${this.#leading.claims(replica).leading ? '+' : '-'}${this.#notesBehind(replica) ? '<' : ''}`
    return marks
  }

  #notesBehind(replica: Replica): boolean {
    // One whose disk is full falls behind with the next record.
    const behind =
      replica.status === 'live' &&
      (replica.waiters.held !== undefined ||
        isBehind(replica.state.next, replica.logEnd, this.#behind.has(replica)))
    if (behind) this.#behind.add(replica)
    else this.#behind.delete(replica)
    return behind
  }

  #state(address: string): MemberState {
    const { nodeId, zone } = this.#context.options
    const keyspaces = [...this.#keyspaces.all]
    return {
      nodeId,
      incarnation: this.#context.incarnation,
      address,
      zone,
      draining: this.#draining,
      topics: keyspaces.map(({ needs }) => needs),
      held: keyspaces.flatMap(({ topic, replicas }) =>
        [...replicas.values()]
          // What was built from another incarnation of the topic is no copy of this one.
          .filter(({ state }) => state.topicIdentity === topic.identity)
          .map((replica): HeldReplica => ({
            topic: topic.topic,
            partition: replica.state.partition,
            applied: replica.state.next,
            live: replica.status === 'live',
            ...this.#leading.claims(replica),
            ...(this.#behind.has(replica) ? { behind: true } : {}),
          })),
      ),
      handovers: this.#leading.handovers,
    }
  }
}
