/** The sessions used lately, as they stand in the store: spares reading a session for each batch of its writes. */
import type { Session } from '../core/session.ts'

/** Sessions kept for each replica: a few hundred clients and the node's own; about 100 KiB each when full. */
const SESSIONS_MAX = 128

export class SessionCache {
  readonly #sessions = new Map<string, Session>()

  get size(): number {
    return this.#sessions.size
  }

  get(id: string): Session | undefined {
    return this.#sessions.get(id)
  }

  /** Takes over how a written batch left its sessions; forgets those used longest ago. */
  update(sessions: Iterable<readonly [string, Session | undefined]>): void {
    for (const [id, session] of sessions) {
      this.#sessions.delete(id)
      if (session !== undefined) this.#sessions.set(id, session)
    }
    for (const id of this.#sessions.keys()) {
      if (this.#sessions.size <= SESSIONS_MAX) return
      this.#sessions.delete(id)
    }
  }
}
