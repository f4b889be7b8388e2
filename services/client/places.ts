/**
 * Which operations are on their way, and which may go next.
 *
 *   add ─▶ waiting ─(a place is free)─▶ take ─▶ sent ─▶ release ─▶ done
 *                                        ▲       │
 *                                        └─ queued ◀─ again, or resting first
 *
 * - Writes and reads wait in two lines with places of their own: a stuck write holds up no read.
 * - A write gets its sequence with its place. The span from the oldest sequence without an end to the newest stays below
 *   CLIENT_IN_FLIGHT_MAX, so that no retry falls out of the window that the node's dedupe remembers.
 * - Among those that may go, the one submitted first goes first; those that go again go before those that go anew.
 * - An operation may be handed to the places of another node (`withdraw`, `adopt`). Its sequence stays taken here until it
 *   ends there: the span holds for the session, wherever its writes are. What is adopted has been in flight before, so it
 *   passes the bounds, and new operations wait until it ends.
 */
import type { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_BYTES_IN_FLIGHT_MAX, CLIENT_IN_FLIGHT_MAX } from '../../streams/core/limits.ts'
import { Fifo } from './fifo.ts'
import type { Home, Operation } from './operation.ts'

/** The ids of one client's operations: no two nodes get the same, so that no answer can be taken for that to another. */
export interface Ids {
  next: number
}

export class Places implements Home {
  /** First part of the request ids of the writes that get their sequence here. */
  readonly session: string
  /** A sequence became free. */
  readonly #onFreed: () => void
  #waitingReads = new Fifo<Operation>()
  #waitingWrites = new Fifo<Operation>()
  /** Have a place, and are to be sent again. */
  #again = new Fifo<Operation>()
  /** All that have a place, by id, in the order in which they got it. */
  readonly #placed = new Map<number, Operation>()
  readonly #sequencesTaken = new Uint8Array(CLIENT_IN_FLIGHT_MAX)
  #nextSequence = 1
  #waiting = 0
  #reads = 0
  #bytes = 0

  readonly #ids: Ids

  constructor(session: string, ids: Ids = { next: 1 }, onFreed: () => void = () => undefined) {
    this.session = session
    this.#ids = ids
    this.#onFreed = onFreed
  }

  /** Operations without a place. */
  get waiting(): number {
    return this.#waiting
  }

  get empty(): boolean {
    return this.#waiting === 0 && this.#placed.size === 0
  }

  add(operation: Operation): void {
    operation.id = this.#ids.next
    this.#ids.next += 1
    this.#waiting += 1
    this.#lineOf(operation).push(operation)
  }

  /** The operation that was sent under this id; undefined once it has ended. */
  sent(id: number): Operation | undefined {
    const operation = this.#placed.get(id)
    return operation?.stage === 'sent' ? operation : undefined
  }

  /** All that are on their way. */
  *allSent(): Generator<Operation> {
    for (const operation of this.#placed.values()) if (operation.stage === 'sent') yield operation
  }

  /** The operation that may go next. */
  peek(): Operation | undefined {
    const again = livingHead(this.#again, 'queued')
    if (again !== undefined) return again
    let write = livingHead(this.#waitingWrites, 'waiting')
    if (write !== undefined && this.#sequencesTaken[this.#nextSequence % CLIENT_IN_FLIGHT_MAX] !== 0) {
      write = undefined
    }
    let read = livingHead(this.#waitingReads, 'waiting')
    if (this.#reads >= CLIENT_IN_FLIGHT_MAX) read = undefined
    const next = write === undefined || (read !== undefined && read.id < write.id) ? read : write
    if (next === undefined) return undefined
    return this.#bytes > 0 && this.#bytes + next.bytes > CLIENT_BYTES_IN_FLIGHT_MAX ? undefined : next
  }

  /** Takes what `peek` gave, for sending. */
  take(operation: Operation): void {
    if (operation.stage === 'queued') {
      this.#again.shift()
    } else {
      this.#lineOf(operation).shift()
      this.#waiting -= 1
      this.#placed.set(operation.id, operation)
      this.#bytes += operation.bytes
      if (operation.isRead) {
        this.#reads += 1
      } else {
        operation.sequence = this.#nextSequence
        operation.home = this
        this.#sequencesTaken[this.#nextSequence % CLIENT_IN_FLIGHT_MAX] = 1
        this.#nextSequence += 1
      }
    }
    operation.stage = 'sent'
    operation.exposed = true
    operation.seen = false
  }

  sendAgain(operation: Operation): void {
    operation.stage = 'queued'
    this.#again.push(operation)
  }

  /** After a loss: all but those that rest, in the order in which they first went. */
  sendAllAgain(failure: TidemarkError): void {
    this.#again = new Fifo()
    for (const operation of this.#placed.values()) {
      if (operation.stage === 'resting') continue
      operation.lastFailure = failure
      this.sendAgain(operation)
    }
  }

  /** The operation has ended. */
  release(operation: Operation): void {
    this.#leave(operation)
    operation.stage = 'done'
    const { home, sequence } = operation
    if (home === undefined || sequence === undefined) return
    home.freeSequence(sequence)
  }

  freeSequence(sequence: number): void {
    this.#sequencesTaken[sequence % CLIENT_IN_FLIGHT_MAX] = 0
    if (this.#waiting > 0) this.#onFreed()
  }

  /** Gives up all that `goes`, in order: those on their way first, then those that wait. They are for another to adopt. */
  withdraw(goes: (operation: Operation) => boolean): Operation[] {
    const gone = this.all().filter(goes)
    if (gone.length === 0) return gone
    const leaving = new Set(gone)
    const without = (queue: Fifo<Operation>): Fifo<Operation> => {
      const kept = new Fifo<Operation>()
      for (const operation of queue) if (!leaving.has(operation)) kept.push(operation)
      return kept
    }
    this.#again = without(this.#again)
    this.#waitingReads = without(this.#waitingReads)
    this.#waitingWrites = without(this.#waitingWrites)
    for (const operation of gone) this.#leave(operation)
    return gone
  }

  /** Gives up one that was sent. */
  giveUp(operation: Operation): void {
    this.#leave(operation)
    operation.stage = 'queued'
  }

  /**
   * Takes over what other places gave up. It gets another id: a frame with it may still be on its way where it was, even come
   * back here, and a node refuses an id that it is working on.
   */
  adopt(operation: Operation): void {
    if (operation.stage === 'waiting') return this.add(operation)
    operation.id = this.#ids.next
    this.#ids.next += 1
    this.#placed.set(operation.id, operation)
    this.#bytes += operation.bytes
    if (operation.isRead) this.#reads += 1
    this.sendAgain(operation)
  }

  #leave(operation: Operation): void {
    if (operation.stage === 'waiting') {
      this.#waiting -= 1
    } else {
      this.#placed.delete(operation.id)
      this.#bytes -= operation.bytes
      if (operation.isRead) this.#reads -= 1
    }
  }

  /** All that have not ended, as they are now. */
  all(): Operation[] {
    return [...this.#placed.values(), ...this.#waitingWrites, ...this.#waitingReads].filter(
      ({ stage }) => stage !== 'done',
    )
  }

  #lineOf(operation: Operation): Fifo<Operation> {
    return operation.isRead ? this.#waitingReads : this.#waitingWrites
  }
}

/** The first that is still at this stage; what has ended meanwhile is dropped. */
function livingHead(queue: Fifo<Operation>, stage: 'waiting' | 'queued'): Operation | undefined {
  for (let head = queue.peek(); head !== undefined; head = queue.peek()) {
    if (head.stage === stage) return head
    queue.shift()
  }
  return undefined
}
