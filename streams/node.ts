/**
 * One node: puts log, store, membership, replicas and writer together, and is the face that services see. Opening order: store,
 * keyspaces as the log has them, replicas, leadership; closing is the reverse. Everything that can be refused is refused here,
 * before the first request: a foreign or locked data directory, an unsafe topic, a recreated topic, a changed partition count.
 */
import { BehaviorSubject } from 'rxjs'
import { must } from './core/assert.ts'
import { FORMAT_VERSION } from './core/decode.ts'
import { encodeFormat, encodeLead, encodeTick } from './core/encode.ts'
import { TidemarkError } from './core/errors.ts'
import { metaKey } from './core/keys.ts'
import { KEYSPACES_MAX, TICK_MS, VALUE_BYTES_MAX } from './core/limits.ts'
import { decodeState, newState } from './core/state.ts'
import { EMPTY } from './core/bytes.ts'
import type { NewRecord, Offset, Partition } from './core/types.ts'
import type {
  Keyspace,
  KeyspaceInfo,
  KeyspaceSettings,
  NodeDescription,
  ReplicaStatus,
  TidemarkNode,
} from './face.ts'
import { LocalKeyspace } from './keyspace.ts'
import { checkKeyspace, differingSetting, isKeyspaceName } from './keyspace-settings.ts'
import type { Log, TopicDescription } from './log/log.ts'
import type { Membership } from './membership/membership.ts'
import type { Clock, Random, Telemetry } from './ports.ts'
import { claimStore, prefixOf } from './replica/catalogue.ts'
import { Replica } from './replica/replica.ts'
import { Writer } from './replica/writer.ts'
import type { Store } from './store/store.ts'

export interface NodeOptions {
  readonly cluster: string
  readonly nodeId: string
  /** Where peers and clients reach this node: `host:port`. */
  readonly address: string
  /** Failure domain; empty = not known. */
  readonly zone: string
  readonly log: Log
  readonly logKind: 'embedded' | 'kafka' | 'memory'
  readonly store: Store
  readonly membership: Membership
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  /** Partitions of keyspaces that do not say otherwise. */
  readonly partitions: number
  readonly replication: number
  /** Development: topics that can lose acknowledged writes are served all the same. */
  readonly dev: boolean
}

const DEFAULT_KEYSPACE = 'default'
/** Milliseconds for the first records of a keyspace to be applied. */
const OPEN_DEADLINE_MS = 30_000
/** Milliseconds for a control record of the leader, and until a failed one is tried again. */
const ACT_DEADLINE_MS = 5000
const ACT_RETRY_MS = 1000

/** @throws TOPIC_UNSAFE, STORE_FOREIGN, STORE_CORRUPT, LOG_UNAVAILABLE */
export async function openNode(options: NodeOptions): Promise<TidemarkNode> {
  claimStore(options.store, {
    cluster: options.cluster,
    nodeId: options.nodeId,
    logIdentity: options.log.identity,
  })
  const node = new LocalNode(options)
  await node.open()
  return node
}

class LocalNode implements TidemarkNode {
  readonly description: NodeDescription
  readonly #options: NodeOptions
  readonly #keyspaces = new Map<string, LocalKeyspace>()
  readonly #writer: Writer
  readonly #draining$ = new BehaviorSubject(false)
  readonly #watchers = { count: 0 }
  readonly #incarnation: string
  readonly #listeners = new Set<(ready: boolean) => void>()
  readonly #stops: (() => void)[] = []
  /** What membership wants this node to lead: topic/partition. */
  #leads: ReadonlySet<string> = new Set()
  /** When the leader may act next on a replica; Infinity while it does. */
  readonly #nextAct = new Map<Replica, number>()
  #wasReady = false
  #closed: Promise<void> | undefined

  constructor(options: NodeOptions) {
    this.#options = options
    this.#incarnation = options.random.id(9)
    this.#writer = new Writer(options.log, options.clock, `w${this.#incarnation}`)
    this.description = {
      cluster: options.cluster,
      nodeId: options.nodeId,
      logIdentity: options.log.identity,
      logKind: options.logKind,
      format: FORMAT_VERSION,
    }
  }

