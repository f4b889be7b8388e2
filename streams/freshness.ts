/**
 * Waits until a replica is as fresh as a read asks for: at once (eventual), until it has applied what a token saw (session), or
 * until it has applied everything that was acknowledged before the read began (linearizable; read-index.ts). Says which promise was kept.
 */
import { TidemarkError } from './core/errors.ts'
import type { Offset, Partition } from './core/types.ts'
import { dueAt } from './deadline.ts'
import type { Consistency, Freshness, Provenance, Token } from './face.ts'
import type { Log } from './log/log.ts'
import type { Clock } from './ports.ts'
import { ReadIndex } from './replica/read-index.ts'
import type { Replica } from './replica/replica.ts'
import type { Writer } from './replica/writer.ts'

export interface FreshenerOptions {
  readonly name: string
  readonly topic: string
  readonly partitions: number
  readonly log: Log
  readonly writer: Writer
  readonly clock: Clock
}

export class Freshener {
  readonly #options: FreshenerOptions
  readonly #readIndex: ReadIndex

  constructor(options: FreshenerOptions) {
    this.#options = options
    this.#readIndex = new ReadIndex(options.log, options.topic)
  }

  /** Waits until the replica is as fresh as asked for; resolves with the promise that is kept. */
  async of(replica: Replica, freshness: Freshness): Promise<Consistency> {
    const { token } = freshness
    const end = dueAt(this.#options.clock, freshness.deadline)
    if (token !== undefined) this.checkToken(token)
    const seen = token === undefined ? undefined : this.seen(token, replica.state.partition)
    const consistency = freshness.consistency ?? (seen === undefined ? 'linearizable' : 'session')
    if (consistency === 'eventual') return consistency
    // A token is honoured under every promise that waits: linearizable includes what the token saw.
    if (seen !== undefined && replica.state.next <= seen) {
      await this.checkReached(replica, seen)
      await this.#wait(replica, (seen + 1) as Offset, end)
    }
    if (consistency === 'linearizable') {
      const next = await this.#verifiedEnd(replica, end)
      if (next !== undefined && replica.state.next < next) await this.#wait(replica, next, end)
    }
    if (replica.refused !== undefined) throw replica.refused
    return consistency
  }

  /** @returns undefined when a barrier has been applied instead: then the replica is fresh already. */
  async #verifiedEnd(replica: Replica, end: number): Promise<Offset | undefined> {
    try {
      return await this.#readIndex.end(replica.state.partition)
    } catch (caught) {
      const error = TidemarkError.from(caught)
      if (error.reason !== 'LOG_UNAVAILABLE') throw error
      if (replica.refused !== undefined) throw replica.refused
      await this.#options.writer.barrier(replica, end)
      return undefined
    }
  }

  async #wait(replica: Replica, next: Offset, end: number): Promise<void> {
    if (replica.state.next >= next) return
    await replica.waiters.wait(next, end)
  }

  /** A token that names an offset which the log never gave is refused: waiting for it would never end. */
  async checkReached(replica: Replica, seen: Offset): Promise<void> {
    if (seen < replica.logEnd || seen < replica.state.next) return
    const { end } = await this.#options.log.offsets(this.#options.topic, replica.state.partition)
    if (seen < end) return
    throw new TidemarkError(
      'TOKEN_BEYOND_LOG',
      `the token names offset ${seen} of partition ${replica.state.partition}, the log ends at ${end}`,
      { metadata: { partition: String(replica.state.partition), log_end: String(end) } },
    )
  }

  checkToken(token: Token): void {
    const { identity } = this.#options.log
    if (token.logIdentity !== '' && token.logIdentity !== identity)
      throw new TidemarkError(
        'TOKEN_INVALID',
        `the token is of log ${token.logIdentity}, this node serves log ${identity}: drop the token`,
        { metadata: { log_identity: identity } },
      )
    for (const { keyspace, partition } of token.positions)
      if (keyspace === this.#options.name && partition >= this.#options.partitions)
        throw new TidemarkError(
          'TOKEN_INVALID',
          `the token names partition ${partition}, keyspace ${keyspace} has ${this.#options.partitions}`,
        )
  }

  seen(token: Token, partition: Partition): Offset | undefined {
    return token.positions.find(
      (position) => position.partition === partition && position.keyspace === this.#options.name,
    )?.offset
  }
}

/** Where and how fresh an answer of the replica is, now. */
export function provenance(replica: Replica, consistency: Consistency): Provenance {
  const { next, partition } = replica.state
  return {
    partition,
    applied: next === 0 ? undefined : ((next - 1) as Offset),
    logEnd: Math.max(replica.logEnd, next) as Offset,
    logEndAgeMs: replica.logEndAgeMs,
    consistency,
  }
}
