/**
 * One node: puts log, store, membership, replicas and writer together, and is the face that services see. It serves what its
 * store holds from the start; once it has joined, the map says what it holds and leads. What can be refused is refused at opening,
 * before the first request: a foreign or locked data directory, an unsafe topic. Closing is the reverse of opening.
 */
import { BehaviorSubject } from 'rxjs'
import type { Observable } from 'rxjs'
import { FORMAT_VERSION } from './core/decode.ts'
import { TidemarkError } from './core/errors.ts'
import type { ClusterMap } from './core/cluster-map.ts'
import { BUILDS_AT_ONCE_MAX, HASHED_PER_SECOND, TICK_MS, TOPICS_LOOK_MS, TRANSFER_MS } from './core/limits.ts'
import type { Partition } from './core/types.ts'
import { left } from './deadline.ts'
import type {
  Keyspace,
  KeyspaceChanges,
  KeyspaceInfo,
  KeyspaceSettings,
  NodeDescription,
  ReplicaStatus,
  TidemarkNode,
  UpdateOptions,
  Vitals,
} from './face.ts'
import { checkChanges, checkKeyspace, differingSetting } from './keyspace-settings.ts'
import { sharedAppender } from './log/appender.ts'
import { Announcer } from './node/announcer.ts'
import { handedOver } from './node/assignment.ts'
import type { NodeContext } from './node/context.ts'
import { Equality } from './node/equality.ts'
import type { HostedKeyspace } from './node/hosted-keyspace.ts'
import { DEFAULT_KEYSPACE, Keyspaces, notFound } from './node/keyspaces.ts'
import { changePartitions, updateKeyspace } from './node/keyspace-update.ts'
import { Leading } from './node/leading.ts'
import { NodeProofs } from './node/node-proofs.ts'
import type { NodeOptions } from './node/options.ts'
import { lateRead, statusOf } from './node/status.ts'
import { transferLeadership } from './node/transfer.ts'
import { Turns } from './node/turns.ts'
import { claimStore } from './replica/catalogue.ts'
import type { Replica } from './replica/replica.ts'
import { Writer } from './replica/writer.ts'
import { pace } from './pace.ts'
import { NodeCopies } from './snapshot/node-copies.ts'

/** Milliseconds for a keyspace that was just created to be served. */
const USABLE_MS = 30_000
/** Milliseconds between two looks whether what is waited for has come. */
const LOOK_MS = 10

/** Holds what the store holds; `join` makes it a member. @throws TOPIC_UNSAFE, STORE_FOREIGN, STORE_CORRUPT, LOG_UNAVAILABLE */
export async function openNode(options: NodeOptions): Promise<TidemarkNode> {
  const { cluster, nodeId, log, store } = options
  claimStore(store, { cluster, nodeId, logIdentity: log.identity })
  const node = new LocalNode(options)
  try {
    await node.open()
  } catch (caught) {
    await node.abandon()
    throw caught
  }
  return node
}

class LocalNode implements TidemarkNode {
  readonly description: NodeDescription
  readonly copies: NodeCopies
  readonly proofs: NodeProofs
  readonly map$: Observable<ClusterMap>
  readonly connected$: Observable<boolean>
  readonly #options: NodeOptions
  readonly #context: NodeContext
  readonly #keyspaces: Keyspaces
  readonly #leading: Leading
  readonly #announcer: Announcer
  readonly #listeners = new Set<(ready: boolean) => void>()
  readonly #stops: (() => void)[] = []
  #map: ClusterMap | undefined
  #wasReady = false
  #drained: Promise<void> | undefined
  #closed: Promise<void> | undefined

  constructor(options: NodeOptions) {
    const { cluster, nodeId, log, logKind, clock, random } = options
    this.#options = options
    this.map$ = options.membership.map$
    this.connected$ = options.membership.connected$
    this.description = { cluster, nodeId, logIdentity: log.identity, logKind, format: FORMAT_VERSION }
    const incarnation = random.id(9)
    const appender = sharedAppender(log)
    const writer = new Writer(appender, clock, `w${incarnation}`)
    const { meters } = options.telemetry
    const context: NodeContext = {
      options,
      incarnation,
      appender,
      writer,
      draining$: new BehaviorSubject(false),
      watchers: { count: 0 },
      pasts: { count: 0 },
      builds: new Turns(BUILDS_AT_ONCE_MAX),
      hashing: pace(HASHED_PER_SECOND, clock),
      get equality() {
        return equality
      },
      changed: () => {
        this.#announcer.changed()
      },
      announce: () => {
        this.#announcer.changed()
        this.#announcer.look()
      },
    }
    const equality = new Equality(context, {
      placement: ({ keyspace, state }) => this.#keyspaces.get(keyspace)?.placement(state.partition),
      nodes: () => this.#map?.nodes ?? [],
      convict: (replica, why, trusted) =>
        this.#keyspaces.get(replica.keyspace)?.convict(replica, why, trusted),
    })
    this.#context = context
    const replica = (name: string, partition: Partition): Replica =>
      this.#hosted(name).face.replica(partition)
    this.proofs = new NodeProofs({ replica, equality, writer, clock })
    this.copies = new NodeCopies({
      ...options,
      replica,
      replicas: () => this.#keyspaces.replicas(),
    })
    const verifyMs = options.verifyMs ?? 0
    this.#leading = new Leading({ nodeId, incarnation, writer, clock, meters, verifyMs })
    this.#keyspaces = new Keyspaces(this.#context)
    this.#announcer = new Announcer(this.#context, this.#keyspaces, this.#leading)
  }

