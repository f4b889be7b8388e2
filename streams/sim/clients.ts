/**
 * Clients of a simulated cluster. Each does one call after the other, asks the node that it takes for the right one, and asks another
 * when no answer comes: a write with the request id that it had.
 */
import { CATALOGUE, isReason } from '../core/catalogue.ts'
import type { Prng } from '../core/testing/prng.ts'
import { wantedOfForeign } from './check/asked.ts'
import type { At, Call, ForeignCall, Result } from './history.ts'
import type { SimulatedKafka } from './kafka.ts'
import { KEYSPACE, type Machine, type Running } from './machine.ts'
import { perform, type Asked, type NodeCall } from './perform.ts'
import type { Recorder } from './recorder.ts'
import { remoteKeyspace } from './remote.ts'
import { produce } from './strangers.ts'
import { Watching } from './watching.ts'
import type { World } from './world.ts'

/** Milliseconds for one answer, and for all attempts of one call. */
const ATTEMPT_MS = 1500
const CALL_MS = 8000
/** Milliseconds for the answer to one who asks once: longer than a node tries to append. */
const PATIENT_MS = 30_000
/** Milliseconds between two attempts at most. */
const REST_MS = 100

export interface ClientOptions {
  readonly world: World
  readonly recorder: Recorder
  readonly machines: readonly Machine[]
  readonly kafka: SimulatedKafka
  readonly name: string
  /** What strangers have written. */
  readonly known: Set<string>
  /** Told where a watch stood when it ended. */
  readonly watched: (positions: readonly At[]) => void
  /** Told before each attempt. */
  readonly asks: (call: Call) => void
}

export class SimulatedClient {
  readonly name: string
  readonly #options: ClientOptions
  readonly #random: Prng
  readonly #watching: Watching
  /** It asks once and waits long: what it is told then is all that it hears of a call. */
  readonly #asksOnce: boolean

  constructor(options: ClientOptions) {
    this.#options = options
    this.name = options.name
    this.#random = options.world.random(`client ${options.name}`)
    this.#asksOnce = this.#random.chance(25)
    const ask = (): Asked | undefined => {
      const running = this.#choose()
      return running === undefined ? undefined : this.#asked(running, options.world.now + CALL_MS)
    }
    this.#watching = new Watching(options.recorder, ask, options.watched)
  }

  /** @returns the last answer; undefined when none came */
  async call(call: Call): Promise<Result | undefined> {
    const { world, asks, kafka, recorder } = this.#options
    switch (call.kind) {
      case 'watch':
        asks(call)
        this.#watching.start(call)
        return undefined
      case 'cut':
        asks(call)
        this.#watching.cut()
        return undefined
      case 'foreign':
      case 'rubbish':
        if (this.#isAmbiguous(call)) return undefined
        asks(call)
        return this.#within(world.now + ATTEMPT_MS, (answered) => {
          produce(kafka, recorder, this.name, call, answered)
        })
      default:
        return this.#ask(call)
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
  async #ask(call: NodeCall): Promise<Result | undefined> {
    const { world } = this.#options
    let last: Result | undefined
    const end = world.now + (this.#asksOnce ? PATIENT_MS : CALL_MS)
    while (world.now < end) {
      const running = this.#choose()
      if (running !== undefined) {
        const deadline = this.#asksOnce ? end : Math.min(end, world.now + ATTEMPT_MS)
        const result = await this.#attempt(running, call, deadline)
        // An attempt that nobody answered may still have been heard.
        last = result ?? { status: 'unknown', reason: 'DEADLINE_EXCEEDED' }
        if (this.#asksOnce || !again(last)) return last
      }
      await world.sleep(this.#random.below(REST_MS))
    }
    return last
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
