/**
 * Whether the replicas of this node are what the others are, and what follows where one is not. A node judges its own replicas
 * only, by what it hears from the others (core/judgement.ts); nobody can make another stop.
 *
 *   a mark has another chain ─┐                        ┌─ convicted → quarantined, built again from those who are right
 *   a peer says so           ─┼─▶ ask the peers, judge ┼─ tied      → replay the log beside the replica: that decides
 *   the content is hashed    ─┘                        └─ else      → it serves on; told where another is wrong
 *
 * A mark that differs raises a suspicion and no more: the leader that wrote it may be the one that is wrong. It hears of that from
 * those who ask it, and judges itself by the same rule.
 */
import type { MapNode, MapPlacement } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { judge } from '../core/judgement.ts'
import type { Verdict } from '../core/judgement.ts'
import { JUDGED_MS, PROOF_RETRY_MS, PROOF_TRIES_MAX } from '../core/limits.ts'
import type { Offset } from '../core/types.ts'
import type { OffsetHash, PeerProof } from '../ports.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import { recount } from './recount.ts'

export interface Surroundings {
  /** As the newest map has it. */
  placement(replica: Replica): MapPlacement | undefined
  nodes(): readonly MapNode[]
  /** Serves it no more and builds it again. @param trusted - nodes that have it right; none = only the log does */
  convict(replica: Replica, why: string, trusted: readonly string[]): void
}

/** What is compared: the chain from an offset on, or the content at one. */
interface Subject {
  readonly kind: 'chain' | 'content'
  readonly at: Offset
}

interface Heard {
  readonly verdict: Verdict
  /** Somebody is still hashing what is asked for. */
  readonly pending: boolean
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What the replica can show, in the words in which peers say it. */
export const proofOf = ({ evidence, state }: Replica): PeerProof => ({
  chains: evidence.chains(state).map(({ at, chain }) => ({ at, hash: hex(chain) })),
  contents: evidence.hashings.map(({ at, content }) => ({ at, hash: content?.hash })),
})

export class Equality {
  readonly #context: NodeContext
  readonly #around: Surroundings
  readonly #closing = new AbortController()
  readonly #asking = new Set<Promise<void>>()
  /** Replicas whose chain is being judged, or was lately: until when. */
  readonly #judged = new WeakMap<Replica, number>()
  /** Replicas whose content is being compared, and those beside which the log is replayed: once at a time. */
  readonly #comparing = new WeakSet<Replica>()
  readonly #recounting = new WeakSet<Replica>()

  /** Those of which a person has to say whether they are right. */
  readonly #disputed = new Set<Replica>()
  /** What was found wrong last, by partition. */
  readonly #wrong = new Map<string, { readonly at: Offset; readonly why: string }>()

  constructor(context: NodeContext, around: Surroundings) {
    this.#context = context
    this.#around = around
  }

