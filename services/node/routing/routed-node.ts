/**
 * A node that answers every request, whichever partitions it has: as the face promises, from its own replicas and those of its
 * peers, at most one hop away. What the node says of itself (replicas, readiness, map) stays its own.
 */
import { randomBytes } from 'node:crypto'
import { TidemarkError } from '../../../streams/core/errors.ts'
import { CALL_DEADLINE_MS } from '../../../streams/core/limits.ts'
import type { Partition } from '../../../streams/core/types.ts'
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
} from '../../../streams/face.ts'
import { Tally } from '../../../streams/meters.ts'
import type { TransferLeadershipResponse } from '../../../proto/generated/tidemark/v1/cluster_service.ts'
import { keyspaceName } from '../validate.ts'
import { deleteRouted, updateRouted } from './keyspace-changes.ts'
import { RoutedKeyspace } from './routed-keyspace.ts'
import { Router } from './router.ts'

export class RoutedNode implements TidemarkNode {
  /** Itself alone: what serves the requests that another node has sent on. */
  readonly local: TidemarkNode
  readonly #router: Router
  readonly #keyspaces = new Map<string, RoutedKeyspace>()

  /** @param forwards - counts what other nodes are asked, by how it ended */
  constructor(local: TidemarkNode, forwards = new Tally()) {
    this.local = local
    const name = randomBytes(9).toString('base64url')
    this.#router = new Router(local.description.nodeId, name, local.map$, forwards)
  }

  get description(): NodeDescription {
    return this.local.description
  }

  keyspace(name: string): Keyspace {
    const local = this.local.keyspace(name)
    const known = this.#keyspaces.get(name)
    // A keyspace that was deleted and created again is another one.
    if (known?.local === local) return known
    const routed = new RoutedKeyspace(local, this.#router)
    this.#keyspaces.set(name, routed)
    return routed
  }

  keyspaces(): readonly KeyspaceInfo[] {
    return this.local.keyspaces()
  }

  createKeyspace(name: string, settings: Partial<KeyspaceSettings>): Promise<KeyspaceInfo> {
    return this.local.createKeyspace(name, settings)
  }

  updateKeyspace(name: string, changes: KeyspaceChanges, options: UpdateOptions): Promise<KeyspaceInfo> {
    return updateRouted(this.local, this.#router, name, changes, options)
  }

  deleteKeyspace(name: string): Promise<void> {
    return deleteRouted(this.local, this.#router, name)
  }

  forgetKeyspace(name: string): Promise<void> {
    return this.local.forgetKeyspace(name)
  }

  replicas(): readonly ReplicaStatus[] {
    return this.local.replicas()
  }

  vitals(): Vitals {
    return this.local.vitals()
  }

  get ready(): boolean {
    return this.local.ready
  }

  onReady(listener: (ready: boolean) => void): () => void {
    return this.local.onReady(listener)
  }

  get copies(): TidemarkNode['copies'] {
    return this.local.copies
  }

  get proofs(): TidemarkNode['proofs'] {
    return this.local.proofs
  }

  join(address: string): void {
    this.local.join(address)
  }

  get connected$(): TidemarkNode['connected$'] {
    return this.local.connected$
  }

  get map$(): TidemarkNode['map$'] {
    return this.local.map$
  }

  /** Asks the leader; where none is known, or it is this node, the node itself. */
  async transferLeadership(keyspace: string, partition: Partition, to: string): Promise<string> {
    const { topic } = this.local.keyspace(keyspace).info
    const leader = this.#router.leaderOf(topic, partition)
    const peer = leader === undefined ? undefined : this.#router.peers.get(leader)
    if (peer === undefined) return this.local.transferLeadership(keyspace, partition, to)
    const request = { keyspace: keyspaceName(keyspace), partition, toNode: to }
    const answer = await peer.cluster<TransferLeadershipResponse>(
      (client, metadata, call, done) => client.transferLeadership(request, metadata, call, done),
      Date.now() + CALL_DEADLINE_MS,
    )
    if (answer.leader === '')
      throw new TidemarkError('INTERNAL', `node ${peer.nodeId} does not say who leads now`)
    return answer.leader
  }

  drain(deadline: number): Promise<void> {
    return this.local.drain(deadline)
  }

  async close(deadline: number): Promise<void> {
    await this.local.close(deadline)
    this.#router.close()
  }
}
