/**
 * Group commit. While one append is in flight, mutations gather; it goes out at once when the first returns, no fixed linger.
 * What gathered for a partition becomes one record (a single mutation) or packs; each record carries a request id of this
 * writer's session, so that appending it again after an unknown outcome changes nothing.
 *
 * A write is answered when this node's replica has applied its record: the answer is a read of the applied stream.
 */
import type { RecordEffects } from '../core/effects.ts'
import { TidemarkError } from '../core/errors.ts'
import { WRITES_IN_FLIGHT_MAX, WRITE_BYTES_IN_FLIGHT_MAX } from '../core/limits.ts'
import { must } from '../core/assert.ts'
import type { Mutation, Outcome } from '../core/mutation.ts'
import type { NewRecord, Offset } from '../core/types.ts'
import type { Appended } from '../log/log.ts'
import type { Appender } from '../log/appender.ts'
import type { Clock } from '../ports.ts'
import { groupRecords } from './grouping.ts'
import { type Item, bytesOf, makeRecord, nameOf, offsetOf } from './outgoing.ts'
import type { Replica } from './replica.ts'
import { draining, late, overloaded, refusalOf, unknown } from './write-refusals.ts'

/** What a write got: with `logged` only its place. */
export interface Written {
  readonly offset: Offset
  readonly outcome: Outcome | undefined
}

interface Pending {
  readonly item: Item
  readonly durability: 'applied' | 'logged'
  readonly deadline: number
  readonly bytes: number
  readonly settle: Settle
  settled: boolean
}

/** Is told once: in the turn in which the record was applied (or logged, if that was asked for), or why nothing is known. Must not throw. */
export type Settle = (result: Written | TidemarkError) => void

/** What the writer of a mutation is told, made in the turn in which its record was applied. */
type Finish<Result> = (replica: Replica, written: Written) => Result

/** One record on its way, with those who wait for it. */
interface Flight {
  readonly queue: Queue
  readonly replica: Replica
  readonly record: NewRecord
  readonly waiting: readonly Pending[]
  readonly forget: () => void
}

interface Queue {
  readonly replica: Replica
  waiting: Pending[]
  sequence: number
  /** Records of it are on their way to the log: what waits goes when they have landed. */
  sent: boolean
}

interface Lane {
  readonly index: number
  readonly queues: Set<Queue>
  busy: boolean
}

/** What a control record counts for, bytes. */
const CONTROL_BYTES = 256

export class Writer {
  readonly #log: Appender
  readonly #clock: Clock
  readonly #session: string
  readonly #lanes: readonly Lane[]
  readonly #queues = new Map<Replica, Queue>()
  /** Where the sequences of partitions go on whose replicas were forgotten: a request id is never used twice. */
  readonly #sequences = new Map<string, number>()
  readonly #flights = new Set<Flight>()
  readonly #stopSweep: () => void
  #count = 0
  #bytes = 0
  #draining = false
  #whenIdle: (() => void)[] = []

