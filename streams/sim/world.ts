/**
 * The world of a simulation: virtual time, and one queue of all that will happen. What happens at the same time happens in the order
 * that the seed gives. One event runs, then every promise that it settled runs to its end, then the next event: nothing else is ever
 * pending, so one seed is one run.
 *
 * Everything that a process waits for comes through this queue with the process as its owner: what a dead one waits for never comes,
 * what a paused one waits for comes when it goes on.
 */
import { createHash } from 'node:crypto'
import { Prng } from '../core/testing/prng.ts'

/** Microseconds since 1970 at which every simulation begins: 2026-01-01. */
const BEGIN = 1_767_225_600_000_000
/** Events between two looks at the real world, so that signals are heard. */
const BREATH = 4096

/** One run of one process. */
export interface Life {
  readonly name: string
  alive: boolean
  paused: boolean
  /** What came while it was paused, in order. */
  readonly backlog: (() => void)[]
}

export const newLife = (name: string): Life => ({ name, alive: true, paused: false, backlog: [] })

interface Event {
  readonly at: number
  readonly tie: number
  readonly number: number
  readonly owner: Life | undefined
  run: (() => void) | undefined
}

export interface WorldOptions {
  readonly seed: number
  /** Keeps every line of the trace, not only its hash. */
  readonly keepTrace?: boolean
}

export class World {
  readonly seed: number
  /** What an event threw that belongs to a process: it has crashed. */
  onCrash: (life: Life, cause: unknown) => void = (life, cause) => {
    throw new Error(`process ${life.name} threw`, { cause })
  }
  readonly trace: string[] = []
  readonly #hash = createHash('sha256')
  readonly #keepTrace: boolean
  readonly #heap: Event[] = []
  readonly #ties: Prng
  #micros = BEGIN
  #numbers = 0
  #ran = 0
  #order = 0

  constructor(options: WorldOptions) {
    this.seed = options.seed
    this.#keepTrace = options.keepTrace === true
    this.#ties = this.random('ties')
  }

  /** Random numbers of their own for one purpose: what one part draws changes nothing for another. */
  random(purpose: string): Prng {
    let mixed = Math.imul(this.seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
    for (let at = 0; at < purpose.length; at++)
      mixed = Math.imul(mixed ^ purpose.charCodeAt(at), 0x01000193) >>> 0
    return new Prng(mixed)
  }

  /** Virtual milliseconds since 1970, with fractions. */
  get now(): number {
    return this.#micros / 1000
  }

  /** Virtual milliseconds since the simulation began. */
  get elapsed(): number {
    return (this.#micros - BEGIN) / 1000
  }

  /** Events that have run. */
  get events(): number {
    return this.#ran
  }

  /** Calls back after so many virtual milliseconds; returns what takes that back. @param owner - undefined: it happens whoever lives */
  after(owner: Life | undefined, ms: number, run: () => void): () => void {
    const event: Event = {
      at: this.#micros + Math.max(0, Math.round(ms * 1000)),
      tie: this.#ties.next(),
      number: this.#numbers++,
      owner,
      run,
    }
    push(this.#heap, event)
    return () => {
      event.run = undefined
    }
  }

  /** For who waits for virtual time alone. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(undefined, ms, resolve))
  }

  /** One line of the trace. */
  note(line: string): void {
    const text = `${this.elapsed.toFixed(3)} ${line}`
    this.#hash.update(text)
    this.#hash.update('\n')
    if (this.#keepTrace) this.trace.push(text)
  }

  /** Of everything that happened so far, in order. */
  traceHash(): string {
    return this.#hash.copy().update(`${this.#ran} events, order ${this.#order}`).digest('hex')
  }

  // ---- processes ----

  pause(life: Life): void {
    life.paused = true
  }

  /** What waited comes now, in the order in which it came. */
  resume(life: Life): void {
    if (!life.paused) return
    life.paused = false
    const backlog = life.backlog.splice(0)
    backlog.forEach((run, at) => this.after(life, at / 1000, run))
  }

  /** Runs it in the process, now, or when it goes on; never in a dead one. */
  within(life: Life, run: () => void): void {
    if (!life.alive) return
    if (life.paused) life.backlog.push(run)
    else this.#protected(life, run)
  }

  #protected(life: Life, run: () => void): void {
    try {
      run()
    } catch (caught) {
      this.onCrash(life, caught)
    }
  }

  // ---- running ----

  /** Until it is done, or nothing is left to happen, or so many virtual milliseconds have passed. @returns whether it is done */
  async run(done: () => boolean, withinMs = Infinity): Promise<boolean> {
    const end = this.#micros + withinMs * 1000
    await settled()
    while (!done()) {
      const next = this.#heap[0]
      if (next === undefined || next.at > end) return false
      pop(this.#heap)
      const { run, owner } = next
      if (run === undefined || owner?.alive === false) continue
      this.#micros = Math.max(this.#micros, next.at)
      this.#ran += 1
      this.#order = (Math.imul(this.#order, 31) + next.number) | 0
      if (owner === undefined) run()
      else this.within(owner, run)
      await settled()
      if (this.#ran % BREATH === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    return true
  }
}

/** Resolves when no promise is left that can go on by itself: Node runs a tick only after all microtasks. */
const settled = (): Promise<void> =>
  new Promise((resolve) => {
    process.nextTick(resolve)
  })

// ---- the queue: a binary heap ----

const before = (left: Event, right: Event): boolean =>
  left.at < right.at ||
  (left.at === right.at && (left.tie < right.tie || (left.tie === right.tie && left.number < right.number)))

function push(heap: Event[], event: Event): void {
  let at = heap.length
  heap.push(event)
  while (at > 0) {
    const parentAt = (at - 1) >> 1
    const parent = heap[parentAt]
    if (parent === undefined || !before(event, parent)) break
    heap[at] = parent
    at = parentAt
  }
  heap[at] = event
}

function pop(heap: Event[]): void {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    let childAt = 2 * at + 1
    let child = heap[childAt]
    if (child === undefined) break
    const other = heap[childAt + 1]
    if (other !== undefined && before(other, child)) {
      child = other
      childAt += 1
    }
    if (!before(child, last)) break
    heap[at] = child
    at = childAt
  }
  heap[at] = last
}
