/**
 * Leading: what the map wants this node to lead, and what it does as leader. Nothing that is true of the data depends on it: what a
 * leader writes carries its epoch, and apply ignores older ones (invariant I6).
 *
 *   (not named) ── the map names this node ──▶ named ── its `lead` record is applied ──▶ held ── another's is applied ──▶ lost
 *        ▲                                                                                                              │
 *        └──── the map names it no more, or the node drains ────────────── a newer map names it again: named ◀──────────┘
 *
 * A node takes a partition once for each map that names it: two nodes with different maps do not take it from each other for ever.
 * It acts only while it holds, and while membership knows that it is not taken for dead.
 */
import type { ClusterMap, Handover } from '../core/cluster-map.ts'
import { encodeLead, encodeMark, encodeProof, encodeTick } from '../core/encode.ts'
import type { NewRecord, Offset, Partition } from '../core/types.ts'
import type { Meters } from '../meters.ts'
import type { Clock } from '../ports.ts'
import type { Replica } from '../replica/replica.ts'
import type { Writer } from '../replica/writer.ts'
import { othersThatStay } from './assignment.ts'

/** Milliseconds for a control record of the leader, and until a failed one is tried again. */
const ACT_DEADLINE_MS = 5000
const ACT_RETRY_MS = 1000

type Claim = 'named' | 'held' | 'lost'

export interface LeadingOptions {
  readonly nodeId: string
  readonly incarnation: string
  readonly writer: Writer
  readonly clock: Clock
  readonly meters: Meters
  /** Milliseconds after which it has the content of a partition compared again; 0 = never. */
  readonly verifyMs: number
}

const nameOf = (topic: string, partition: number): string => `${topic}/${partition}`

export class Leading {
  /** False while this node may have been taken for dead: it acts as leader of nothing. */
  connected = false
  readonly #options: LeadingOptions
  #claims = new Map<string, Claim>()
  /** As the map says it of what this node leads. */
  #handedBy = new Map<string, string>()
  /** When the leader may act next on a replica; Infinity while it does. */
  readonly #nextAct = new WeakMap<Replica, number>()
  /** The newest checkpoint that this node marked in the log. */
  readonly #marked = new WeakMap<Replica, Offset>()
  /** When the content of a partition is compared next. */
  readonly #verifyAt = new WeakMap<Replica, number>()
  readonly #handovers = new Map<string, Handover>()
  #leaving = false

  constructor(options: LeadingOptions) {
    this.#options = options
  }

  obey(map: ClusterMap): void {
    const before = this.#claims
    const { nodeId } = this.#options
    const offers = !this.#leaving || map.nodes.some((node) => node.nodeId === nodeId && node.draining)
    this.#claims = new Map()
    this.#handedBy = new Map()
    for (const { topic, placements } of map.topics)
      placements.forEach(({ leader, handedBy }, partition) => {
        const name = nameOf(topic, partition)
        // A map that was made before the group heard of the leaving names it for what it has given up.
        if (leader !== nodeId || !(offers || before.has(name))) return
        if (handedBy !== undefined) this.#handedBy.set(name, handedBy)
        this.#claims.set(name, before.get(name) === 'held' ? 'held' : 'named')
      })
  }

  /** The map is not about this start of the node, or may not be about it any more: only a newer one can name it again. */
  giveUpAll(): void {
    this.#claims = new Map()
  }

  /**
   * The node drains: it gives up at once what another can take by the next map, so that one map is enough where moving takes two.
   * What only this node can lead it leads on.
   */
  leave(map: ClusterMap | undefined): void {
    this.#leaving = true
    const { nodeId } = this.#options
    if (map === undefined) return
    const able = othersThatStay(map, nodeId)
    for (const { topic, placements } of map.topics)
      placements.forEach(({ replicas }, partition) => {
        if (replicas.some((id) => able.has(id))) this.#claims.delete(nameOf(topic, partition))
      })
  }

