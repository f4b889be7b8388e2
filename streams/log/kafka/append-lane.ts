/**
 * The append plane: one lane appends one batch at a time, to all leaders at once, as one idempotent producer of its own.
 *
 * A part that failed in a way that leaves open whether it was appended goes out again with the same producer and sequence: the
 * broker knows it and answers with the offset that it has. With one request in flight for each partition, this cannot
 * reorder or lose. When the retries are spent, or the broker has forgotten the producer, the producer is thrown away: its
 * sequences are never used for other records. (kafkajs' own producer breaks that rule when sends overlap.)
 */
import { assert, must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import {
  APPEND_ACK_MS,
  APPEND_RECORDS_MAX,
  APPEND_RETRIES_MAX,
  APPEND_RETRY_MS,
  KAFKA_REQUEST_MS,
} from '../../core/limits.ts'
import { offset } from '../../core/types.ts'
import type { Append, Appended } from '../log.ts'
import { createChannels } from './channels.ts'
import { describeCode, type Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import { initProducerCall, produceCall, type ProduceAnswer } from './protocol.ts'
import { encodeRecordBatch, type Producer } from './record-batch.ts'
import { createSignal } from './signal.ts'
import type { Topics } from './topics.ts'

export interface AppendLane {
  append(parts: readonly Append[]): Promise<readonly Appended[]>
  close(): void
}

/** What became of some parts. */
interface Outcome {
  /** Those that were not appended, or perhaps were. */
  readonly left: readonly Sending[]
  /** Why one of them failed; empty when none did. */
  readonly why: string
  /** Sending again would fail again. */
  readonly hopeless: boolean
}

/** A part on its way. */
interface Sending {
  readonly part: Append
  readonly index: number
  readonly name: string
  /** Encoded for the current producer; undefined when there is another one since. */
  batch: Buffer | undefined
}

// Codes of the protocol that decide what happens next.
const MESSAGE_TOO_LARGE = new Set([10, 18])
/** The broker does not know the producer, or its sequence: 45 out of order, 46 older than remembered, 47 epoch, 59 unknown id. */
const PRODUCER_LOST = new Set([45, 46, 47, 59])
/** Again would fail again: authorization, an invalid topic, a policy, an invalid record. */
const HOPELESS = new Set([17, 29, 31, 42, 43, 44, 87])

const SEQUENCE_MAX = 2 ** 31 - 1

export function createAppendLane(
  transport: Transport,
  view: ClusterView,
  batchBytesMax: Topics['batchBytesMax'],
): AppendLane {
  const channels = createChannels(transport)
  const signal = createSignal()
  let producer: Producer | undefined
  let busy = false
  /** The next sequence of each partition; absent is 0. */
  const sequences = new Map<string, number>()
  let largestSequence = 0
  let producerLost = false

  const forgetProducer = (): void => {
    producer = undefined
    producerLost = false
    sequences.clear()
    largestSequence = 0
  }

  const initProducer = async (): Promise<Producer> => {
    const broker = view.brokers.values().next().value
    const channel = must(channels.of(broker), 'a broker')
    const { errorCode, id, epoch } = await channel.call(initProducerCall(), APPEND_ACK_MS)
    if (errorCode !== 0)
      throw new TidemarkError('LOG_UNAVAILABLE', `No producer id: ${describeCode(errorCode)}.`)
    return { id, epoch }
  }

  const encode = (sending: readonly Sending[], by: Producer): void => {
    // LogAppendTime replaces this time; a development topic without it gets the time of this node.
    const time = Date.now()
    for (const one of sending) {
      one.batch ??= encodeRecordBatch(one.part.records, by, sequences.get(one.name) ?? 0, time)
    }
  }

  const checkSizes = async (sending: readonly Sending[]): Promise<void> => {
    for (const { part, batch } of sending) {
      const size = must(batch, 'the batch').length
      if (size <= (await batchBytesMax(part.topic))) continue
      // Perhaps it was raised since it was read.
      const bytesMax = await batchBytesMax(part.topic, 'now')
      if (size > bytesMax) throw tooLarge(part, size, bytesMax)
    }
  }

  /** One request to one leader. @returns the parts that must go out again, and why. */
  const send = async (
    nodeId: number,
    sending: readonly Sending[],
    results: (Appended | undefined)[],
  ): Promise<Outcome> => {
    const channel = channels.of(view.brokers.get(nodeId))
    if (channel === undefined) return failed(sending, 'a partition has no leader that is known')
    let answers: readonly ProduceAnswer[]
    try {
      const parts = sending.map(({ part, batch }) => ({
        topic: part.topic,
        partition: part.partition,
        batch: must(batch, 'the batch'),
      }))
      answers = await channel.call(produceCall(parts, APPEND_ACK_MS), APPEND_ACK_MS + KAFKA_REQUEST_MS)
    } catch (caught) {
      if (!(caught instanceof TidemarkError)) throw caught
      return failed(sending, caught.message)
    }
    const byName = new Map(answers.map((answer) => [`${answer.topic}/${answer.partition}`, answer]))
    let why = ''
    let hopeless = false
    const left = sending.filter((one) => {
      const answer = byName.get(one.name)
      if (answer?.errorCode === 0) {
        results[one.index] = { firstOffset: offset(answer.baseOffset) }
        const sequence = (sequences.get(one.name) ?? 0) + one.part.records.length
        sequences.set(one.name, sequence)
        largestSequence = Math.max(largestSequence, sequence)
        return false
      }
      const code = answer?.errorCode ?? -1
      if (MESSAGE_TOO_LARGE.has(code)) throw tooLarge(one.part, must(one.batch, 'the batch').length)
      why = `${one.name}: ${answer?.message ?? describeCode(code)}`
      hopeless ||= HOPELESS.has(code)
      producerLost ||= PRODUCER_LOST.has(code)
      return true
    })
    return { left, why, hopeless }
  }

  const attempt = async (
    sending: readonly Sending[],
    results: (Appended | undefined)[],
  ): Promise<Outcome> => {
    if (producerLost || largestSequence > SEQUENCE_MAX - APPEND_RECORDS_MAX) forgetProducer()
    if (producer === undefined) {
      producer = await initProducer()
      for (const one of sending) one.batch = undefined
    }
    encode(sending, producer)
    await checkSizes(sending)
    const byLeader = new Map<number, Sending[]>()
    for (const one of sending) {
      const nodeId = view.leader(one.part.topic, one.part.partition)?.leader ?? -1
      const group = byLeader.get(nodeId)
      if (group === undefined) byLeader.set(nodeId, [one])
      else group.push(one)
    }
    const outcomes = await Promise.allSettled(
      [...byLeader].map(([nodeId, group]) => send(nodeId, group, results)),
    )
    const settled = outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
    return {
      left: settled.flatMap(({ left }) => left),
      why: settled.find(({ why }) => why !== '')?.why ?? '',
      hopeless: settled.some(({ hopeless }) => hopeless),
    }
  }

  const tryOnce = async (
    sending: readonly Sending[],
    topics: readonly string[],
    again: boolean,
    results: (Appended | undefined)[],
  ): Promise<Outcome> => {
    try {
      const unknown = sending.some(({ part }) => view.leader(part.topic, part.partition) === undefined)
      if (again || unknown) await view.refresh(topics)
      return await attempt(sending, results)
    } catch (caught) {
      if (!(caught instanceof TidemarkError) || caught.reason === 'VALUE_TOO_LARGE') throw caught
      return failed(sending, caught.message)
    }
  }

  const append = async (parts: readonly Append[]): Promise<readonly Appended[]> => {
    const results: (Appended | undefined)[] = parts.map(() => undefined)
    const topics = [...new Set(parts.map((part) => part.topic))]
    let left: readonly Sending[] = parts.map((part, index) => {
      assert(
        part.records.length > 0 && part.records.length <= APPEND_RECORDS_MAX,
        'a part has no or too many records',
      )
      return { part, index, name: `${part.topic}/${part.partition}`, batch: undefined }
    })
    assert(
      new Set(left.map(({ name }) => name)).size === left.length,
      'a partition stands twice in an append',
    )
    let why = ''
    for (let tries = 0; tries <= APPEND_RETRIES_MAX; tries++) {
      if (tries > 0) await signal.sleep(APPEND_RETRY_MS * 4 ** (tries - 1))
      const outcome = await tryOnce(left, topics, tries > 0, results)
      left = outcome.left
      why = outcome.why
      if (outcome.hopeless) throw new TidemarkError('LOG_UNAVAILABLE', `The append was refused. ${why}`)
      if (left.length === 0) return results.map((result) => must(result, 'the result of a part'))
    }
    throw new TidemarkError('LOG_UNAVAILABLE', `The append failed ${APPEND_RETRIES_MAX + 1} times. ${why}`)
  }

  return {
    async append(parts) {
      assert(!busy, 'a lane appends one batch at a time')
      if (parts.length === 0) return []
      busy = true
      try {
        return await append(parts)
      } catch (caught) {
        // Whether the sequences in flight were used is not known: they must never stand for other records.
        forgetProducer()
        throw caught
      } finally {
        busy = false
      }
    },
    close() {
      signal.end()
      channels.close()
    },
  }
}

const failed = (left: readonly Sending[], why: string): Outcome => ({ left, why, hopeless: false })

function tooLarge(part: Append, bytes: number, bytesMax?: number): TidemarkError {
  const limit = bytesMax === undefined ? '' : `, and the topic takes ${bytesMax} (max.message.bytes)`
  return new TidemarkError(
    'VALUE_TOO_LARGE',
    `The batch for partition ${part.partition} of topic ${part.topic} has ${bytes} bytes${limit}.`,
    bytesMax === undefined ? {} : { metadata: { limit: String(bytesMax) } },
  )
}
