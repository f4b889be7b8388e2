/**
 * A light load whose every answer can be checked, over all partitions at once. Each partition has its own writers and readers, so that
 * a partition that stands still is seen, whatever the others do:
 *
 * - a putter writes rising numbers under a few keys of its own and remembers what was acknowledged;
 * - a counter increments one key of its own: each answer must be the one before plus one, so a doubled or lost write is seen at once;
 * - a reader reads the putter's keys with the strongest promise: no answer may be older than what was acknowledged before it asked.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Tidemark, TidemarkError } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { partitionOf } from '../../streams/core/partitioner.ts'

export interface LoadOptions {
  readonly partitions: number
  /** Milliseconds that each putter, counter and reader rests after each answer. Default: 20. */
  readonly restMs?: number
  /** Keys of each putter. Default: 4. */
  readonly keys?: number
}

/** One acknowledged write. */
export interface Acknowledged {
  readonly partition: number
  /** Milliseconds of `performance.now()`: when it was asked for, and answered. */
  readonly asked: number
  readonly answered: number
}

export interface Failure {
  readonly at: number
  readonly what: 'read' | 'write'
  readonly reason: string
  readonly message: string
}

/** What the load has seen so far. */
export interface Seen {
  readonly reads: number
  readonly writes: number
  readonly failures: readonly Failure[]
  /** Answers that cannot be: a write lost, doubled or undone, a read that is too old. One sentence each. */
  readonly wrong: readonly string[]
}

interface Cell {
  readonly key: string
  /** The last number that was acknowledged, and the last that was asked for. */
  acknowledged: number
  attempted: number
}

export class Load {
  readonly #db: Tidemark
  readonly #restMs: number
  readonly #cells: readonly (readonly Cell[])[]
  readonly #counters: readonly Cell[]
  readonly #writes: Acknowledged[] = []
  readonly #failures: Failure[] = []
  readonly #wrong: string[] = []
  /** By partition: the end of the log as the newest acknowledgement proves it. */
  readonly #ends: number[]
  #reads = 0
  #running = true
  #loops: Promise<unknown> = Promise.resolve()

  constructor(db: Tidemark, { partitions, restMs = 20, keys = 4 }: LoadOptions) {
    this.#db = db
    this.#restMs = restMs
    // Nobody else's keys: not those of an earlier load either.
    const own = randomBytes(4).toString('hex')
    this.#cells = keysOf(`row-${own}`, partitions, keys).map((names) => names.map(newCell))
    this.#counters = keysOf(`count-${own}`, partitions, 1).map(([name]) => newCell(must(name, 'a key')))
    this.#ends = new Array<number>(partitions).fill(0)
  }

  start(): void {
    this.#loops = Promise.all([
      ...this.#cells.map((cells, partition) => this.#put(cells, partition)),
      ...this.#counters.map((cell, partition) => this.#count(cell, partition)),
      ...this.#cells.map((cells) => this.#read(cells)),
    ])
  }

  get seen(): Seen {
    return {
      reads: this.#reads,
      writes: this.#writes.length,
      failures: this.#failures,
      wrong: this.#wrong,
    }
  }

  /** Acknowledged writes, in the order of their answers. */
  get acknowledged(): readonly Acknowledged[] {
    return this.#writes
  }

  /** A replica that has applied less than this is behind. */
  endOf(partition: number): number {
    return this.#ends[partition] ?? 0
  }

  /** Resolves when every partition has acknowledged a write that was asked for after this call. */
  async flowing(timeoutMs = 30_000): Promise<void> {
    const began = performance.now()
    for (;;) {
      const fresh = new Set(
        this.#writes.filter(({ asked }) => asked >= began).map((write) => write.partition),
      )
      if (fresh.size === this.#cells.length) return
      if (performance.now() - began > timeoutMs) {
        const still = this.#cells.map((_, partition) => partition).filter((each) => !fresh.has(each))
        throw new Error(`no write was acknowledged in partitions ${still.join(', ')} for ${timeoutMs} ms`)
      }
      await sleep(10)
    }
  }

  /** Ends the load and reads everything back. */
  async stop(): Promise<Seen> {
    this.#running = false
    await this.#loops
    for (const cell of [...this.#cells.flat(), ...this.#counters]) {
      const found = Number((await this.#db.get(cell.key))?.text() ?? '0')
      this.#check(cell, found, cell.acknowledged, 'at the end')
    }
    return this.seen
  }

  async #put(cells: readonly Cell[], partition: number): Promise<void> {
    for (let number = 1; this.#running; number += 1) {
      const cell = must(cells[number % cells.length], 'a cell')
      cell.attempted = number
      await this.#write(partition, async () => {
        const written = await this.#db.put(cell.key, String(number))
        cell.acknowledged = number
        return written.offset
      })
    }
  }

  async #count(cell: Cell, partition: number): Promise<void> {
    while (this.#running) {
      cell.attempted += 1
      await this.#write(partition, async () => {
        const { number, offset } = await this.#db.increment(cell.key)
        this.#check(cell, Number(number), cell.acknowledged + 1, 'after an increment')
        cell.acknowledged = Number(number)
        return offset
      })
    }
  }

  async #write(partition: number, write: () => Promise<number | undefined>): Promise<void> {
    const asked = performance.now()
    try {
      const offset = await write()
      this.#writes.push({ partition, asked, answered: performance.now() })
      this.#ends[partition] = Math.max(this.endOf(partition), (offset ?? -1) + 1)
    } catch (error) {
      this.#failed('write', error)
    }
    await sleep(this.#restMs)
  }

  async #read(cells: readonly Cell[]): Promise<void> {
    for (let turn = 0; this.#running; turn += 1) {
      const cell = must(cells[turn % cells.length], 'a cell')
      const least = cell.acknowledged
      try {
        const row = await this.#db.get(cell.key, { consistency: 'linearizable' })
        this.#reads += 1
        this.#check(cell, Number(row?.text() ?? '0'), least, 'in a read')
      } catch (error) {
        this.#failed('read', error)
      }
      await sleep(this.#restMs)
    }
  }

  #check(cell: Cell, found: number, least: number, when: string): void {
    if (found >= least && found <= cell.attempted) return
    this.#wrong.push(`${cell.key} is ${found} ${when}, it must be ${least} to ${cell.attempted}`)
  }

  #failed(what: Failure['what'], error: unknown): void {
    const { reason, message } = TidemarkError.from(error)
    this.#failures.push({ at: performance.now(), what, reason, message })
  }
}

const newCell = (key: string): Cell => ({ key, acknowledged: 0, attempted: 0 })

/** So many keys for each partition. */
function keysOf(name: string, partitions: number, count: number): string[][] {
  const keys = Array.from({ length: partitions }, (): string[] => [])
  for (let number = 0; keys.some((some) => some.length < count); number += 1) {
    const key = `${name}-${number}`
    const some = must(keys[partitionOf(Buffer.from(key), partitions, { kind: 'key' })], 'a partition')
    if (some.length < count) some.push(key)
  }
  return keys
}
