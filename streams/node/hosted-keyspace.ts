/**
 * One keyspace as this node hosts it: its replicas come and go as the map says, one step at a time for each partition.
 * A replica that leaves is taken out of sight first (new calls go elsewhere), then what is on its way gets a moment, then it is
 * closed, then its rows are dropped. A step that failed is tried again later; the map that is obeyed is always the newest.
 */
import type { ClusterMap, MapPlacement, MapSettings, MapTopic, TopicNeeds } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { GIVE_UP_MS, REBUILD_MS, SPARE_MS } from '../core/limits.ts'
import type { Partition } from '../core/types.ts'
import { DEFAULT_SETTINGS } from '../keyspace-settings.ts'
import { LocalKeyspace } from '../keyspace.ts'
import { elsewhere } from '../refusals.ts'
import type { TopicDescription } from '../log/log.ts'
import { quarantine, releaseReplica } from '../replica/catalogue.ts'
import type { Replica } from '../replica/replica.ts'
import { type Here, type Step, copiesElsewhere, nextStep } from './assignment.ts'
import type { NodeContext } from './context.ts'
import { readHead } from './keyspace-setup.ts'
import { LateSetup } from './late-setup.ts'
import { openReplica, openStored } from './open-replica.ts'

/** Milliseconds until a step that failed is tried again, and between two looks whether a leaving replica is done. */
const RETRY_MS = 1000
const LOOK_MS = 10

export class HostedKeyspace {
  readonly name: string
  readonly topic: TopicDescription
  readonly replicas = new Map<Partition, Replica>()
  /** What services see of it. */
  readonly face: LocalKeyspace
  /** What its leaders do where nobody set it up. */
  readonly lateSetup: LateSetup
  readonly #context: NodeContext
  /** Those that the store held when the node started: they catch up before the node is ready. */
  readonly #restarted = new Set<Partition>()
  readonly #steps = new Map<Partition, Promise<void>>()
  /** Replicas that the map gives to others, and since when. */
  readonly #spareSince = new Map<Partition, number>()
  readonly #rebuiltAt = new Map<Partition, number>()
  readonly #troubled = new Set<Partition>()
  /** Partitions whose replica was found wrong: nodes of which it may be copied; none = of nobody, the log has to make it. */
  readonly #trusted = new Map<Partition, readonly string[]>()
  #changing: Promise<void> = Promise.resolve()
  #head: MapSettings | undefined
  /** A creator's record stands in the topic: it was created on purpose, as one of this cluster. */
  #isSetUp = false
  #map: ClusterMap | undefined
  #placed: MapTopic | undefined
  readonly #closing = new AbortController()
  #closed: Promise<void> | undefined

  constructor(context: NodeContext, name: string, topic: TopicDescription) {
    this.#context = context
    this.name = name
    this.topic = topic
    this.lateSetup = new LateSetup(context, topic)
    const { log, clock } = context.options
    this.face = new LocalKeyspace({
      name,
      topic: topic.topic,
      partitions: topic.partitions,
      replication: context.options.replication,
      replicas: this.replicas,
      settings: () => this.#placed?.settings ?? this.#head,
      log,
      writer: context.writer,
      clock,
      draining$: context.draining$,
      watchers: context.watchers,
      pasts: context.pasts,
    })
  }

