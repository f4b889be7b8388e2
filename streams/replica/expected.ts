/** Who waits for records of this node's own, by their request id: the answer to a write is a read of the applied stream. */
import { asBuffer } from '../core/bytes.ts'
import type { RecordEffects } from '../core/effects.ts'
import type { LogRecord } from '../core/types.ts'

type Listener = (effects: RecordEffects) => void

export class ExpectedRecords {
  readonly #listeners = new Map<string, Listener[]>()

  /** Returns what takes it back. */
  add(requestId: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(requestId)
    if (listeners === undefined) this.#listeners.set(requestId, [listener])
    else listeners.push(listener)
    return () => {
      const left = (this.#listeners.get(requestId) ?? []).filter((other) => other !== listener)
      if (left.length === 0) this.#listeners.delete(requestId)
      else this.#listeners.set(requestId, left)
    }
  }

  /** @param effects - of the records, in their order; the last ones may have none yet */
  tell(effects: readonly RecordEffects[], records: readonly LogRecord[]): void {
    if (this.#listeners.size === 0) return
    effects.forEach((done, at) => {
      const id = records[at]?.headers.get('tm-request-id')
      if (id === undefined) return
      const text = asBuffer(id).toString('utf8')
      const listeners = this.#listeners.get(text)
      if (listeners === undefined) return
      this.#listeners.delete(text)
      for (const listener of listeners) listener(done)
    })
  }
}
