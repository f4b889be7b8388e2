/** A reader of one partition of the simulated Kafka: fetches take time, and fail for ever only where reading on would skip (I5). */
import { assert } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import { FETCH_PARTITION_BYTES, READ_IDLE_MS } from '../core/limits.ts'
import { offset, type Offset, type Partition } from '../core/types.ts'
import { expectationFailure, readerCancelled, recordBytes } from '../log/embedded/refusals.ts'
import type { LogBatch, PartitionReader, TopicExpectation } from '../log/log.ts'
import type { Slice } from './broker-partition.ts'
import type { Connection } from './connection.ts'
import type { SimulatedKafka } from './kafka.ts'

/** Milliseconds until a fetch that got no answer is sent again. */
const FETCH_AGAIN_MS = 250

export interface Place {
  readonly topic: string
  readonly partition: Partition
  readonly from: Offset
  readonly expect: TopicExpectation
}

interface Fetched {
  readonly batch: LogBatch
  /** The leader epoch of its end. */
  readonly epoch: number
}

export function openLogReader(kafka: SimulatedKafka, connection: Connection, place: Place): PartitionReader {
  const { world, life, faults, random } = connection
  const { topic, partition: number, expect } = place
  const name = `partition ${number} of ${topic}`
  let position = place.from
  let epoch = -1
  let logEnd = place.from
  let failed: TidemarkError | undefined
  /** Ends the one call in flight. */
  let pending: { resolve(batch: LogBatch): void; reject(error: TidemarkError): void } | undefined
  let endIdle = (): void => undefined
  /** Which fetch counts: what comes of an older one is late. */
  let turn = 0
  const endTurn: (() => void)[] = []

  const nextTurn = (): number => {
    for (const end of endTurn.splice(0)) end()
    return ++turn
  }

  const settle = (act: (call: NonNullable<typeof pending>) => void): void => {
    const call = pending
    pending = undefined
    nextTurn()
    endIdle()
    if (call !== undefined) act(call)
  }

  const fail = (error: TidemarkError): void => {
    failed ??= error
    settle((call) => {
      call.reject(error)
    })
  }

  /** At the broker: what it says, undefined where there is nothing yet. */
  const look = (): Fetched | TidemarkError | undefined => {
    const found = kafka.topic(topic)
    const failure = expectationFailure(topic, found?.description, expect)
    if (failure !== undefined) return failure
    const partition = found?.partitions[number]
    if (partition === undefined) return expectationFailure(topic, undefined, expect)
    if (partition.leader === undefined) return undefined
    const facts = { start: String(partition.start), end: String(partition.end), offset: String(position) }
    if (position < partition.start)
      return new TidemarkError('LOG_TRIMMED', `${name} starts at ${partition.start}, past ${position}`, {
        metadata: facts,
      })
    if (partition.truncatedFor(position, epoch))
      return new TidemarkError('LOG_TRUNCATED', `${name} parts from what was read before ${position}`, {
        metadata: facts,
      })
    if (position >= partition.end) return undefined
    const count = faults.readRecords === Infinity ? 100_000 : 1 + random.below(faults.readRecords)
    return bounded(partition.slice(position, count), offset(partition.end))
  }

  const fetch = (): void => {
    const mine = nextTurn()
    endTurn.push(world.after(life, FETCH_AGAIN_MS + faults.delayMs[1] * 2, fetch))
    connection.request(() => {
      if (mine !== turn || !life.alive) return
      const found = look()
      if (found === undefined) {
        // The broker holds the fetch until something comes.
        const unsubscribe = kafka.partition(topic, number)?.subscribe(() => {
          unsubscribe?.()
          connection.answer(() => {
            if (mine === turn) fetch()
          })
        })
        if (unsubscribe !== undefined) endTurn.push(unsubscribe)
        return
      }
      connection.answer(() => {
        if (mine !== turn) return
        if (found instanceof TidemarkError) fail(found)
        else {
          const { batch } = found
          position = batch.nextOffset
          epoch = found.epoch
          logEnd = batch.logEnd
          settle((call) => {
            call.resolve(batch)
          })
        }
      })
    })
  }

  return {
    next() {
      assert(pending === undefined, 'a reader was asked for the next records twice at once')
      if (failed !== undefined) return Promise.reject(failed)
      return new Promise((resolve, reject) => {
        pending = { resolve, reject }
        endIdle = world.after(life, READ_IDLE_MS, () => {
          settle((call) => {
            call.resolve({ records: [], nextOffset: position, logEnd, bytes: 0 })
          })
        })
        fetch()
      })
    },
    close() {
      fail(readerCancelled(topic))
    },
  }
}

/** As much of it as one fetch carries. */
function bounded({ records, next, epoch }: Slice, logEnd: Offset): Fetched {
  let bytes = 0
  let count = 0
  while (count < records.length && bytes < FETCH_PARTITION_BYTES) {
    const record = records[count]
    if (record !== undefined) bytes += recordBytes(record)
    count += 1
  }
  const within = count === records.length ? records : records.slice(0, count)
  const last = within.at(-1)
  const nextOffset = count === records.length || last === undefined ? next : offset(last.offset + 1)
  return { batch: { records: within, nextOffset, logEnd, bytes }, epoch }
}