  /** A mark has another chain there than the replica. */
  suspect(replica: Replica, at: Offset): void {
    const { clock } = this.#context.options
    if ((this.#judged.get(replica) ?? 0) > clock.elapsed()) return
    this.#judged.set(replica, Infinity)
    this.#begin(replica, { kind: 'chain', at }, () => this.#judged.set(replica, clock.elapsed() + JUDGED_MS))
  }

  /** A peer says that its chain is another than the one here. */
  heard(replica: Replica, { at, hash }: OffsetHash): void {
    const own = proofOf(replica).chains.find((one) => one.at === at)
    if (replica.status === 'live' && own !== undefined && own.hash !== hash) this.suspect(replica, at)
  }

  /** The content of the replica was hashed as of an offset. */
  compare(replica: Replica, at: Offset): void {
    if (this.#comparing.has(replica)) return
    this.#comparing.add(replica)
    this.#begin(replica, { kind: 'content', at }, () => this.#comparing.delete(replica))
  }

  /** Where the partition's replica on this node was last found wrong; it may be another one since. */
  wrong(replica: Replica): { readonly at: Offset; readonly why: string } | undefined {
    return this.#wrong.get(nameOf(replica))
  }

  /** Somebody says that the replica is wrong. @returns nodes that it is built from @throws FIELD_INVALID, PARTITION_STOPPED */
  async giveUp(replica: Replica): Promise<readonly string[]> {
    const { nodeId, askPeer } = this.#context.options
    const { partition, next } = replica.state
    const replicas = this.#around.placement(replica)?.replicas ?? []
    const peers = this.#around
      .nodes()
      .filter((node) => node.nodeId !== nodeId && replicas.includes(node.nodeId))
    // The map may count on one that is dead already.
    const answered = new Set<string>()
    await Promise.allSettled(
      peers.map(async (peer) => {
        if ((await askPeer?.(peer, { topic: replica.topic, partition, suspicion: undefined })) !== undefined)
          answered.add(peer.nodeId)
      }),
    )
    const others = [...answered]
    if (replica.refused !== undefined) throw replica.refused
    if (others.length === 0)
      throw new TidemarkError(
        'FIELD_INVALID',
        `no other node answers with a live replica of ${nameOf(replica)}: the one here may be the last`,
        { metadata: { field: 'partition' } },
      )
    this.#convict(replica, next, `${nameOf(replica)} was given up on request, to be built again`, others)
    return others
  }

  /** No one can say which of some replicas is right, or that is over. */
  #dispute(replica: Replica, is: boolean): void {
    if (is) this.#disputed.add(replica)
    else this.#disputed.delete(replica)
    for (const one of this.#disputed) if (one.refused !== undefined) this.#disputed.delete(one)
    this.#context.options.telemetry.meters.levels['replicas.disputed'] = this.#disputed.size
  }

  #convict(replica: Replica, at: Offset, why: string, trusted: readonly string[]): void {
    this.#wrong.set(nameOf(replica), { at, why })
    this.#around.convict(replica, why, trusted)
    this.#dispute(replica, false)
  }

  /** Before the store is closed. */
  async close(): Promise<void> {
    this.#closing.abort()
    await Promise.all(this.#asking)
  }

  #begin(replica: Replica, subject: Subject, done: () => void): void {
    if (this.#closing.signal.aborted) return
    const asking = this.#inquire(replica, subject)
      .catch((caught: unknown) => {
        if (this.#isOver(replica)) return
        const { message } = TidemarkError.from(caught)
        this.#context.options.telemetry.trouble(
          `whether ${nameOf(replica)} is right could not be found out: ${message}`,
        )
      })
      .finally(() => {
        done()
        this.#asking.delete(asking)
      })
    this.#asking.add(asking)
  }

  #isOver(replica: Replica): boolean {
    return this.#closing.signal.aborted || replica.refused !== undefined
  }

  async #inquire(replica: Replica, subject: Subject): Promise<void> {
    for (let tries = 1; !this.#isOver(replica);) {
      const { verdict, pending } = await this.#ask(replica, subject)
      const late = tries >= PROOF_TRIES_MAX
      if (verdict.kind !== 'open') return this.#follow(replica, subject, verdict)
      // Those who could decide do not answer: the log is asked instead.
      if (late) return verdict.disputed ? this.#recount(replica, subject) : undefined
      if (!pending) tries += 1
      await this.#context.options.clock.sleep(PROOF_RETRY_MS)
    }
  }

  async #ask(replica: Replica, { kind, at }: Subject): Promise<Heard> {
    const { nodeId, askPeer } = this.#context.options
    const replicas = this.#around.placement(replica)?.replicas ?? []
    if (askPeer === undefined || !replicas.includes(nodeId))
      return { verdict: { kind: 'open', disputed: false }, pending: false }
    const { topic } = replica
    const { partition } = replica.state
    const own = proofOf(replica)
    const suspicion = kind === 'chain' ? own.chains.find((one) => one.at === at) : undefined
    const peers = this.#around
      .nodes()
      .filter((node) => node.nodeId !== nodeId && replicas.includes(node.nodeId))
    const hashes = new Map([[nodeId, hashesOf(own, { kind, at })]])
    let pending = false
    await Promise.all(
      peers.map(async (peer) => {
        const proof = await askPeer(peer, { topic, partition, suspicion }).catch(() => undefined)
        if (proof === undefined) return
        hashes.set(peer.nodeId, hashesOf(proof, { kind, at }))
        pending ||=
          kind === 'content' && proof.contents.some((one) => one.at === at && one.hash === undefined)
      }),
    )
    return { verdict: judge({ own: nodeId, replicas, hashes }), pending }
  }

