/** Looks at every node of a cluster again and again: who leads, how far each replica is, who stands still. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type ClusterDescription, type Tidemark, connect } from '../../services/client/index.ts'
import { PauseMeter } from './gaps.ts'
import type { NodeProcess } from './node-process.ts'

/** Milliseconds between two looks at a node. */
const LOOK_MS = 20
const LOOK_DEADLINE_MS = 2000

export class Eye {
  /** Of the replicas of nodes that nobody disturbs. */
  readonly pauses = new PauseMeter()
  readonly #described = new Map<string, ClusterDescription>()
  readonly #disturbed = new Set<string>()
  readonly #clients = new Map<string, Tidemark>()
  readonly #endOf: (partition: number) => number
  readonly #loops: Promise<void>[] = []
  #open = true

  /** @param endOf - what a replica of a partition of the default keyspace could have applied by now */
  constructor(endOf: (partition: number) => number) {
    this.#endOf = endOf
  }

  add(node: NodeProcess): void {
    const client = connect({ server: node.address, retryUnreachable: false, deadlineMs: LOOK_DEADLINE_MS })
    this.#clients.set(node.id, client)
    this.#loops.push(this.#look(node.id, client))
  }

  /** Its pauses do not count while `work` goes on, and what it said is forgotten. */
  async disturbing<T>(nodeId: string, work: () => Promise<T>): Promise<T> {
    this.#disturbed.add(nodeId)
    try {
      return await work()
    } finally {
      this.#disturbed.delete(nodeId)
    }
  }

  /** Who leads each partition of the default keyspace, as the newest epoch has it. */
  leaders(): string[] {
    const newest: { epoch: number; leader: string }[] = []
    for (const [nodeId, { replicas }] of this.#described) {
      if (this.#disturbed.has(nodeId)) continue
      for (const { keyspace, partition, epoch, leader } of replicas) {
        if (keyspace !== 'default') continue
        const known = newest[partition]
        if (known === undefined || epoch > known.epoch) newest[partition] = { epoch, leader }
      }
    }
    return newest.map(({ leader }) => leader)
  }

  /** Partitions that this node leads. */
  ledBy(nodeId: string): number[] {
    return this.leaders().flatMap((leader, partition) => (leader === nodeId ? [partition] : []))
  }

  /** Milliseconds from now until others lead all these partitions. */
  async untilOthersLead(partitions: readonly number[], than: string, timeoutMs = 60_000): Promise<number> {
    const began = performance.now()
    for (;;) {
      const leaders = this.leaders()
      if (partitions.every((partition) => ![undefined, '', than].includes(leaders[partition])))
        return performance.now() - began
      if (performance.now() - began > timeoutMs)
        throw new Error(
          `after ${timeoutMs} ms ${than} still leads ${partitions.join(', ')}: ${leaders.join(', ')}`,
        )
      await sleep(5)
    }
  }

  async close(): Promise<void> {
    this.#open = false
    await Promise.all(this.#loops)
    await Promise.all([...this.#clients.values()].map((client) => client.close()))
  }

  async #look(nodeId: string, client: Tidemark): Promise<void> {
    while (this.#open) {
      const description = await descriptionOf(client)
      const at = performance.now()
      if (description === undefined || this.#disturbed.has(nodeId)) {
        for (const { partition } of this.#described.get(nodeId)?.replicas ?? [])
          this.pauses.forget(`${nodeId}/${partition}`)
        this.#described.delete(nodeId)
      } else {
        this.#described.set(nodeId, description)
        for (const { keyspace, partition, applied, state } of description.replicas) {
          if (keyspace !== 'default' || state !== 'live') continue
          this.pauses.look(`${nodeId}/${partition}`, applied, this.#endOf(partition), at)
        }
      }
      await sleep(LOOK_MS)
    }
  }
}

const descriptionOf = (client: Tidemark): Promise<ClusterDescription | undefined> =>
  client.describe().catch(() => undefined)
