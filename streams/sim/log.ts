/**
 * The Log port over the simulated Kafka, as one node has it. It keeps what log.ts promises, and no more: a part may be appended though
 * its append failed, or twice, or long after; answers come in any order; what is told without proof may be out of date.
 */
import { TidemarkError } from '../core/errors.ts'
import { APPEND_ACK_MS, APPEND_RETRIES_MAX, APPEND_RETRY_MS, KAFKA_REQUEST_MS } from '../core/limits.ts'
import { offset, type Offset, type Partition } from '../core/types.ts'
import {
  checkRecordSize,
  checkTrim,
  logClosed,
  noSuchPartition,
  noSuchTopic,
  recordBytes,
} from '../log/embedded/refusals.ts'
import type { Append, Appended, Log, Offsets } from '../log/log.ts'
import { appendTime, type BrokerPartition } from './broker-partition.ts'
import type { Connection } from './connection.ts'
import type { SimulatedKafka, Topic } from './kafka.ts'
import { openLogReader } from './log-reader.ts'

/** Milliseconds until a question that nobody answers is asked again, and how often. */
const ASK_AGAIN_MS = 100
const ASKED_TIMES = 3

interface Answer<T> {
  readonly value: T | TidemarkError
}

export function openSimulatedLog(kafka: SimulatedKafka, connection: Connection, lanes = 2): Log {
  const { faults, random, world, life } = connection
  let closed = false
  const closing = new Set<() => void>()

  const staleness = (): number => (faults.staleMs === 0 ? 0 : random.below(faults.staleMs + 1))

  /** Asked again when no answer comes; fails in the words of the port. */
  async function ask<T>(what: string, at: () => T): Promise<T> {
    for (let times = 0; times < ASKED_TIMES; times++) {
      if (closed) throw logClosed()
      const answer = await connection.call<Answer<T>>((reply) => {
        reply({ value: attempt(at) })
      }, KAFKA_REQUEST_MS)
      if (answer?.value instanceof TidemarkError) throw answer.value
      if (answer !== undefined) return answer.value
      await connection.sleep(ASK_AGAIN_MS)
    }
    throw new TidemarkError('LOG_UNAVAILABLE', `no broker answered: ${what}`)
  }

  const topicOf = (name: string): Topic => {
    const topic = kafka.topic(name)
    if (topic === undefined) throw noSuchTopic(name)
    return topic
  }

  const partitionOf = (name: string, partition: Partition): BrokerPartition => {
    const { partitions } = topicOf(name)
    const found = partitions[partition]
    if (found === undefined) throw noSuchPartition(name, partition, partitions.length)
    return found
  }

  const offsetsOf = (partition: BrokerPartition): Offsets => ({
    start: offset(partition.start),
    end: offset(partition.end),
  })

  /** What a producer keeps of a part that it may send again: the broker knows it by that. */
  interface Sending {
    readonly part: Append
    first: { readonly partition: BrokerPartition; readonly offset: number } | undefined
  }

  /** At the broker. */
  function arrived(sending: Sending, reply: (answer: Answer<Appended>) => void): void {
    const { part } = sending
    const partition = kafka.partition(part.topic, part.partition)
    if (partition === undefined) {
      reply({ value: noSuchTopic(part.topic) })
      return
    }
    const known = sending.first?.partition === partition ? sending.first : undefined
    const first = known?.offset ?? partition.append(part.records, appendTime(kafka.timeOf(partition)))
    // Nobody can take it: no answer, the producer tries again.
    if (first === undefined) return
    if (known === undefined)
      world.note(`${life.name} appends ${part.records.length} at ${part.topic}/${part.partition}:${first}`)
    sending.first = { partition, offset: first }
    partition.whenKept(first + part.records.length, (kept) => {
      if (kept) reply({ value: { firstOffset: offset(first) } })
      // Dropped: whoever sends it again has it appended anew.
      else if (sending.first?.offset === first) sending.first = undefined
    })
    kafka.stir(partition)
  }

  async function appendPart(part: Append): Promise<Appended | TidemarkError> {
    const topic = kafka.topic(part.topic)
    const tooLarge = attempt(() => {
      for (const record of part.records)
        checkRecordSize(part.topic, recordBytes(record), topic?.settings.valueBytesMax ?? Infinity)
    })
    if (tooLarge instanceof TidemarkError) return tooLarge
    const sending: Sending = { part, first: undefined }
    for (let tries = 0; tries <= APPEND_RETRIES_MAX && !closed; tries++) {
      if (tries > 0) {
        await connection.sleep(APPEND_RETRY_MS * 4 ** (tries - 1))
        if (random.chance(faults.producersForgotten)) sending.first = undefined
      }
      const answer = await connection.call<Answer<Appended>>((reply) => {
        arrived(sending, reply)
      }, APPEND_ACK_MS + KAFKA_REQUEST_MS)
      if (answer !== undefined) return answer.value
    }
    return new TidemarkError(
      'LOG_UNAVAILABLE',
      `the append to ${part.topic}/${part.partition} was not answered`,
    )
  }

  return {
    identity: kafka.identity,
    lanes,
    get healthy() {
      return !closed && !faults.cut
    },

    createTopic: async (name, settings) =>
      ask(`create ${name}`, () => kafka.create(name, settings).description),

    describeTopic: async (name) => ask(`describe ${name}`, () => kafka.topic(name, staleness())?.description),

    listTopics: async (prefix) =>
      ask(`list ${prefix}`, () => kafka.topicNames(staleness()).filter((name) => name.startsWith(prefix))),

    deleteTopic: async (name) =>
      ask(`delete ${name}`, () => {
        kafka.delete(name)
      }),

    async append(_lane, parts, listener) {
      if (closed) throw logClosed()
      const results = await Promise.all(
        parts.map(async (part, index) => {
          const result = await appendPart(part)
          listener?.part(index, result)
          if (!(result instanceof TidemarkError)) listener?.free()
          return result
        }),
      )
      return results.map((result) => {
        if (result instanceof TidemarkError) throw result
        return result
      })
    },

    read(topic, partition, from, expect) {
      const reader = openLogReader(kafka, connection, { topic, partition, from, expect })
      closing.add(reader.close)
      return reader
    },

    async verifiedEnds(topic, partitions) {
      return ask(`ends of ${topic}`, () => {
        if (random.chance(faults.endsUnproved)) throw unproved(topic)
        return new Map(
          partitions.map((partition): [Partition, Offset] => {
            const found = partitionOf(topic, partition)
            if (found.leader === undefined) throw unproved(topic)
            return [partition, offset(found.end)]
          }),
        )
      })
    },

    offsets: async (topic, partition) =>
      ask(`offsets of ${topic}/${partition}`, () => offsetsOf(partitionOf(topic, partition))),

    trim: async (topic, partition, before) =>
      ask(`trim ${topic}/${partition}`, () => {
        const found = partitionOf(topic, partition)
        checkTrim(`partition ${partition} of ${topic}`, before, offsetsOf(found))
        found.trim(before)
      }),

    async close() {
      closed = true
      for (const close of closing) close()
    },
  }
}

const unproved = (topic: string): TidemarkError =>
  new TidemarkError('LOG_UNAVAILABLE', `the ends of ${topic} cannot be proved`)

function attempt<T>(action: () => T): T | TidemarkError {
  try {
    return action()
  } catch (caught) {
    return TidemarkError.from(caught)
  }
}
