/** The nodes that a client talks to, by address: made when they are first asked for, closed when they left and have ended all. */
import { must } from '../../streams/core/assert.ts'
import { CLIENT_NODES_MAX } from '../../streams/core/limits.ts'
import type { NodeLink } from './node-link.ts'
import type { Pipeline } from './pipeline.ts'

export class LinkPool {
  readonly #make: (address: string) => NodeLink
  readonly #links = new Map<string, NodeLink>()
  /** Left the cluster, and still have what no other node could take. */
  readonly #leaving = new Set<NodeLink>()
  #closing = false

  constructor(make: (address: string) => NodeLink) {
    this.#make = make
  }

  /** Undefined where that would be one too many. */
  get(address: string): NodeLink | undefined {
    const known = this.#links.get(address)
    if (known !== undefined || this.#links.size >= CLIENT_NODES_MAX) return known
    const link = this.#make(address)
    if (this.#closing) for (const pipeline of link.pipelines) pipeline.refuse()
    this.#links.set(address, link)
    return link
  }

  /** The first of some addresses that there is. */
  must(addresses: readonly string[]): NodeLink {
    for (const address of addresses) {
      const link = this.get(address)
      if (link !== undefined) return link
    }
    return must([...this.#links.values()][0], 'a node')
  }

  all(): NodeLink[] {
    return [...this.#links.values(), ...this.#leaving]
  }

  pipelines(): Pipeline[] {
    return this.all().flatMap(({ pipelines }) => pipelines)
  }

  /** It left the cluster. @returns the link, if there was one: what is on it is to be handed on */
  retire(address: string): NodeLink | undefined {
    const link = this.#links.get(address)
    if (link === undefined) return undefined
    this.#links.delete(address)
    this.#leaving.add(link)
    link.retire()
    void this.#end(link)
    return link
  }

  /** Refuses new operations, and waits for those begun, wherever they are handed on to. */
  async drained(): Promise<void> {
    this.#closing = true
    for (const pipeline of this.pipelines()) pipeline.refuse()
    while (this.pipelines().some(({ empty }) => !empty)) {
      await Promise.all(this.pipelines().map((pipeline) => pipeline.idle()))
    }
  }

  close(): void {
    for (const link of this.all()) this.#shut(link)
  }

  async #end(link: NodeLink): Promise<void> {
    // Not before the map that it is missing from has been taken to heart.
    await Promise.resolve()
    while (link.pipelines.some(({ empty }) => !empty)) {
      await Promise.all(link.pipelines.map((pipeline) => pipeline.idle()))
    }
    this.#leaving.delete(link)
    this.#shut(link)
  }

  #shut(link: NodeLink): void {
    for (const pipeline of link.pipelines) pipeline.end()
    link.close()
  }
}
