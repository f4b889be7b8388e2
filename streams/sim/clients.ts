/**
 * Clients of a simulated cluster. Each does one call after the other, asks the node that it takes for the right one, and asks another
 * when no answer comes: a write with the request id that it had.
 */
import { CATALOGUE, isReason } from '../core/catalogue.ts'
import type { Prng } from '../core/testing/prng.ts'
import { wantedOfForeign } from './check/asked.ts'
import type { At, Call, ForeignCall, Result, RowSeen } from './history.ts'
import type { SimulatedKafka } from './kafka.ts'
import { KEYSPACE, type Machine, type Running } from './machine.ts'
import type { Facts } from './mix.ts'
import { perform, type Asked, type NodeCall } from './perform.ts'
import type { Recorder } from './recorder.ts'
import { remoteKeyspace } from './remote.ts'
import { produce } from './strangers.ts'
import { Watching } from './watching.ts'
import type { World } from './world.ts'

/** Milliseconds for one answer, and for all attempts of one call. */
const ATTEMPT_MS = 1500
const CALL_MS = 8000
/** Milliseconds between two attempts at most. */
const REST_MS = 100

export interface ClientOptions {
  readonly world: World
  readonly recorder: Recorder
  readonly machines: readonly Machine[]
  readonly kafka: SimulatedKafka
  readonly name: string
  readonly partitions: number
  /** What strangers have written. */
  readonly known: Set<string>
  /** Told before each attempt. */
  readonly asks: (call: Call) => void
}

export class SimulatedClient implements Facts {
  readonly name: string
  readonly partitions: number
  readonly seen = new Map<number, number>()
  readonly rows = new Map<string, RowSeen>()
  readonly written: At[] = []
  readonly #options: ClientOptions
  readonly #random: Prng
  readonly #watching: Watching
  #sequence = 0

  constructor(options: ClientOptions) {
    this.#options = options
    this.name = options.name
    this.partitions = options.partitions
    this.#random = options.world.random(`client ${options.name}`)
    this.#watching = new Watching(options.recorder, () => {
      const running = this.#choose()
      return running === undefined ? undefined : this.#asked(running, options.world.now + CALL_MS)
    })
  }

  requestId = (): string => `${this.name}/${this.#sequence++}`

  async call(call: Call): Promise<void> {
    const { world, asks, kafka, recorder } = this.#options
    switch (call.kind) {
      case 'watch':
        asks(call)
        this.#watching.start(call)
        return
      case 'cut':
        asks(call)
        this.#watching.cut()
        return
      case 'foreign':
      case 'rubbish':
        if (this.#isAmbiguous(call)) return
        asks(call)
        await this.#within(world.now + ATTEMPT_MS, (answered) => {
          produce(kafka, recorder, this.name, call, answered)
        })
        return
      default:
        await this.#ask(call)
    }
  }

  /** What cannot be told from something that was asked for before proves nothing. */
  #isAmbiguous(call: ForeignCall): boolean {
    const { known } = this.#options
    const names = wantedOfForeign(call).map(({ requestId, content }) =>
      requestId === undefined || requestId === '' ? content : `request ${requestId}`,
    )
    const ambiguous = names.some((name) => known.has(name)) || call.headers['tm-request-id'] === ''
    for (const name of names) known.add(name)
    return ambiguous
  }

  /** Leaves its watches. */
  end(): void {
    this.#watching.end()
  }

  /** Asks until somebody answers, or the time is over. */
  async #ask(call: NodeCall): Promise<void> {
    const { world } = this.#options
    const end = world.now + CALL_MS
    while (world.now < end) {
      const running = this.#choose()
      if (running !== undefined) {
        const result = await this.#attempt(running, call, Math.min(end, world.now + ATTEMPT_MS))
        if (result !== undefined) this.#note(result)
        if (result !== undefined && !again(result)) return
      }
      await world.sleep(this.#random.below(REST_MS))
    }
  }

  #choose(): (Running & { readonly id: string }) | undefined {
    const running = this.#options.machines.flatMap((machine) =>
      machine.running === undefined ? [] : [{ ...machine.running, id: machine.id }],
    )
    return running[this.#random.below(Math.max(1, running.length))]
  }

  #asked(running: Running & { readonly id: string }, deadline: number): Asked {
    const wire = { delay: () => 0.1 + this.#random.below(2000) / 1000 }
    const keyspace = remoteKeyspace(this.#options.world, running, KEYSPACE, wire)
    return { client: this.name, node: running.id, keyspace, deadline }
  }

  /** What comes in time; undefined when nothing does. */
  #within(deadline: number, ask: (answered: (result: Result) => void) => void): Promise<Result | undefined> {
    const { world } = this.#options
    return new Promise((resolve) => {
      const stop = world.after(undefined, deadline - world.now + 10, () => {
        resolve(undefined)
      })
      ask((result) => {
        stop()
        resolve(result)
      })
    })
  }

  async #attempt(
    running: Running & { readonly id: string },
    call: NodeCall,
    deadline: number,
  ): Promise<Result | undefined> {
    const { world, recorder, asks } = this.#options
    asks(call)
    return this.#within(deadline, (answered) => {
      void perform(recorder, this.#asked(running, deadline), call).then((result) => {
        world.note(`${this.name} ${call.kind} on ${running.life.name}: ${brief(result)}`)
        answered(result)
      })
    })
  }

  #note(result: Result): void {
    if (result.status !== 'ok') return
    const { answer } = result
    const see = (partition: number, offset: number | undefined): void => {
      if (offset !== undefined && offset > (this.seen.get(partition) ?? -1)) this.seen.set(partition, offset)
    }
    if (answer.kind === 'written') {
      see(answer.partition, answer.offset)
      if (answer.offset !== undefined)
        this.written.push({ partition: answer.partition, offset: answer.offset })
    }
    if (answer.kind !== 'rows') return
    for (const { partition, applied } of answer.shown) see(partition, applied)
    for (const row of answer.rows) if (row !== null) this.rows.set(row.key, row)
  }
}

/** Whether another node, or the same one later, may answer otherwise. */
const again = (result: Result): boolean =>
  result.status === 'unknown' ||
  (result.status === 'failed' &&
    (result.reason === 'PARTITION_STOPPED' ||
      (isReason(result.reason) && CATALOGUE[result.reason].retriable)))

function brief(result: Result): string {
  if (result.status !== 'ok') return `${result.status} ${result.reason}`
  return JSON.stringify(result.answer, shortened)
}

const shortened = (_key: string, value: unknown): unknown =>
  typeof value === 'string' && value.length > 24 ? `${value.slice(0, 24)}…` : value
