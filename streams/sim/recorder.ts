/** Writes a history down while it happens. One for a run, whatever clients it has: it gives the order. */
import { assert } from '../core/assert.ts'
import type { Call, Entry, FaultEntry, Result, ReturnEntry, Seen, SeenEntry } from './history.ts'

export interface RecorderOptions {
  /** For people only. */
  readonly now: () => number
  /** Gets each entry when it is made: to write a long history to a file. */
  readonly onEntry?: (entry: Entry) => void
  /** False: entries are not kept, `onEntry` gets them. Default: true. */
  readonly keep?: boolean
}

export class Recorder {
  readonly entries: Entry[] = []
  readonly #options: RecorderOptions
  readonly #open = new Set<number>()
  readonly #faults = new Set<string>()
  #seq = 0
  #op = 0

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  /** Calls that have not returned. */
  get open(): number {
    return this.#open.size
  }

  /** Before the call is made. @returns the number of the operation */
  call(client: string, node: string, call: Call): number {
    const op = ++this.#op
    this.#open.add(op)
    this.#push({ type: 'call', ...this.#stamp(), op, client, node, call })
    return op
  }

  /** At once when the answer is there. An operation that is never answered has none. */
  return(op: number, result: Result): ReturnEntry {
    assert(this.#open.delete(op), `operation ${op} is open`)
    const entry: ReturnEntry = { type: 'return', ...this.#stamp(), op, result }
    this.#push(entry)
    return entry
  }

  /** A message of the watch `op`. */
  seen(op: number, seen: Seen): SeenEntry {
    assert(this.#open.has(op), `watch ${op} is open`)
    const entry: SeenEntry = { type: 'seen', ...this.#stamp(), op, seen }
    this.#push(entry)
    return entry
  }

  /** Once more in the state that it has: nothing. */
  fault(name: string, active: boolean): void {
    if (this.#faults.has(name) === active) return
    if (active) this.#faults.add(name)
    else this.#faults.delete(name)
    const entry: FaultEntry = { type: 'fault', ...this.#stamp(), name, active }
    this.#push(entry)
  }

  #stamp(): { readonly seq: number; readonly atMs: number } {
    return { seq: this.#seq++, atMs: this.#options.now() }
  }

  #push(entry: Entry): void {
    if (this.#options.keep ?? true) this.entries.push(entry)
    this.#options.onEntry?.(entry)
  }
}
