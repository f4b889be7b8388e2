/**
 * The simulated Kafka that all nodes of a world share: brokers, topics, and what happens among them by itself (followers copy).
 * Nodes reach it through a connection of their own (log.ts); strangers write to it directly.
 */
import type { Prng } from '../core/testing/prng.ts'
import type { Partition } from '../core/types.ts'
import { checkExisting, checkSettings } from '../log/embedded/refusals.ts'
import type { TopicDescription, TopicSettings } from '../log/log.ts'
import { BrokerPartition } from './broker-partition.ts'
import type { World } from './world.ts'

const MIN_IN_SYNC = 2

export interface Topic {
  readonly description: TopicDescription
  readonly settings: TopicSettings
  readonly partitions: readonly BrokerPartition[]
  deleted: boolean
}

export interface KafkaFaults {
  /** Milliseconds that a follower takes to copy, at most. */
  replicationMs: number
}

export class SimulatedKafka {
  readonly identity = 'simulated'
  readonly faults: KafkaFaults = { replicationMs: 0 }
  readonly brokers: readonly number[]
  /** Brokers that are down. */
  readonly down = new Set<number>()
  /** How far the clock of each broker is off, milliseconds. */
  readonly skew = new Map<number, number>()
  /** Where the times of records are those of another log: the time of the next one. */
  stamps: ((partition: BrokerPartition) => number | undefined) | undefined
  /** Every topic that there ever was, in the order of creation. */
  readonly all: Topic[] = []
  readonly #world: World
  readonly #random: Prng
  readonly #topics = new Map<string, Topic>()
  /** The topics as they were, newest last: what a broker that hears late still says. */
  readonly #past: { readonly at: number; readonly topics: ReadonlyMap<string, Topic> }[] = []
  readonly #copying = new Set<BrokerPartition>()

  constructor(world: World, brokers = 3) {
    this.#world = world
    this.#random = world.random('kafka')
    this.brokers = Array.from({ length: brokers }, (_, broker) => broker)
    this.#remember()
  }

  // ---- topics ----

  /** @param lateMs - as a broker says it that hears of changes so late */
  topic(name: string, lateMs = 0): Topic | undefined {
    if (lateMs === 0) return this.#topics.get(name)
    return this.#asOf(this.#world.now - lateMs).get(name)
  }

  topicNames(lateMs = 0): readonly string[] {
    return [...this.#asOf(this.#world.now - lateMs).keys()].sort()
  }

  #asOf(at: number): ReadonlyMap<string, Topic> {
    for (let n = this.#past.length - 1; n >= 0; n--) {
      const past = this.#past[n]
      if (past !== undefined && (past.at <= at || n === 0)) return past.topics
    }
    return this.#topics
  }

  #remember(): void {
    this.#past.push({ at: this.#world.now, topics: new Map(this.#topics) })
  }

  /** @throws KEYSPACE_EXISTS, FIELD_INVALID */
  create(name: string, settings: TopicSettings): Topic {
    checkSettings(name, settings)
    const existing = this.#topics.get(name)
    if (existing !== undefined) {
      checkExisting(name, existing.partitions.length, settings)
      return existing
    }
    const { partitions } = settings
    const topic: Topic = {
      description: { topic: name, identity: `topic-${this.all.length + 1}`, partitions, unsafe: [] },
      settings,
      partitions: Array.from({ length: partitions }, (_, at) => {
        const first = at % this.brokers.length
        const order = [...this.brokers.slice(first), ...this.brokers.slice(0, first)]
        return new BrokerPartition(order, MIN_IN_SYNC)
      }),
      deleted: false,
    }
    this.#topics.set(name, topic)
    this.all.push(topic)
    this.#remember()
    return topic
  }

  delete(name: string): void {
    const topic = this.#topics.get(name)
    if (topic === undefined) return
    this.#topics.delete(name)
    topic.deleted = true
    this.#remember()
    for (const partition of topic.partitions) partition.close()
  }

  partition(topic: string, partition: Partition): BrokerPartition | undefined {
    return this.#topics.get(topic)?.partitions[partition]
  }

  // ---- among the brokers ----

  /** What the clock of the partition's leader says. */
  timeOf(partition: BrokerPartition): number {
    const stamp = this.stamps?.(partition)
    if (stamp !== undefined) return stamp
    return this.#world.now + (this.skew.get(partition.leader ?? -1) ?? 0)
  }

  /** Followers copy what was appended; called after each append and after each fault. */
  stir(partition: BrokerPartition): void {
    if (this.#copying.has(partition)) return
    const behind = partition.behind().filter((broker) => !this.down.has(broker))
    if (behind.length === 0 || partition.leader === undefined) return
    const { replicationMs } = this.faults
    if (replicationMs === 0) {
      for (const broker of behind) partition.replicate(broker)
      return
    }
    this.#copying.add(partition)
    const broker = behind[this.#random.below(behind.length)] ?? 0
    this.#world.after(undefined, (this.#random.below(1000) / 1000) * replicationMs, () => {
      this.#copying.delete(partition)
      if (!this.down.has(broker)) partition.replicate(broker)
      this.stir(partition)
    })
  }

  stirAll(): void {
    for (const topic of this.#topics.values()) for (const partition of topic.partitions) this.stir(partition)
  }
}