  /** Deadlines of its calls are on the clock's `elapsed()`. @param session - a name that no other writer ever had */
  constructor(log: Appender, clock: Clock, session: string) {
    this.#log = log
    this.#clock = clock
    this.#session = session
    this.#lanes = Array.from({ length: log.lanes }, (_, index) => ({ index, queues: new Set(), busy: false }))
    this.#stopSweep = clock.every(50, () => {
      this.#sweep()
    })
  }

  /** Mutations on their way. */
  get inFlight(): number {
    return this.#count
  }
  get bytesInFlight(): number {
    return this.#bytes
  }

  /** A write without a promise: the narrowest place of all writing. */
  submit(
    replica: Replica,
    mutation: Mutation,
    durability: 'applied' | 'logged',
    deadline: number,
    settle: Settle,
  ): void {
    this.#submit(replica, { kind: 'mutation', mutation }, durability, deadline, bytesOf(mutation), settle)
  }

  write<Result>(
    replica: Replica,
    mutation: Mutation,
    durability: 'applied' | 'logged',
    deadline: number,
    finish: Finish<Result>,
  ): Promise<Result> {
    return promised(replica, finish, (settle) => {
      this.submit(replica, mutation, durability, deadline, settle)
    })
  }

  /**
   * Resolves when this node has applied everything that was acknowledged before the call: a barrier record has been appended after it
   * and applied here. All callers that wait together share one.
   */
  barrier(replica: Replica, deadline: number): Promise<void> {
    return this.#control(replica, { kind: 'barrier' }, deadline, () => undefined)
  }

  /** Appends a control record and resolves with its offset when this node has applied it, and so everything acknowledged before. */
  control(replica: Replica, record: NewRecord, deadline: number): Promise<Offset> {
    return this.#control(replica, { kind: 'control', record }, deadline, offsetOf)
  }

  #control<Result>(replica: Replica, item: Item, deadline: number, finish: Finish<Result>): Promise<Result> {
    return promised(replica, finish, (settle) => {
      this.#submit(replica, item, 'applied', deadline, CONTROL_BYTES, settle)
    })
  }

  #submit(
    replica: Replica,
    item: Item,
    durability: 'applied' | 'logged',
    deadline: number,
    bytes: number,
    settle: Settle,
  ): void {
    const refusal = this.#draining ? draining() : refusalOf(replica)
    if (refusal !== undefined) {
      settle(refusal)
      return
    }
    if (this.#count >= WRITES_IN_FLIGHT_MAX || this.#bytes + bytes > WRITE_BYTES_IN_FLIGHT_MAX) {
      settle(overloaded(this.#count, this.#bytes))
      return
    }
    let queue = this.#queues.get(replica)
    if (queue === undefined) {
      queue = { replica, waiting: [], sequence: this.#sequences.get(nameOf(replica)) ?? 0, sent: false }
      this.#queues.set(replica, queue)
    }
    queue.waiting.push({ item, durability, deadline, bytes, settle, settled: false })
    this.#count += 1
    this.#bytes += bytes
    this.#offer(queue)
  }

  #offer(queue: Queue): void {
    if (queue.sent || queue.waiting.length === 0) return
    const lane = must(this.#lanes[queue.replica.state.partition % this.#lanes.length], 'a lane')
    lane.queues.add(queue)
    if (lane.busy) return
    lane.busy = true
    // One turn later, so that the mutations of one frame travel together.
    queueMicrotask(() => void this.#pump(lane))
  }

  async #pump(lane: Lane): Promise<void> {
    while (lane.queues.size > 0) {
      const flights = this.#gather(lane)
      if (flights.length > 0) await this.#append(lane, flights)
    }
    lane.busy = false
  }

  /** Takes what waits, in order, until an append is full. */
  #gather(lane: Lane): readonly Flight[] {
    const flights: Flight[] = []
    const now = this.#clock.elapsed()
    let before = 0
    for (const queue of lane.queues) {
      const { packing } = queue.replica.state
      const { records, late: tooLate, taken, bytes } = groupRecords(queue.waiting, packing, now, before)
      before += bytes
      for (const pending of tooLate) this.#refuse(pending, late('before it was appended: it changed nothing'))
      for (const waiting of records) flights.push(this.#launch(queue, waiting))
      queue.waiting = taken === queue.waiting.length ? [] : queue.waiting.slice(taken)
      queue.sent = records.length > 0
      // What is left comes back when this has landed, behind the others: a partition that always has more must not starve them.
      if (queue.sent || queue.waiting.length === 0) lane.queues.delete(queue)
    }
    return flights
  }

  /** Makes the record, and waits for it before it can be applied: the fetch may be quicker than the ack. */
  #launch(queue: Queue, waiting: readonly Pending[]): Flight {
    const { replica } = queue
    const own = `${this.#session}/${queue.sequence++}`
    const { record, requestId } = makeRecord(waiting, own)
    const flight: Flight = {
      queue,
      replica,
      record,
      waiting,
      forget: replica.expect(requestId, (effects) => {
        this.#applied(flight, effects)
      }),
    }
    this.#flights.add(flight)
    return flight
  }

  /** Resolves when the lane takes the next append. */
  #append(lane: Lane, flights: readonly Flight[]): Promise<void> {
    const parts = new Map<Queue, Flight[]>()
    for (const flight of flights) {
      const part = parts.get(flight.queue)
      if (part === undefined) parts.set(flight.queue, [flight])
      else part.push(flight)
    }
    const groups = [...parts]
    const landed = groups.map(() => false)
    const land = (at: number, result: Appended | TidemarkError): void => {
      const [queue, part] = must(groups[at], 'a part of the append')
      if (landed[at] === true) return
      landed[at] = true
      part.forEach((flight, index) => {
        if (result instanceof TidemarkError) this.#fail(flight, result)
        else this.#logged(flight, (result.firstOffset + index) as Offset)
      })
      queue.sent = false
      this.#offer(queue)
    }
    return new Promise((free) => {
      const appends = groups.map(([{ replica }, part]) => ({
        topic: replica.topic,
        partition: replica.state.partition,
        records: part.map(({ record }) => record),
      }))
      this.#log
        .append(lane.index, appends, { part: land, free })
        .then(
          (places) => {
            for (const [at, place] of places.entries()) land(at, place)
          },
          (caught: unknown) => {
            const error = TidemarkError.from(caught)
            for (const at of groups.keys()) land(at, error)
          },
        )
        .finally(free)
    })
  }

  #logged(flight: Flight, offset: Offset): void {
    for (const pending of flight.waiting)
      if (pending.durability === 'logged') this.#answer(pending, { offset, outcome: undefined })
    this.#land(flight)
  }

  #applied(flight: Flight, effects: RecordEffects): void {
    const { waiting } = flight
    const each = effects.outcomes.length === waiting.length
    waiting.forEach((pending, at) => {
      if (pending.item.kind !== 'mutation' || each)
        this.#answer(pending, { offset: effects.offset, outcome: effects.outcomes[at] })
      else this.#refuse(pending, unknown('the pack of this write was rejected as a whole'))
    })
    this.#land(flight)
  }

  #fail(flight: Flight, error: TidemarkError): void {
    for (const pending of flight.waiting) this.#refuse(pending, error)
    this.#land(flight)
  }

  #answer(pending: Pending, written: Written): void {
    if (this.#settle(pending)) pending.settle(written)
  }

  #refuse(pending: Pending, error: TidemarkError): void {
    if (this.#settle(pending)) pending.settle(error)
  }

  /** False when it was settled before. */
  #settle(pending: Pending): boolean {
    if (pending.settled) return false
    pending.settled = true
    this.#count -= 1
    this.#bytes -= pending.bytes
    if (this.#count === 0) for (const idle of this.#whenIdle.splice(0)) idle()
    return true
  }

  /** Nobody waits for the record any more. */
  #land(flight: Flight): void {
    if (!this.#flights.has(flight) || flight.waiting.some((pending) => !pending.settled)) return
    this.#flights.delete(flight)
    flight.forget()
  }

  #sweep(): void {
    const now = this.#clock.elapsed()
    for (const flight of this.#flights) {
      const stopped = flight.replica.status === 'stopped'
      for (const pending of flight.waiting)
        if (stopped || pending.deadline <= now)
          this.#refuse(
            pending,
            stopped ? flight.replica.refusal() : late('while it was being written: its outcome is unknown'),
          )
      this.#land(flight)
    }
    for (const queue of this.#queues.values())
      for (const pending of queue.waiting)
        if (pending.deadline <= now && pending.deadline !== 0)
          this.#refuse(pending, late('before it was appended: it changed nothing'))
  }

  /** Whether something is on its way to the replica. */
  owes(replica: Replica): boolean {
    if ((this.#queues.get(replica)?.waiting.length ?? 0) > 0) return true
    return [...this.#flights].some((flight) => flight.replica === replica)
  }

  /** The replica has left the node: what is on its way to it has an outcome that this node will not learn. */
  forget(replica: Replica): void {
    const error = unknown('the replica moved to another node, the outcome is unknown')
    for (const flight of this.#flights) if (flight.replica === replica) this.#fail(flight, error)
    const queue = this.#queues.get(replica)
    if (queue === undefined) return
    for (const pending of queue.waiting.splice(0)) this.#refuse(pending, replica.refused ?? error)
    this.#queues.delete(replica)
    this.#sequences.set(nameOf(replica), queue.sequence)
  }

  /** Takes no new writes; resolves when those in flight are answered, after so many milliseconds at most. */
  async drain(ms: number): Promise<void> {
    this.#draining = true
    if (this.#count > 0) {
      const idle = new Promise<void>((resolve) => this.#whenIdle.push(resolve))
      await Promise.race([idle, this.#clock.sleep(Math.max(0, ms))])
    }
    this.#stopSweep()
    const error = unknown('the node stopped before the outcome of the write was known')
    for (const flight of this.#flights) this.#fail(flight, error)
    for (const queue of this.#queues.values())
      for (const pending of queue.waiting.splice(0))
        this.#refuse(pending, draining(': the write changed nothing'))
  }
}

/** A promise for what `finish` makes of the result. */
function promised<Result>(
  replica: Replica,
  finish: Finish<Result>,
  submit: (settle: Settle) => void,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    submit((result) => {
      try {
        if (result instanceof TidemarkError) reject(result)
        else resolve(finish(replica, result))
      } catch (caught) {
        reject(TidemarkError.from(caught))
      }
    })
  })
}