  /** Begins with what the store holds. */
  openStored(): void {
    for (let at = 0; at < this.topic.partitions; at++) {
      const partition = at as Partition
      const replica = openStored(this.#context, { keyspace: this.name, topic: this.topic, partition })
      if (replica === undefined) continue
      this.replicas.set(partition, replica)
      this.#restarted.add(partition)
    }
  }

  /** Reads the head of the log: it counts for as long as no replica here and no map knows better. @throws LOG_UNAVAILABLE */
  async learn(): Promise<void> {
    const head = await readHead(this.#context.options.log, this.topic, 0 as Partition)
    if (head === 'rows') this.#head = DEFAULT_SETTINGS
    if (typeof head !== 'object') return
    this.#head = head
    this.#isSetUp = true
    this.review()
  }

  /** Something is not known that the head of the log may tell. */
  get isIgnorant(): boolean {
    return this.face.settings === undefined || (!this.#isSetUp && this.isReplaced)
  }

  /** The topic stands in the place of one that this node has replicas of. */
  get isReplaced(): boolean {
    return [...this.replicas.values()].some((replica) => this.#isOfOldTopic(replica))
  }

  /** It was built from another topic of the name, which was deleted. */
  #isOfOldTopic({ stopped, state }: Replica): boolean {
    return stopped?.reason === 'TOPIC_RECREATED' && state.topicIdentity !== this.topic.identity
  }

  /** Changes of its settings, each after the one before. */
  oneByOne(change: () => Promise<void>): Promise<void> {
    const result = this.#changing.then(change)
    this.#changing = result.catch(() => undefined)
    return result
  }

  /** As the newest map has it; undefined before the first that knows this incarnation of the topic. */
  placement(partition: Partition): MapPlacement | undefined {
    return this.#placed?.placements[partition]
  }

  obey(map: ClusterMap): void {
    this.#map = map
    this.#placed = map.topics.find(
      ({ topic, identity }) => topic === this.topic.topic && identity === this.topic.identity,
    )
    this.review()
  }

  /** Takes the next step wherever there is one. */
  review(): void {
    for (let at = 0; at < (this.#placed?.placements.length ?? 0); at++) this.#advance(at as Partition)
  }

  /** Every replica that the map counts on is live; those that nobody else serves, or that the node started with, have caught up. */
  get ready(): boolean {
    const { nodeId } = this.#context.options
    return (this.#placed?.placements ?? []).every(({ replicas, warming }, at) => {
      const replica = this.replicas.get(at as Partition)
      if (replicas.includes(nodeId)) return replica?.status === 'live'
      if (!warming.includes(nodeId)) return true
      if (replicas.length === 0) return replica !== undefined && replica.status !== 'restoring'
      return !this.#restarted.has(at as Partition) || replica?.status !== 'restoring'
    })
  }

  /** Whether a keyspace that was just created can be used: each partition is served somewhere, and here where it should be. */
  get usable(): boolean {
    const { nodeId } = this.#context.options
    const placements = this.#placed?.placements ?? []
    const here = (partition: number): boolean => {
      const replica = this.replicas.get(partition as Partition)
      return replica?.stopped !== undefined || (replica?.status === 'live' && replica.state.configured)
    }
    return (
      placements.length > 0 &&
      placements.every(({ replicas }, at) => replicas.length > 0 && (!replicas.includes(nodeId) || here(at)))
    )
  }

  /**
   * What this node says of it to the others: what a replica here has read. Who has none says nothing, or an old setting could echo for
   * ever; the head of the log counts only until the map knows better.
   */
  get needs(): TopicNeeds {
    const { topic, identity, partitions } = this.topic
    const informed = [...this.replicas.values()].find(
      ({ state, refused }) => state.configured && refused === undefined,
    )
    const known = informed?.state ?? (this.#placed?.settings === undefined ? this.#head : undefined)
    const wanted = known?.replication ?? this.#placed?.replication ?? 0
    const replication = wanted === 0 ? this.#context.options.replication : wanted
    if (known === undefined) return { topic, identity, partitions, replication, settings: undefined }
    const { partitionBy, valueBytesMax, packing, defaultTtlMs } = known
    const settings = { partitionBy, valueBytesMax, packing, defaultTtlMs, replication: known.replication }
    return { topic, identity, partitions, replication, settings }
  }

  /** Leaves the rows where they are. Idempotent. */
  close(why?: TidemarkError): Promise<void> {
    this.#closed ??= this.#close(why)
    return this.#closed
  }

  async #close(why?: TidemarkError): Promise<void> {
    this.#closing.abort()
    const leaving = [...this.replicas.values()]
    await Promise.all(leaving.map((replica) => this.#leave(replica, why)))
    await Promise.all(this.#steps.values())
    // What a step opened meanwhile.
    await Promise.all([...this.replicas.values()].map((replica) => this.#leave(replica, why)))
  }

  /** Closes it and drops all rows: the topic is gone. */
  async drop(why: TidemarkError): Promise<void> {
    await this.close(why)
    this.replicas.clear()
    for (let at = 0; at < this.topic.partitions; at++)
      releaseReplica(this.#context.options.store, this.topic.topic, at as Partition)
  }

  async #leave(replica: Replica, why?: TidemarkError): Promise<void> {
    await replica.close(why)
    this.#context.writer.forget(replica)
  }

  /**
   * The replica was found wrong: it is served no more, here and after a restart, and built again.
   * @param trusted - nodes that are known to have it right; none = only the log does
   */
  convict(replica: Replica, why: string, trusted: readonly string[]): void {
    const { partition } = replica.state
    if (this.replicas.get(partition) !== replica || replica.stopped !== undefined) return
    this.#trusted.set(partition, trusted)
    replica.stop(new TidemarkError('REPLICA_DIVERGED', why))
    try {
      quarantine(this.#context.options.store, this.topic.topic, partition, why)
    } catch (caught) {
      this.#context.options.telemetry.trouble(
        `the quarantine of partition ${partition} of ${this.topic.topic} could not be kept: ${TidemarkError.from(caught).message}`,
      )
    }
    this.#context.announce()
    this.review()
  }

  // ---- steps ----

  #next(partition: Partition): Step {
    const { nodeId, clock, bootstrap } = this.#context.options
    const placement = this.placement(partition)
    if (placement === undefined || this.#map === undefined || this.#closed !== undefined) return 'keep'
    const copies = copiesElsewhere(this.#map, nodeId, this.#placed?.replication ?? 1)
    const step = nextStep(this.#here(partition), nodeId, placement, copies)
    if (step !== 'close') this.#spareSince.delete(partition)
    else return this.#isSpent(partition, this.#map) ? step : 'keep'
    if (step !== 'rebuild') return step
    if (this.replicas.get(partition)?.stopped?.reason === 'LOG_TRIMMED' && bootstrap === undefined)
      return 'keep'
    return clock.elapsed() - (this.#rebuiltAt.get(partition) ?? -Infinity) < REBUILD_MS ? 'keep' : step
  }

  #here(partition: Partition): Here {
    const replica = this.replicas.get(partition)
    if (replica === undefined) return { state: 'none' }
    if (replica.stopped === undefined) return { state: 'running' }
    const { reason } = replica.stopped
    if (reason !== 'TOPIC_RECREATED')
      return { state: 'stopped', reason, rebuildable: this.#trusted.get(partition)?.length === 0 }
    if (this.#isOfOldTopic(replica)) return { state: 'old', replaced: this.#isSetUp }
    // What the map says may be of the old topic still, until this node has looked at the log.
    return { state: 'old', replaced: false }
  }

  /** It was not needed for long enough, and this node stays: one that drains may come back, and finds what it had. */
  #isSpent(partition: Partition, map: ClusterMap): boolean {
    const { nodeId, clock, spareMs = SPARE_MS } = this.#context.options
    if (map.nodes.find((node) => node.nodeId === nodeId)?.draining === true) return false
    const now = clock.elapsed()
    const since = this.#spareSince.get(partition) ?? now
    this.#spareSince.set(partition, since)
    return now - since >= spareMs
  }

  /** Looks again at replicas that are not needed any more. */
  reviewSpare(): void {
    for (const partition of this.#spareSince.keys()) this.#advance(partition)
  }

  #advance(partition: Partition): void {
    if (this.#steps.has(partition)) return
    const step = this.#next(partition)
    if (step === 'keep') return
    const { telemetry, clock } = this.#context.options
    const name = `partition ${partition} of ${this.topic.topic}`
    const taken = this.#take(step, partition)
      .then(
        () => {
          if (this.#troubled.delete(partition)) telemetry.recovered(`${name} moves on`)
        },
        async (caught: unknown) => {
          if (this.#closed !== undefined) return
          if (!this.#troubled.has(partition))
            telemetry.trouble(`${name} cannot ${step} here: ${TidemarkError.from(caught).message}`)
          this.#troubled.add(partition)
          await clock.sleep(RETRY_MS)
        },
      )
      .then(() => {
        this.#steps.delete(partition)
        this.#context.changed()
        this.#advance(partition)
      })
    this.#steps.set(partition, taken)
  }

  async #take(step: Exclude<Step, 'keep'>, partition: Partition): Promise<void> {
    if (step === 'open') return this.#open(partition)
    if (step === 'rebuild') {
      this.#rebuiltAt.set(partition, this.#context.options.clock.elapsed())
      this.#restarted.delete(partition)
    }
    await this.#giveUp(partition)
  }

  async #open(partition: Partition): Promise<void> {
    const opening = { keyspace: this.name, topic: this.topic, partition }
    const live = this.placement(partition)?.replicas ?? []
    const { nodeId } = this.#context.options
    const trusted = this.#trusted.get(partition)
    const sources = (this.#map?.nodes ?? []).filter(
      (node) =>
        node.nodeId !== nodeId && live.includes(node.nodeId) && trusted?.includes(node.nodeId) !== false,
    )
    const replica = await openReplica(this.#context, opening, {
      sources,
      signal: this.#closing.signal,
      wanted: () => this.#next(partition) === 'open',
      fromLog: trusted?.length === 0,
    })
    if (replica === undefined) return
    this.#trusted.delete(partition)
    this.replicas.set(partition, replica)
  }

  async #giveUp(partition: Partition): Promise<void> {
    const { options, writer } = this.#context
    const replica = this.replicas.get(partition)
    if (replica !== undefined) {
      this.replicas.delete(partition)
      // The others hear of it before anything is deleted.
      this.#context.announce()
      const deadline = options.clock.elapsed() + GIVE_UP_MS
      while (
        replica.stopped === undefined &&
        (writer.owes(replica) || replica.waiters.size > 0) &&
        options.clock.elapsed() < deadline
      )
        await options.clock.sleep(LOOK_MS)
      await this.#leave(replica, elsewhere(this.name, partition))
    }
    this.#spareSince.delete(partition)
    releaseReplica(options.store, this.topic.topic, partition)
  }
}