  async #follow(
    replica: Replica,
    subject: Subject,
    verdict: Exclude<Verdict, { kind: 'open' }>,
  ): Promise<void> {
    const { telemetry } = this.#context.options
    switch (verdict.kind) {
      case 'alone':
      case 'equal':
        this.#dispute(replica, false)
        return
      case 'upheld':
        this.#dispute(replica, false)
        telemetry.trouble(
          `${nameOf(replica)}: ${verdict.wrong.map((id) => `node ${id}`).join(', ')} has ${WORDS[subject.kind]} at offset ${verdict.at} than most replicas, this one among them`,
        )
        return
      case 'convicted':
        this.#convict(
          replica,
          verdict.at as Offset,
          `${nameOf(replica)} has ${WORDS[subject.kind]} at offset ${verdict.at} than most of its replicas have (nodes ${verdict.agreed.join(', ')})`,
          verdict.agreed,
        )
        return
      case 'tied':
        return this.#recount(replica, subject, verdict)
      default:
        verdict satisfies never
    }
  }

  /** Asks the log. Until it has answered, and where it cannot, the replica serves on: nobody is known to be better. */
  async #recount(
    replica: Replica,
    { kind, at: from }: Subject,
    tie?: Extract<Verdict, { kind: 'tied' }>,
  ): Promise<void> {
    const { telemetry, log } = this.#context.options
    const shown = hashesOf(proofOf(replica), { kind, at: from })
    const at = (tie?.at ?? Math.max(...shown.keys())) as Offset
    const own = shown.get(at)
    if (own === undefined || this.#recounting.has(replica)) return
    const others = tie?.others ?? new Map<string, string>()
    const { signal } = this.#closing
    const dispute = `${nameOf(replica)} has ${WORDS[kind]} at offset ${at} than ${[...others.keys()].map((id) => `node ${id}`).join(', ') || 'another replica'}, and no majority says which is right`
    telemetry.trouble(`${dispute}: the log is replayed to find out`)
    this.#recounting.add(replica)
    const done = await this.#context.builds.take(signal)
    try {
      const counted = await recount(log, replica, at, this.#context.hashing, signal)
      if (this.#isOver(replica)) return
      if (counted === undefined) {
        telemetry.trouble(
          `${dispute}; the log does not reach back to its first record. Say which is wrong (tidemark cluster rebuild), or restore a snapshot that is known to be good`,
        )
        this.#dispute(replica, true)
        return
      }
      const right = kind === 'chain' ? counted.chain : counted.content.hash
      this.#dispute(replica, false)
      if (own === right) telemetry.recovered(`${nameOf(replica)} is right: a replay of the log has it, too`)
      else
        this.#convict(
          replica,
          at,
          `${nameOf(replica)} has ${WORDS[kind]} at offset ${at} than a replay of the log comes to`,
          [...others].filter(([, hash]) => hash === right).map(([nodeId]) => nodeId),
        )
    } finally {
      this.#recounting.delete(replica)
      done()
    }
  }
}

const WORDS: Record<Subject['kind'], string> = { chain: 'another chain', content: 'other content' }

const nameOf = ({ keyspace, state }: Replica): string =>
  `partition ${state.partition} of keyspace ${keyspace}`

/** Chains from the offset on: once they went apart they stay apart. Contents at the offset only. */
function hashesOf(proof: PeerProof, { kind, at }: Subject): ReadonlyMap<number, string> {
  if (kind === 'chain')
    return new Map(proof.chains.filter((one) => one.at >= at).map(({ at: offset, hash }) => [offset, hash]))
  return new Map(
    proof.contents.flatMap((one) => (one.at === at && one.hash !== undefined ? [[one.at, one.hash]] : [])),
  )
}
