/**
 * Tells for which partitions a node has stopped answering, though the connection stands: it may be cut off from the log, and will not
 * say so before the deadline. Looks at what is on its way every CLIENT_PATIENCE_MS / CLIENT_PATIENCE_LOOKS milliseconds. A partition of
 * which one operation was answered since the last look is slow, not silent: what is slow must not get more work by being asked twice.
 */
import { CLIENT_PATIENCE_LOOKS, CLIENT_SILENT_MS } from '../../streams/core/limits.ts'
import type { Operation } from './operation.ts'

/** One partition at one look. */
interface Line {
  /** Any operation of it. */
  readonly one: Operation
  /** Operations on their way, and how many of them were there at the look before. */
  sent: number
  old: number
  /** Looks in a row at which nothing of it had been answered. */
  silent: number
}

export class Patience {
  #before = new Map<string, Line>()

  /**
   * One look at all that is on its way to the node.
   * @param nameOf - the partition; undefined where it is not known
   * @returns an operation of each partition that is silent
   */
  look(sent: Iterable<Operation>, nameOf: (operation: Operation) => string | undefined): Operation[] {
    const now = new Map<string, Line>()
    for (const operation of sent) {
      const name = nameOf(operation)
      if (name === undefined) continue
      let line = now.get(name)
      if (line === undefined) now.set(name, (line = { one: operation, sent: 0, old: 0, silent: 0 }))
      line.sent += 1
      if (operation.seen) line.old += 1
      operation.seen = true
    }
    for (const [name, line] of now) {
      const before = this.#before.get(name)
      if (before !== undefined && line.old === before.sent) line.silent = before.silent + 1
    }
    this.#before = now
    return [...now.values()].flatMap(({ one, silent }) => (silent >= CLIENT_PATIENCE_LOOKS ? [one] : []))
  }
}

/** Which nodes are passed over for that, and for which partitions: for CLIENT_SILENT_MS, also when a new map comes. */
export class Silence {
  readonly #nodes = new Map<string, Set<object>>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #onForgotten: () => void

  constructor(onForgotten: () => void) {
    this.#onForgotten = onForgotten
  }

  of(partition: string, node: object): boolean {
    return this.#nodes.get(partition)?.has(node) ?? false
  }

  add(partition: string, node: object): void {
    const nodes = this.#nodes.get(partition) ?? new Set()
    if (nodes.has(node)) return
    this.#nodes.set(partition, nodes.add(node))
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      nodes.delete(node)
      if (nodes.size === 0) this.#nodes.delete(partition)
      this.#onForgotten()
    }, CLIENT_SILENT_MS)
    this.#timers.add(timer)
  }

  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer)
  }
}
