/**
 * The keyspaces of a node: those of which the log has a topic. The log is the truth; the node looks at it now and again, and at
 * once when the map or a replica says that something is not as it was. One change of this list at a time.
 *
 *   a new topic        → hosted, its replicas as the map says
 *   a topic is gone    → closed, rows dropped; on the word of a second look, or of a replica that found it deleted
 *   another identity   → the rows here are of a topic that is no more: the replicas stop and say so (invariant I5). They are built
 *                        anew where the new topic was created on purpose: it begins with a creator's `format` record
 */
import { must } from '../core/assert.ts'
import type { ClusterMap } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { KEYSPACES_MAX } from '../core/limits.ts'
import type { KeyspaceSettings } from '../face.ts'
import { DEFAULT_SETTINGS, changesOf } from '../keyspace-settings.ts'
import type { TopicDescription } from '../log/log.ts'
import { releaseReplica, storedReplicas, sweepBuilds } from '../replica/catalogue.ts'
import type { Replica } from '../replica/replica.ts'
import type { NodeContext } from './context.ts'
import { HostedKeyspace } from './hosted-keyspace.ts'
import { setUpKeyspace } from './keyspace-setup.ts'
import { Topics } from './topics.ts'

export const DEFAULT_KEYSPACE = 'default'
/** Looks in a row that must miss a topic before its rows are dropped: a broker may not have heard of it yet. */
const MISSING_LOOKS = 2

export class Keyspaces {
  readonly #context: NodeContext
  readonly #topics: Topics
  readonly #hosted = new Map<string, HostedKeyspace>()
  readonly #missing = new Map<string, number>()
  /** Topics that are not served, of which was told. */
  readonly #refused = new Set<string>()
  #map: ClusterMap | undefined
  #changing: Promise<unknown> = Promise.resolve()
  #looking: Promise<void> | undefined
  /** Why the last look failed, of which was told. */
  #blind = ''

  constructor(context: NodeContext) {
    this.#context = context
    this.#topics = new Topics(context.options)
  }

