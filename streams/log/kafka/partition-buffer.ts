/**
 * One reader of one partition: what was fetched and not yet taken. It knows nothing of brokers; the fetch plane feeds it and
 * tells it why it must stop. Fetched runs are kept as they came and decoded when they are taken, so that the next fetch
 * leaves at once and a slow reader holds bytes, not objects.
 */
import { assert } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { APPLY_BYTES_MAX, APPLY_RECORDS_MAX, FETCH_AHEAD_BYTES_MAX, READ_IDLE_MS } from '../../core/limits.ts'
import { offset, type LogRecord, type Offset, type Partition } from '../../core/types.ts'
import type { LogBatch, PartitionReader, TopicExpectation } from '../log.ts'
import type { FetchAnswer } from './fetch-protocol.ts'
import { walkBatches } from './record-batch.ts'
import { RunReader } from './record-reader.ts'

interface Run {
  readonly reader: RunReader
  readonly bytes: number
}

interface Waiter {
  resolve(batch: LogBatch): void
  reject(failure: TidemarkError): void
  readonly timer: NodeJS.Timeout
}

export interface BufferEvents {
  /** There is room again for a fetch. */
  onRoom(buffer: PartitionBuffer): void
  onClose(buffer: PartitionBuffer): void
}

export class PartitionBuffer implements PartitionReader {
  readonly topic: string
  readonly partition: Partition
  readonly expect: TopicExpectation
  readonly #events: BufferEvents
  readonly #runs: Run[] = []
  #bytes = 0
  /** The offset after what was taken. */
  #position: number
  /** The offset after what was fetched. */
  #fetchFrom: number
  #lastEpoch = -1
  #logEnd: number
  #failure: TidemarkError | undefined
  #waiter: Waiter | undefined

  constructor(
    topic: string,
    partition: Partition,
    from: Offset,
    expect: TopicExpectation,
    events: BufferEvents,
  ) {
    assert(partition < expect.partitions, 'the topic has no such partition')
    this.topic = topic
    this.partition = partition
    this.expect = expect
    this.#position = from
    this.#fetchFrom = from
    this.#logEnd = from
    this.#events = events
  }

  // ---- the reader's side

  next(): Promise<LogBatch> {
    assert(this.#waiter === undefined, 'next() is called while another call waits')
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#runs.length > 0) return Promise.resolve(this.#take())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#settle()?.resolve(this.#take())
      }, READ_IDLE_MS)
      this.#waiter = { resolve, reject, timer }
    })
  }

  close(): void {
    this.fail(new TidemarkError('CANCELLED', `The reader of ${this.name} was closed.`))
  }

  #take(): LogBatch {
    const hadRoom = this.hasRoom
    const records: LogRecord[] = []
    let bytes = 0
    for (let run = this.#runs[0]; run !== undefined; run = this.#runs[0]) {
      bytes += run.reader.take(records, APPLY_RECORDS_MAX, APPLY_BYTES_MAX - bytes)
      this.#position = Math.max(this.#position, run.reader.nextOffset)
      if (!run.reader.done) break
      this.#runs.shift()
      this.#bytes -= run.bytes
    }
    if (!hadRoom && this.hasRoom) this.#events.onRoom(this)
    return { records, nextOffset: offset(this.#position), logEnd: offset(this.#logEnd), bytes }
  }

  #settle(): Waiter | undefined {
    const waiter = this.#waiter
    this.#waiter = undefined
    clearTimeout(waiter?.timer)
    return waiter
  }

  // ---- the fetch plane's side

  get name(): string {
    return `partition ${this.partition} of topic ${this.topic}`
  }

  get fetchFrom(): number {
    return this.#fetchFrom
  }

  get lastEpoch(): number {
    return this.#lastEpoch
  }

  get hasRoom(): boolean {
    return this.#bytes < FETCH_AHEAD_BYTES_MAX
  }

  get failed(): boolean {
    return this.#failure !== undefined
  }

  /**
   * Takes in what a fetch from `fetchFrom` brought. `copy` where the response holds more than this run: a slice would keep
   * all of it in memory. @returns why the next batch cannot be used, if so; everything before it was taken in.
   */
  accept(answer: FetchAnswer, copy: boolean): string | undefined {
    const from = this.#fetchFrom
    const walk = walkBatches(answer.records, from)
    if (walk.bytes > 0) {
      const whole = answer.records.subarray(0, walk.bytes)
      const run = new RunReader(copy ? Buffer.from(whole) : whole, from, answer.abortedTransactions)
      this.#runs.push({ reader: run, bytes: walk.bytes })
      this.#bytes += walk.bytes
      this.#fetchFrom = walk.nextOffset
      this.#lastEpoch = walk.leaderEpoch
    }
    // Right after a change of leader the new one may tell an older end for a moment.
    this.#logEnd = Math.max(answer.highWatermark, this.#fetchFrom)
    if (walk.bytes > 0) this.#settle()?.resolve(this.#take())
    return walk.fault
  }

  fail(failure: TidemarkError): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    this.#runs.length = 0
    this.#bytes = 0
    this.#settle()?.reject(failure)
    this.#events.onClose(this)
  }
}
