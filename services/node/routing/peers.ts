/** The other nodes of the cluster, as the newest map names them: at most NODES_MAX, each closed when the map drops it. */
import type { MapNode } from '../../../streams/core/cluster-map.ts'
import { NODES_MAX } from '../../../streams/core/limits.ts'
import type { Tally } from '../../../streams/meters.ts'
import { Peer } from './peer.ts'

export class Peers {
  readonly #ownId: string
  readonly #forwards: Tally
  readonly #peers = new Map<string, Peer>()

  constructor(ownId: string, forwards: Tally) {
    this.#forwards = forwards
    this.#ownId = ownId
  }

  get all(): IterableIterator<Peer> {
    return this.#peers.values()
  }

  get(nodeId: string): Peer | undefined {
    return this.#peers.get(nodeId)
  }

  /** A node that came back, or serves elsewhere now, is another peer: what waits for the old one would wait in vain. */
  update(nodes: readonly MapNode[]): void {
    const listed = nodes
      .filter(({ nodeId, address }) => nodeId !== this.#ownId && address !== '')
      .slice(0, NODES_MAX)
    const stays = ({ nodeId, address, incarnation }: Peer): boolean =>
      listed.some(
        (node) => node.nodeId === nodeId && node.address === address && node.incarnation === incarnation,
      )
    for (const peer of this.#peers.values()) {
      if (stays(peer)) continue
      this.#peers.delete(peer.nodeId)
      peer.close()
    }
    for (const node of listed) {
      if (!this.#peers.has(node.nodeId)) this.#peers.set(node.nodeId, new Peer(node, this.#forwards))
    }
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
  }
}