  /** Whether it leads the partition or is about to: until it says otherwise the map names no other. */
  claims(replica: Replica): { readonly leading: boolean; readonly handedBy?: string } {
    const name = nameOf(replica.topic, replica.state.partition)
    const claim = this.#claims.get(name)
    const handedBy = this.#handedBy.get(name)
    if (claim === undefined || claim === 'lost') return { leading: false }
    return handedBy === undefined ? { leading: true } : { leading: true, handedBy }
  }

  /** Whether this node acts as leader of the partition. */
  leads(replica: Replica): boolean {
    return (
      this.connected &&
      replica.status === 'live' &&
      replica.state.incarnation === this.#options.incarnation &&
      this.#claims.get(nameOf(replica.topic, replica.state.partition)) === 'held'
    )
  }

  /**
   * Does what is to be done as leader of the replica: takes it, expires rows that are due in an idle partition, marks checkpoints.
   * @param now - on the clock of `elapsed()`, as all times here
   */
  act(replica: Replica, now: number): void {
    const name = nameOf(replica.topic, replica.state.partition)
    const claim = this.#claims.get(name)
    // What has stopped is given up; a newer map may name it again.
    if (claim !== undefined && replica.status === 'stopped') this.#claims.set(name, 'lost')
    if (claim === undefined || !this.connected || replica.status !== 'live') return
    const { nodeId, incarnation, verifyMs } = this.#options
    const mine = replica.state.incarnation === incarnation
    if (claim === 'named') {
      // Its offset becomes the epoch once it is applied; until then this node acts as leader of nothing here.
      if (mine) this.#take(name)
      else
        this.#write(replica, encodeLead(nodeId, incarnation), now, () => {
          // Taken; if another's record came right behind it, the next look finds that it is lost.
          if (this.#claims.get(name) === 'named') this.#take(name)
        })
      return
    }
    if (!mine && claim === 'held') this.#options.meters.counts['elections.lost'] += 1
    if (!mine) this.#claims.set(name, 'lost')
    if (!mine || claim !== 'held') return
    const { epoch, checkpoints } = replica.state
    const newest = checkpoints.at(-1)
    if (replica.nextDue() <= replica.logTime) this.#write(replica, encodeTick(epoch), now)
    // The other replicas hold their chain against it.
    else if (newest !== undefined && newest.at > (this.#marked.get(replica) ?? epoch))
      this.#write(replica, encodeMark(newest, epoch), now, () => this.#marked.set(replica, newest.at))
    else if (now >= this.#nextVerification(replica, now))
      this.#write(replica, encodeProof(), now, () =>
        this.#verifyAt.set(replica, this.#options.clock.elapsed() + verifyMs),
      )
  }

  /** At first somewhere within the interval, where the partitions of a node lie apart: each costs a read of the whole replica. */
  #nextVerification(replica: Replica, now: number): number {
    const { verifyMs } = this.#options
    if (verifyMs === 0) return Infinity
    const { partition, partitions } = replica.state
    const first = now + (verifyMs * (partition + 1)) / partitions
    const at = this.#verifyAt.get(replica) ?? first
    this.#verifyAt.set(replica, at)
    return at
  }

  #take(name: string): void {
    this.#claims.set(name, 'held')
    this.#options.meters.counts['elections.won'] += 1
  }

  /** One control record at a time for each replica; a failed one is tried again at a later look. */
  #write(replica: Replica, record: NewRecord, now: number, applied: () => void = () => undefined): void {
    if (now < (this.#nextAct.get(replica) ?? 0)) return
    this.#nextAct.set(replica, Infinity)
    this.#options.writer.control(replica, record, now + ACT_DEADLINE_MS).then(
      () => {
        this.#nextAct.set(replica, 0)
        applied()
      },
      () => this.#nextAct.set(replica, this.#options.clock.elapsed() + ACT_RETRY_MS),
    )
  }

  // ---- handing over ----

  get handovers(): readonly Handover[] {
    return [...this.#handovers.values()]
  }

  /** Says who shall lead; returns what takes that back. */
  handOver(topic: string, partition: Partition, to: string): () => void {
    const name = nameOf(topic, partition)
    const handover = { topic, partition, to }
    this.#handovers.set(name, handover)
    return () => {
      if (this.#handovers.get(name) === handover) this.#handovers.delete(name)
    }
  }
}