  async open(): Promise<void> {
    const { log, cluster, partitions, clock, membership } = this.#options
    this.#openKeyspace(DEFAULT_KEYSPACE, await this.#ensureTopic(DEFAULT_KEYSPACE, { partitions }))
    const prefix = `${cluster}.`
    for (const topic of await log.listTopics(prefix)) {
      const name = topic.slice(prefix.length)
      if (!this.#keyspaces.has(name) && isKeyspaceName(name))
        this.#openKeyspace(name, await this.#ensureTopic(name, {}))
    }
    await Promise.all([...this.#keyspaces.values()].map((keyspace) => this.#format(keyspace, { partitions })))
    const leads = membership.map$.subscribe(({ topics }) => {
      this.#leads = new Set(
        topics.flatMap(({ topic, placements }) =>
          placements.flatMap(({ leader }, at) => (leader === this.#options.nodeId ? [`${topic}/${at}`] : [])),
        ),
      )
    })
    this.#stops.push(
      clock.every(TICK_MS, () => {
        this.#everyTick()
      }),
      () => {
        leads.unsubscribe()
      },
    )
    this.#announce()
  }

  // ---- keyspaces ----

  keyspace(name: string): Keyspace {
    const keyspace = this.#keyspaces.get(name === '' ? DEFAULT_KEYSPACE : name)
    if (keyspace === undefined)
      throw new TidemarkError('KEYSPACE_NOT_FOUND', `there is no keyspace "${name}"`, {
        metadata: { keyspace: name },
      })
    return keyspace
  }

  keyspaces(): readonly KeyspaceInfo[] {
    return [...this.#keyspaces.values()].map(({ info }) => info).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async createKeyspace(name: string, settings: Partial<KeyspaceSettings>): Promise<KeyspaceInfo> {
    checkKeyspace(name, settings)
    if (this.#draining$.value) throw new TidemarkError('NODE_DRAINING', 'the node is shutting down')
    if (!this.#keyspaces.has(name)) {
      if (this.#keyspaces.size >= KEYSPACES_MAX)
        throw new TidemarkError('OVERLOADED', `the node has ${KEYSPACES_MAX} keyspaces, its bound`)
      this.#openKeyspace(name, await this.#ensureTopic(name, settings))
      this.#announce()
    }
    const keyspace = must(this.#keyspaces.get(name), 'the keyspace just opened')
    await this.#format(keyspace, settings)
    const { info } = keyspace
    const differing = differingSetting(info, settings)
    if (differing !== undefined)
      throw new TidemarkError('KEYSPACE_EXISTS', `keyspace "${name}" exists with another ${differing}`, {
        metadata: { keyspace: name, field: differing },
      })
    return info
  }

  async #ensureTopic(name: string, settings: Partial<KeyspaceSettings>): Promise<TopicDescription> {
    const { log, cluster, partitions, replication, dev } = this.#options
    const topic = `${cluster}.${name}`
    const description =
      (await log.describeTopic(topic)) ??
      (await log.createTopic(topic, {
        partitions: settings.partitions ?? partitions,
        valueBytesMax: settings.valueBytesMax ?? VALUE_BYTES_MAX,
        replication: dev ? 1 : replication,
      }))
    if (!dev && description.unsafe.length > 0)
      throw new TidemarkError(
        'TOPIC_UNSAFE',
        `topic ${topic} can lose acknowledged writes: ${description.unsafe.join('; ')}. ` +
          'On a development machine TIDEMARK_DEV=1 serves it all the same',
        { metadata: { topic } },
      )
    return description
  }

  /**
   * The settings of a keyspace are the first record of each of its partitions: replicas read them from the log, never from a node.
   * Of two creators the first record wins. Resolves when the replicas know them.
   */
  async #format(keyspace: LocalKeyspace, settings: Partial<KeyspaceSettings>): Promise<void> {
    const { log, clock } = this.#options
    const record = encodeFormat({
      version: FORMAT_VERSION,
      separator: settings.partitionBy?.kind === 'prefix' ? settings.partitionBy.separator : EMPTY,
      valueBytesMax: settings.valueBytesMax ?? VALUE_BYTES_MAX,
      packingDisabled: settings.packing === false,
    })
    const deadline = clock.now() + OPEN_DEADLINE_MS
    await Promise.all(
      keyspace.replicas.map(async (replica) => {
        if (replica.state.configured || replica.stopped !== undefined) return
        try {
          const { end } = await log.offsets(replica.topic, replica.state.partition)
          // What stands in the log already (a lead record, rubbish of a stranger) need not have settled anything.
          while (!replica.state.configured && replica.state.next < end)
            await replica.waiters.wait((replica.state.next + 1) as Offset, deadline)
          if (!replica.state.configured) await this.#writer.control(replica, record, deadline)
        } catch (caught) {
          // A partition that has stopped says why to those who ask for it; the others are served.
          if (replica.stopped === undefined) throw caught
        }
      }),
    )
  }

  #openKeyspace(name: string, description: TopicDescription): void {
    if (this.#keyspaces.has(name)) return
    const { store, log, clock, telemetry } = this.#options
    const { topic, identity, partitions } = description
    const replicas = Array.from({ length: partitions }, (_, at) => {
      const partition = at as Partition
      const prefix = prefixOf(store, topic, partition)
      const stored = store.getMany([metaKey(prefix)])[0]
      const state = stored === undefined ? newState(partition, partitions, identity) : decodeState(stored)
      return new Replica({ keyspace: name, topic, prefix, state, store, log, clock, telemetry })
    })
    this.#keyspaces.set(
      name,
      new LocalKeyspace({
        name,
        topic,
        replicas,
        log,
        writer: this.#writer,
        clock,
        draining$: this.#draining$,
        watchers: this.#watchers,
      }),
    )
    for (const replica of replicas) {
      const mismatch = mismatchOf(replica, description)
      if (mismatch === undefined) replica.start()
      else replica.stop(mismatch)
    }
  }

  #announce(): void {
    const { nodeId, address, zone, membership, replication } = this.#options
    membership.announce({
      nodeId,
      incarnation: this.#incarnation,
      address,
      zone,
      draining: this.#draining$.value,
      topics: [...this.#keyspaces.values()].map((keyspace) => ({
        topic: keyspace.info.topic,
        identity: must(keyspace.replicas[0], 'a replica').state.topicIdentity,
        partitions: keyspace.info.partitions,
        replication,
        settings: keyspace.info,
      })),
      held: [],
      handovers: [],
    })
  }

  *#replicas(): IterableIterator<Replica> {
    for (const keyspace of this.#keyspaces.values()) yield* keyspace.replicas
  }

  // ---- leading ----

  /** Leads what membership says, ticks idle partitions with rows that are due, ends waits whose deadline has passed. */
  #everyTick(): void {
    const now = this.#options.clock.now()
    for (const replica of this.#replicas()) {
      replica.waiters.expire(now, () => lateRead(replica))
      if (this.#draining$.value || replica.status !== 'live') continue
      if (!this.#leads.has(`${replica.topic}/${replica.state.partition}`)) continue
      const { incarnation, epoch, time } = replica.state
      // Its offset becomes the epoch once it is applied; until then this node acts as leader of nothing here.
      if (incarnation !== this.#incarnation)
        this.#act(replica, encodeLead(this.#options.nodeId, this.#incarnation))
      else if (replica.nextDue() <= Math.max(now, time)) this.#act(replica, encodeTick(epoch))
    }
    this.#noticeReady()
  }

  /** One control record at a time for each replica; a failed one is tried again at a later look. */
  #act(replica: Replica, record: NewRecord): void {
    const { clock } = this.#options
    const now = clock.now()
    if (now < (this.#nextAct.get(replica) ?? 0)) return
    this.#nextAct.set(replica, Infinity)
    this.#writer.control(replica, record, now + ACT_DEADLINE_MS).then(
      () => this.#nextAct.set(replica, 0),
      () => this.#nextAct.set(replica, clock.now() + ACT_RETRY_MS),
    )
  }

  // ---- state ----

  replicas(): readonly ReplicaStatus[] {
    return [...this.#replicas()].map((replica) => {
      const { partition, next, epoch, leader, rows, chain, time, rejected, historyStart } = replica.state
      return {
        keyspace: replica.keyspace,
        partition,
        state: replica.status,
        next,
        logEnd: Math.max(replica.logEnd, next) as Offset,
        logEndAgeMs: replica.logEndAgeMs,
        epoch,
        leader,
        rows,
        chainHash: hex(chain),
        time,
        rejected,
        historyStart,
        stopped: replica.stopped,
        checkpoints: replica.state.checkpoints.map(({ at, chain: hash }) => ({ at, chainHash: hex(hash) })),
      }
    })
  }

  get ready(): boolean {
    if (this.#draining$.value || !this.#options.log.healthy) return false
    for (const replica of this.#replicas()) if (replica.status !== 'live') return false
    return true
  }

  onReady(listener: (ready: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  #noticeReady(): void {
    const { ready } = this
    if (ready === this.#wasReady) return
    this.#wasReady = ready
    for (const listener of this.#listeners) listener(ready)
  }

  close(deadline: number): Promise<void> {
    this.#closed ??= this.#close(deadline)
    return this.#closed
  }

  async #close(deadline: number): Promise<void> {
    this.#draining$.next(true)
    this.#noticeReady()
    await this.#writer.drain(deadline)
    for (const stop of this.#stops) stop()
    await this.#options.membership.close()
    await Promise.all([...this.#replicas()].map((replica) => replica.close()))
    await this.#options.store.close()
    await this.#options.log.close()
    this.#draining$.complete()
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** The replica was built from another topic than the one that stands there now. */
function mismatchOf(replica: Replica, found: TopicDescription): TidemarkError | undefined {
  const { topicIdentity, partitions } = replica.state
  if (topicIdentity !== found.identity)
    return new TidemarkError(
      'TOPIC_RECREATED',
      `topic ${found.topic} was deleted and created again: the replica was built from ${topicIdentity}, this is ${found.identity}`,
    )
  if (partitions !== found.partitions)
    return new TidemarkError(
      'PARTITIONS_CHANGED',
      `topic ${found.topic} has ${found.partitions} partitions, the keyspace was created with ${partitions}: keys would move`,
    )
  return undefined
}

const lateRead = (replica: Replica): TidemarkError => {
  const { partition, next } = replica.state
  const { status, logEnd } = replica
  return status === 'restoring'
    ? new TidemarkError(
        'PARTITION_RESTORING',
        `partition ${partition} of keyspace ${replica.keyspace} is being restored: ${next} of ${logEnd}`,
      )
    : new TidemarkError(
        'DEADLINE_EXCEEDED',
        `the deadline passed before partition ${partition} of keyspace ${replica.keyspace} was fresh enough: it has applied ${next}, the log ends at ${logEnd}`,
      )
}