  /** What stands in the log and in the store. @throws TOPIC_UNSAFE, LOG_UNAVAILABLE */
  async open(): Promise<void> {
    const { log, store, partitions } = this.#context.options
    sweepBuilds(store)
    const { description } = await this.#topics.ensure(DEFAULT_KEYSPACE, { partitions })
    const topics = [description]
    for (const topic of await log.listTopics(this.#topics.prefix)) {
      const name = this.#topics.nameOf(topic)
      if (name === undefined || name === DEFAULT_KEYSPACE) continue
      const found = await log.describeTopic(topic)
      if (found !== undefined) topics.push(this.#topics.safe(found))
    }
    await Promise.all(topics.map((topic) => this.#exclusively(() => this.#stand(topic))))
    const standing = must(this.get(DEFAULT_KEYSPACE), 'the default keyspace')
    // A topic that somebody put in the place of ours is not made ours: what the store has may be the last copy.
    if (standing.isReplaced) return
    await setUpKeyspace(
      { log, appender: this.#context.appender },
      description,
      DEFAULT_SETTINGS,
      (partition) => standing.replicas.get(partition)?.state.configured === true,
    )
    if (standing.isIgnorant) await standing.learn()
  }

  get(name: string): HostedKeyspace | undefined {
    return this.#hosted.get(name)
  }

  get all(): IterableIterator<HostedKeyspace> {
    return this.#hosted.values()
  }

  *replicas(): IterableIterator<Replica> {
    for (const keyspace of this.#hosted.values()) yield* keyspace.replicas.values()
  }

  obey(map: ClusterMap): void {
    this.#map = map
    for (const keyspace of this.#hosted.values()) keyspace.obey(map)
    const known = (topic: string, identity: string): boolean =>
      this.#hosted.get(this.#topics.nameOf(topic) ?? '')?.topic.identity === identity
    if (map.topics.some(({ topic, identity }) => !known(topic, identity))) void this.look()
  }

  review(): void {
    for (const keyspace of this.#hosted.values()) keyspace.review()
  }

  // ---- changes that are asked for ----

  /** Safe against two creators at once: of two formats the first record wins. @throws KEYSPACE_EXISTS, OVERLOADED */
  async create(name: string, settings: Partial<KeyspaceSettings>): Promise<HostedKeyspace> {
    if (!this.#hosted.has(name)) this.#checkRoom()
    const { log } = this.#context.options
    const { description, created } = await this.#topics.ensure(name, settings)
    await setUpKeyspace({ log, appender: this.#context.appender }, description, {
      ...DEFAULT_SETTINGS,
      ...changesOf(settings),
    })
    return this.#exclusively(async () => {
      const keyspace = await this.#stand(description, created)
      if (keyspace.isIgnorant) await keyspace.learn()
      return keyspace
    })
  }

  /** Deletes the topic, and so the keyspace on all nodes. @throws KEYSPACE_NOT_FOUND */
  async delete(name: string): Promise<void> {
    await this.#exclusively(async () => {
      const keyspace = this.#hosted.get(name)
      if (keyspace === undefined) throw notFound(name)
      this.#hosted.delete(name)
      await keyspace.close(notFound(name))
      try {
        await this.#context.options.log.deleteTopic(keyspace.topic.topic)
      } catch (caught) {
        await this.#stand(keyspace.topic)
        throw caught
      }
      await this.#drop(keyspace)
    })
  }

  // ---- what others did ----

  /** Another node says that it has deleted this keyspace: the second witness, if the log misses it too. */
  async forget(name: string): Promise<void> {
    const keyspace = this.#hosted.get(name)
    if (keyspace === undefined) return
    this.#missing.set(keyspace.topic.topic, MISSING_LOOKS - 1)
    await this.#looking
    await this.look()
  }

  /** Looks at the log: joined by whoever asks while one look is running. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#exclusively(() => this.#look())
      .then(
        () => {
          if (this.#blind !== '') this.#context.options.telemetry.recovered('the topics of the log are read')
          this.#blind = ''
        },
        (caught: unknown) => {
          const { reason, message } = TidemarkError.from(caught)
          // The log tells of its own trouble; closing is none.
          if (reason === 'LOG_UNAVAILABLE' || reason === 'NODE_DRAINING' || message === this.#blind) return
          this.#context.options.telemetry.trouble(`the topics of the log cannot be read: ${message}`)
          this.#blind = message
        },
      )
      .finally(() => (this.#looking = undefined))
    return this.#looking
  }

  async #look(): Promise<void> {
    const { log } = this.#context.options
    const topics = new Set(await log.listTopics(this.#topics.prefix))
    for (const topic of topics) {
      const name = this.#topics.nameOf(topic)
      if (name === undefined || (this.#hosted.has(name) && !this.#isDoubtful(name))) continue
      const found = await log.describeTopic(topic)
      if (found !== undefined) await this.#discover(found)
    }
    for (const keyspace of [...this.#hosted.values()]) {
      if (topics.has(keyspace.topic.topic)) this.#missing.delete(keyspace.topic.topic)
      else if (await this.#isGone(keyspace.topic.topic, this.#isDoubtful(keyspace.name))) {
        this.#hosted.delete(keyspace.name)
        await this.#drop(keyspace)
      }
      if (keyspace.isIgnorant) await keyspace.learn()
    }
    await this.#releaseForgotten(topics)
  }

  async #discover(found: TopicDescription): Promise<void> {
    try {
      if (!this.#hosted.has(this.#topics.nameOf(found.topic) ?? '')) this.#checkRoom()
      await this.#stand(this.#topics.safe(found))
      this.#refused.delete(found.topic)
    } catch (caught) {
      const { reason, message } = TidemarkError.from(caught)
      if (reason !== 'TOPIC_UNSAFE' && reason !== 'OVERLOADED') throw caught
      if (!this.#refused.has(found.topic)) this.#context.options.telemetry.trouble(message)
      this.#refused.add(found.topic)
    }
  }

  /** What is known of the topic may be out of date. */
  #isDoubtful(name: string): boolean {
    const keyspace = this.#hosted.get(name)
    if (keyspace === undefined) return false
    const { topic } = keyspace
    const other = this.#map?.topics.find((one) => one.topic === topic.topic)
    if (other !== undefined && other.identity !== topic.identity) return true
    return [...keyspace.replicas.values()].some(
      ({ stopped, state }) => stopped?.reason === 'TOPIC_RECREATED' && state.topicIdentity === topic.identity,
    )
  }

  /** @param doubtful - a replica found it deleted: that is the second witness */
  async #isGone(topic: string, doubtful: boolean): Promise<boolean> {
    const looks = (this.#missing.get(topic) ?? 0) + 1
    this.#missing.set(topic, looks)
    if (looks < MISSING_LOOKS && !doubtful) return false
    if ((await this.#context.options.log.describeTopic(topic)) !== undefined) return false
    this.#missing.delete(topic)
    return true
  }

  /** Replicas whose topic was deleted while the node was away. */
  async #releaseForgotten(topics: ReadonlySet<string>): Promise<void> {
    const { store } = this.#context.options
    const gone = new Set<string>()
    for (const { topic } of storedReplicas(store)) {
      const name = this.#topics.nameOf(topic)
      if (name !== undefined && !topics.has(topic) && !this.#hosted.has(name)) gone.add(topic)
    }
    for (const topic of gone) {
      if (!(await this.#isGone(topic, false))) continue
      for (const stored of storedReplicas(store))
        if (stored.topic === topic) releaseReplica(store, topic, stored.partition)
    }
  }

  // ---- the list ----

  /** One change at a time: each sees what the one before it left. */
  #exclusively<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(change)
    this.#changing = result.catch(() => undefined)
    return result
  }

  /**
   * From here on the topic is hosted as it stands.
   * @param created - by this node, just now: what the store has under its name is of another one, and nobody wants it back
   */
  async #stand(topic: TopicDescription, created = false): Promise<HostedKeyspace> {
    const name = must(this.#topics.nameOf(topic.topic), 'the name of a keyspace')
    const known = this.#hosted.get(name)
    if (known?.topic.identity === topic.identity) return known
    if (known !== undefined) {
      this.#hosted.delete(name)
      await known.close(recreated(name))
    }
    if (created)
      for (const stored of storedReplicas(this.#context.options.store))
        if (stored.topic === topic.topic)
          releaseReplica(this.#context.options.store, topic.topic, stored.partition)
    const keyspace = new HostedKeyspace(this.#context, name, topic)
    keyspace.openStored()
    this.#hosted.set(name, keyspace)
    // Where the log does not answer now, the next look reads them.
    if (keyspace.isIgnorant) await keyspace.learn().catch(() => undefined)
    if (this.#map !== undefined) keyspace.obey(this.#map)
    this.#context.changed()
    return keyspace
  }

  async #drop(keyspace: HostedKeyspace): Promise<void> {
    await keyspace.drop(notFound(keyspace.name))
    this.#context.changed()
  }

  /** @throws OVERLOADED */
  #checkRoom(): void {
    if (this.#hosted.size < KEYSPACES_MAX) return
    throw new TidemarkError('OVERLOADED', `the node has ${KEYSPACES_MAX} keyspaces, its bound`)
  }

  /** Closes all replicas; what the store has stays. */
  async close(): Promise<void> {
    await this.#exclusively(() => Promise.all([...this.#hosted.values()].map((keyspace) => keyspace.close())))
  }
}

export const notFound = (name: string): TidemarkError =>
  new TidemarkError('KEYSPACE_NOT_FOUND', `there is no keyspace "${name}"`, { metadata: { keyspace: name } })

const recreated = (name: string): TidemarkError =>
  new TidemarkError('TOPIC_RECREATED', `the topic of keyspace ${name} was deleted and created again`)