  async open(): Promise<void> {
    await this.#keyspaces.open()
    const { clock } = this.#options
    this.#stops.push(
      clock.every(TICK_MS, () => {
        this.#everyTick()
      }),
      clock.every(TOPICS_LOOK_MS, () => {
        void this.#keyspaces.look()
        this.#keyspaces.review()
      }),
    )
  }

  /** What could not be opened; store, log and membership are the caller's still. */
  async abandon(): Promise<void> {
    await this.#context.writer.drain(0)
    await this.#context.equality.close()
    await this.#keyspaces.close()
  }

  // ---- the cluster ----

  join(address: string): void {
    const { membership } = this.#options
    if (!this.#announcer.joined) {
      const maps = membership.map$.subscribe((map) => {
        this.#obey(map)
      })
      const connected = membership.connected$.subscribe((now) => {
        this.#leading.connected = now
        if (!now) this.#leading.giveUpAll()
      })
      this.#stops.push(() => {
        maps.unsubscribe()
        connected.unsubscribe()
      })
    }
    this.#announcer.join(address)
    this.#announcer.look()
  }

  #obey(map: ClusterMap): void {
    this.#map = map
    // Of two nodes with one id only the one that the map means obeys it.
    if (this.#isInMap) {
      this.#leading.obey(map)
      this.#keyspaces.obey(map)
    } else this.#leading.giveUpAll()
    this.#everyTick()
  }

  get #isInMap(): boolean {
    const { nodeId } = this.#options
    return (
      this.#map?.nodes.some(
        (node) => node.nodeId === nodeId && node.incarnation === this.#context.incarnation,
      ) === true
    )
  }

  /** Acts as leader, ends waits whose deadline has passed, tells the others and the listeners what changed. */
  #everyTick(): void {
    const now = this.#options.clock.elapsed()
    for (const replica of this.#keyspaces.replicas()) replica.waiters.expire(now, () => lateRead(replica))
    if (this.#closed !== undefined) return
    for (const keyspace of this.#keyspaces.all)
      for (const replica of keyspace.replicas.values()) {
        this.#leading.act(replica, now)
        if (this.#leading.leads(replica)) keyspace.lateSetup.look(replica)
      }
    for (const keyspace of this.#keyspaces.all) keyspace.reviewSpare()
    if (this.#announcer.look()) {
      this.#keyspaces.review()
      if ([...this.#keyspaces.replicas()].some(({ stopped }) => stopped?.reason === 'TOPIC_RECREATED'))
        void this.#keyspaces.look()
    }
    this.#noticeReady()
  }

  transferLeadership(keyspace: string, partition: Partition, to: string): Promise<string> {
    const name = keyspace === '' ? DEFAULT_KEYSPACE : keyspace
    return transferLeadership(
      {
        nodeId: this.#options.nodeId,
        hosted: this.#keyspaces.get(name),
        nodes: this.#map?.nodes ?? [],
        leading: this.#leading,
        changed: this.#context.changed,
        until: (come) => this.#comes(come, TRANSFER_MS),
      },
      { name, partition, to },
    )
  }

  /** @returns whether it came true within so many milliseconds */
  async #comes(true_: () => boolean, ms: number): Promise<boolean> {
    const { clock } = this.#options
    const end = clock.elapsed() + ms
    while (!true_()) {
      if (clock.elapsed() >= end || this.#closed !== undefined) return false
      await clock.sleep(LOOK_MS)
    }
    return true
  }

  // ---- keyspaces ----

  keyspace(name: string): Keyspace {
    return this.#hosted(name).face
  }

  #hosted(name: string): HostedKeyspace {
    const keyspace = this.#keyspaces.get(name === '' ? DEFAULT_KEYSPACE : name)
    if (keyspace === undefined) throw notFound(name)
    return keyspace
  }

  keyspaces(): readonly KeyspaceInfo[] {
    return [...this.#keyspaces.all].map(({ face }) => face.info).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async createKeyspace(name: string, settings: Partial<KeyspaceSettings>): Promise<KeyspaceInfo> {
    checkKeyspace(name, settings)
    this.#refuseWhenDraining()
    const keyspace = await this.#keyspaces.create(name, settings)
    this.#announcer.look()
    // Created it is in any case; who uses it at once shall find it served.
    if (this.#announcer.joined) await this.#comes(() => keyspace.usable, USABLE_MS)
    const { info } = keyspace.face
    const differing = differingSetting(info, settings)
    if (differing !== undefined)
      throw new TidemarkError(
        'KEYSPACE_EXISTS',
        `keyspace "${name}" exists with another value of ${differing}`,
        { metadata: { keyspace: name, field: differing } },
      )
    return info
  }

  async updateKeyspace(
    name: string,
    changes: KeyspaceChanges,
    options: UpdateOptions,
  ): Promise<KeyspaceInfo> {
    checkChanges(changes)
    this.#refuseWhenDraining()
    const keyspace = this.#keyspaces.get(name)
    if (keyspace === undefined) throw notFound(name)
    const { nodeId, log, clock } = this.#options
    const leads = (replica: Replica): boolean => this.#leading.leads(replica)
    const context = { nodeId, log, clock, leads, writer: this.#context.writer }
    if (options.partitions !== undefined)
      await changePartitions(context, keyspace, options.partitions, changes, options.deadline)
    else await keyspace.oneByOne(() => updateKeyspace(context, keyspace, changes, options))
    return keyspace.face.info
  }

  async forgetKeyspace(name: string): Promise<void> {
    await this.#keyspaces.forget(name)
  }

  async deleteKeyspace(name: string): Promise<void> {
    this.#refuseWhenDraining()
    if (name === DEFAULT_KEYSPACE)
      throw new TidemarkError('FIELD_INVALID', 'the keyspace "default" cannot be deleted', {
        metadata: { field: 'name' },
      })
    await this.#keyspaces.delete(name)
  }

  #refuseWhenDraining(): void {
    if (this.#drained === undefined && this.#closed === undefined) return
    throw new TidemarkError('NODE_DRAINING', 'the node is shutting down')
  }

  // ---- state ----

  replicas(): readonly ReplicaStatus[] {
    return [...this.#keyspaces.replicas()].map(statusOf)
  }

  vitals(): Vitals {
    const { writer, watchers } = this.#context
    const { store, log } = this.#options
    const replicas = [...this.#keyspaces.replicas()]
    return {
      writesInFlight: writer.inFlight,
      writeBytesInFlight: writer.bytesInFlight,
      watchers: watchers.count,
      readsWaiting: replicas.reduce((sum, { waiters }) => sum + waiters.size, 0),
      sessions: replicas.reduce((sum, replica) => sum + replica.sessions.size, 0),
      leading: replicas.filter((replica) => this.#leading.leads(replica)).length,
      connected: this.#leading.connected && this.#isInMap,
      map: this.#map,
      logHealthy: log.healthy,
      store: store.measures(),
    }
  }

  get ready(): boolean {
    if (this.#drained !== undefined || this.#closed !== undefined) return false
    if (!this.#options.log.healthy || !this.#isInMap) return false
    for (const keyspace of this.#keyspaces.all) if (!keyspace.ready) return false
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

  // ---- leaving ----

  drain(deadline: number): Promise<void> {
    this.#drained ??= this.#drain(deadline)
    this.#noticeReady()
    return this.#drained
  }

  async #drain(deadline: number): Promise<void> {
    this.#leading.leave(this.#map)
    this.#announcer.drain()
    this.#announcer.look()
    const { nodeId, clock } = this.#options
    const gone = (): boolean =>
      this.#map === undefined || !this.#isInMap || (this.#isDraining && handedOver(this.#map, nodeId))
    await this.#comes(gone, left(clock, deadline))
  }

  /** The others have heard of it. */
  get #isDraining(): boolean {
    return this.#map?.nodes.find(({ nodeId }) => nodeId === this.#options.nodeId)?.draining === true
  }

  close(deadline: number): Promise<void> {
    this.#closed ??= this.#close(deadline)
    this.#noticeReady()
    return this.#closed
  }

  async #close(deadline: number): Promise<void> {
    const { draining$, writer } = this.#context
    draining$.next(true)
    await writer.drain(left(this.#options.clock, deadline))
    for (const stop of this.#stops) stop()
    this.#announcer.close()
    this.copies.close()
    await this.#context.equality.close()
    await this.#options.membership.close()
    await this.#keyspaces.close()
    await this.#options.store.close()
    await this.#options.log.close()
    draining$.complete()
  }
}
