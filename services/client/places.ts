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
 */
import type { TidemarkError } from '../../streams/core/errors.ts'
import { CLIENT_BYTES_IN_FLIGHT_MAX, CLIENT_IN_FLIGHT_MAX } from '../../streams/core/limits.ts'
import { Fifo } from './fifo.ts'
import type { Operation } from './operation.ts'

export class Places {
  readonly #waitingReads = new Fifo<Operation>()
  readonly #waitingWrites = new Fifo<Operation>()
  /** Have a place, and are to be sent again. */
  #again = new Fifo<Operation>()
  /** All that have a place, by id, in the order in which they got it. */
  readonly #placed = new Map<number, Operation>()
  readonly #sequencesTaken = new Uint8Array(CLIENT_IN_FLIGHT_MAX)
  #nextId = 1
  #nextSequence = 1
  #waiting = 0
  #reads = 0
  #bytes = 0

  /** Operations without a place. */
  get waiting(): number {
    return this.#waiting
  }

  get empty(): boolean {
    return this.#waiting === 0 && this.#placed.size === 0
  }

  add(operation: Operation): void {
    operation.id = this.#nextId
    this.#nextId += 1
    this.#waiting += 1
    this.#lineOf(operation).push(operation)
  }

  /** The operation that was sent under this id; undefined once it has ended. */
  sent(id: number): Operation | undefined {
    const operation = this.#placed.get(id)
    return operation?.stage === 'sent' ? operation : undefined
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
        this.#sequencesTaken[this.#nextSequence % CLIENT_IN_FLIGHT_MAX] = 1
        this.#nextSequence += 1
      }
    }
    operation.stage = 'sent'
    operation.exposed = true
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
    if (operation.stage === 'waiting') {
      this.#waiting -= 1
    } else {
      this.#placed.delete(operation.id)
      this.#bytes -= operation.bytes
      if (operation.sequence === undefined) this.#reads -= 1
      else this.#sequencesTaken[operation.sequence % CLIENT_IN_FLIGHT_MAX] = 0
    }
    operation.stage = 'done'
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
