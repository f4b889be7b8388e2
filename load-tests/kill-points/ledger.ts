/**
 * What a client was told, over all lives of a node, and whether the node still says so. One client lives through all of them and
 * sends again what was not answered, under the same request id: so in the end each counter is exactly the number of increments that were
 * acknowledged, and each row is the last one that was.
 */
import { connect, type Tidemark } from '../../services/client/index.ts'

/** Milliseconds for one call, over the death of a node and its next start. */
const DEADLINE_MS = 90_000
/** Milliseconds for the client to close. */
const CLOSE_MS = 1000
const WRITERS = 8
/** Rows of each writer that are written again and again. */
const ROWS = 12

export class Ledger {
  readonly #address: string
  #db: Tidemark
  /** Last acknowledged value by key; undefined after a delete. */
  #rows = new Map<string, string | undefined>()
  #counters = new Map<string, number>()
  /** Sent, and not answered yet. */
  readonly #open = new Set<Promise<unknown>>()
  readonly #failed: string[] = []
  #turn = 0
  #acknowledged = 0
  #watching: Watching

  constructor(address: string) {
    this.#address = address
    this.#db = this.#connect()
    this.#watching = watching(this.#db)
  }

  get db(): Tidemark {
    return this.#db
  }
  /** Writes that were acknowledged so far, in all. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  #connect(): Tidemark {
    return connect({ server: this.#address, deadlineMs: DEADLINE_MS })
  }

  /** The log is a new one. Nothing may be open. */
  async forget(): Promise<void> {
    await this.close()
    this.#db = this.#connect()
    this.#watching = watching(this.#db)
    this.#rows = new Map()
    this.#counters = new Map()
  }

  /** Writes from several sides until so many are acknowledged, or the node is gone. What is not answered then stays open. */
  async write(many: number, over: () => boolean): Promise<void> {
    const until = this.#acknowledged + many
    this.#turn += 1
    const writers = Array.from({ length: WRITERS }, (_, writer) => this.#writer(writer, until, over))
    const all = Promise.all(writers)
    this.#keep(all)
    // Those whose last write is open go on in the next life: the caller looks after that.
    while (!over() && this.#acknowledged < until) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  async #writer(writer: number, until: number, over: () => boolean): Promise<void> {
    const counter = `count-${writer}`
    for (let n = 0; !over() && this.#acknowledged < until; n++) {
      const key = `row-${writer}-${n % ROWS}`
      const value = `${this.#turn}.${n}`
      if (n % 7 === 6) {
        await this.#db.delete(key)
        this.#rows.set(key, undefined)
      } else {
        await this.#db.put(key, value, n % 5 === 4 ? { ttlMs: 3_600_000 } : {})
        this.#rows.set(key, value)
      }
      await this.#db.increment(counter)
      this.#counters.set(counter, (this.#counters.get(counter) ?? 0) + 1)
      this.#acknowledged += 2
    }
  }

  #keep(promise: Promise<unknown>): void {
    const one = promise
      .catch((caught: unknown) => {
        this.#failed.push(`a write failed for good: ${String(caught)}`)
      })
      .finally(() => this.#open.delete(one))
    this.#open.add(one)
  }

  /** After the next start: waits for what was open, then all must be as it was acknowledged. @returns what is wrong */
  async faults(over: () => boolean): Promise<readonly string[]> {
    const settled = Promise.all(this.#open)
    while (!over() && this.#open.size > 0) await Promise.race([settled, pause()])
    if (over()) return []
    const faults = this.#failed.splice(0)
    try {
      const keys = [...this.#rows.keys()]
      const found = keys.length === 0 ? [] : await this.#db.getMany(keys)
      keys.forEach((key, at) => {
        const [is, was] = [found[at]?.text(), this.#rows.get(key)]
        if (is !== was) faults.push(`${key} is ${is ?? 'missing'}, acknowledged was ${was ?? 'its delete'}`)
      })
      for (const [key, count] of this.#counters) {
        const is = (await this.#db.get(key))?.text()
        if (is !== String(count)) faults.push(`${key} is ${is ?? 'missing'}, acknowledged were ${count}`)
      }
      faults.push(...(await this.#watching.faults(this.#counters, over)))
    } catch (caught) {
      if (!over()) faults.push(`a read failed: ${String(caught)}`)
    }
    return over() ? [] : faults
  }

  async close(): Promise<void> {
    const closing = this.#db.close()
    await this.#watching.ended
    // What is open after all ends with its deadline.
    await Promise.race([closing, pause(CLOSE_MS)])
  }
}

interface Watching {
  /** Each counter must have been seen going up by one at a time, up to what it is. */
  faults(counters: ReadonlyMap<string, number>, over: () => boolean): Promise<readonly string[]>
  /** When the client is closed. */
  readonly ended: Promise<void>
}

/** Milliseconds for events to arrive. */
const EVENT_MS_MAX = 30_000

/** One watcher over all lives: it resumes by itself, without a gap and without a repetition. */
function watching(db: Tidemark): Watching {
  const watch = db.watch({ prefix: 'count-' })
  const newest = new Map<string, number>()
  const wrong: string[] = []
  const reading = (async () => {
    for await (const item of watch) {
      if (!('row' in item)) continue
      const key = item.row.keyText()
      const value = Number(item.row.text())
      const before = newest.get(key)
      if (before !== undefined && value !== before + 1)
        wrong.push(`the watcher saw ${key} go from ${before} to ${value}`)
      newest.set(key, value)
    }
  })().catch((caught: unknown) => {
    wrong.push(`the watch failed: ${String(caught)}`)
  })
  return {
    ended: reading,
    async faults(counters, over) {
      const began = performance.now()
      const missing = (): [string, number] | undefined =>
        [...counters].find(([key, count]) => newest.has(key) && newest.get(key) !== count)
      while (missing() !== undefined && wrong.length === 0 && !over()) {
        if (performance.now() - began > EVENT_MS_MAX) {
          const [key, count] = missing() ?? ['', 0]
          return [`the watcher saw ${key} at ${newest.get(key) ?? 0}, it is ${count}`]
        }
        await pause()
      }
      return wrong.splice(0)
    },
  }
}

const pause = (ms = 10): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
