/**
 * The append plane: one lane appends batches to all leaders, as one idempotent producer of its own, one batch of a partition at a
 * time. What waits for a leader that is slow or dead does not hold up the others: each part is told by itself, and the lane is free
 * for the next call as soon as a leader has answered.
 *
 * A part that failed in a way that leaves open whether it was appended goes out again with the same producer and sequence: the
 * broker knows it and answers with the offset that it has. With one request in flight for each partition, this cannot
 * reorder or lose. (One that was left with a leader that was replaced cannot be committed any more.) When the retries are spent, or
 * the broker has forgotten the producer, its session is retired: the sequences are never used for other records. (kafkajs' own producer
 * breaks that rule when sends overlap.)
 */
import { assert, must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import {
  APPEND_ACK_MS,
  APPEND_FREE_MS,
  APPEND_LOOKS_PER_REFRESH,
  APPEND_LOOK_MS,
  APPEND_RECORDS_MAX,
  APPEND_RETRIES_MAX,
  APPEND_RETRY_MS,
  KAFKA_REQUEST_MS,
} from '../../core/limits.ts'
import { offset } from '../../core/types.ts'
import { failpoint } from '../../failpoint.ts'
import type { Append, AppendListener, Appended } from '../log.ts'
import { createChannels } from './channels.ts'
import { describeCode, type Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import { metadataCall } from './metadata-protocol.ts'
import { createPauses } from './pauses.ts'
import { createProducerSessions, type ProducerSession } from './producer-sessions.ts'
import { produceCall, type ProduceAnswer } from './protocol.ts'
import { encodeRecordBatch } from './record-batch.ts'
import type { Topics } from './topics.ts'

export interface AppendLane {
  /** Connects and asks for a producer id before anything is appended, so that the first append does not wait for that. Best effort. */
  warm(): Promise<void>
  append(parts: readonly Append[], listener: AppendListener): Promise<void>
  close(): void
}

type Settle = (one: Sending, result: Appended | TidemarkError) => void

/** A part on its way. */
interface Sending {
  readonly part: Append
  readonly index: number
  readonly name: string
  /** Under which its batch is encoded. */
  session: ProducerSession | undefined
  batch: Buffer | undefined
  /** The broker that it went to in the last attempt; -1 where it came to none. */
  sentTo: number
  /** Why it was not appended when it was sent last. */
  why: string
}

// Codes of the protocol that decide what happens next.
const MESSAGE_TOO_LARGE = new Set([10, 18])
/** The broker does not know the producer, or its sequence: 45 out of order, 46 older than remembered, 47 epoch, 59 unknown id. */
const PRODUCER_LOST = new Set([45, 46, 47, 59])
/** Again would fail again: authorization, an invalid topic, a policy, an invalid record. */
const HOPELESS = new Set([17, 29, 31, 42, 43, 44, 87])

export function createAppendLane(
  transport: Transport,
  view: ClusterView,
  batchBytesMax: Topics['batchBytesMax'],
): AppendLane {
  const channels = createChannels(transport)
  const sessions = createProducerSessions(channels, view)
  const pauses = createPauses()
  /** Partitions with a part on its way. */
  const onTheirWay = new Set<string>()

  const encode = async (sending: readonly Sending[]): Promise<void> => {
    // LogAppendTime replaces this time; a development topic without it gets the time of this node.
    const time = Date.now()
    for (const one of sending) {
      if (one.batch !== undefined) continue
      one.session = await sessions.current()
      const sequence = one.session.sequenceOf(one.name)
      one.batch = encodeRecordBatch(one.part.records, one.session.producer, sequence, time)
    }
  }

  /** @returns what is over the limit of its topic, if it is. */
  const tooLargeOf = async ({ part, batch }: Sending): Promise<TidemarkError | undefined> => {
    const size = must(batch, 'the batch').length
    if (size <= (await batchBytesMax(part.topic))) return undefined
    // Perhaps it was raised since it was read.
    const bytesMax = await batchBytesMax(part.topic, 'now')
    return size > bytesMax ? tooLarge(part, size, bytesMax) : undefined
  }

  const answered = (
    one: Sending,
    answer: ProduceAnswer | undefined,
  ): Appended | TidemarkError | undefined => {
    if (answer?.errorCode === 0) {
      one.session?.appended(one.name, one.part.records.length)
      return { firstOffset: offset(answer.baseOffset) }
    }
    const code = answer?.errorCode ?? -1
    if (MESSAGE_TOO_LARGE.has(code)) return tooLarge(one.part, must(one.batch, 'the batch').length)
    one.why = `${one.name}: ${answer?.message ?? describeCode(code)}`
    if (HOPELESS.has(code)) return new TidemarkError('LOG_UNAVAILABLE', `The append was refused. ${one.why}`)
    if (PRODUCER_LOST.has(code)) {
      one.session?.retire()
      one.batch = undefined
    }
    return undefined
  }

  /**
   * A leader that is cut off and was replaced holds on to what it cannot commit any more: who is heard of as its successor gets it
   * at once, in place of waiting for an answer that says nothing. @throws LOG_UNAVAILABLE
   */
  const whileLeading = async <T>(
    nodeId: number,
    sending: readonly Sending[],
    ask: () => Promise<T>,
  ): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    let looks = 0
    const replaced = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (sending.some((one) => wasReplaced(one, nodeId)))
          reject(new TidemarkError('LOG_UNAVAILABLE', `Broker ${nodeId} was replaced as leader.`))
        // The brokers are asked in turn: one of the others knows.
        else if (++looks % APPEND_LOOKS_PER_REFRESH === 0)
          view.refresh(topicsOf(sending)).catch(() => undefined)
      }, APPEND_LOOK_MS)
    })
    try {
      return await Promise.race([ask(), replaced])
    } finally {
      clearInterval(timer)
    }
  }

  /** One request to one leader. @returns what is still to be sent. */
  const send = async (nodeId: number, sending: readonly Sending[], settle: Settle): Promise<Sending[]> => {
    const channel = channels.of(view.brokers.get(nodeId))
    if (channel === undefined) return failed(sending, 'a partition has no leader that is known')
    const parts = sending.map(({ part, batch }) => ({
      topic: part.topic,
      partition: part.partition,
      batch: must(batch, 'the batch'),
    }))
    const answers = await whileLeading(nodeId, sending, () =>
      failpoint('kafka.produce', () =>
        channel.call(produceCall(parts, APPEND_ACK_MS), APPEND_ACK_MS + KAFKA_REQUEST_MS),
      ),
    )
    const byName = new Map(answers.map((answer) => [`${answer.topic}/${answer.partition}`, answer]))
    return sending.filter((one) => {
      const result = answered(one, byName.get(one.name))
      if (result !== undefined) settle(one, result)
      return result === undefined
    })
  }

  /** Each part once, to whoever leads it now. @returns what is still to be sent. */
  const attempt = async (sending: readonly Sending[], settle: Settle): Promise<readonly Sending[]> => {
    for (const one of sending) one.sentTo = -1
    await encode(sending)
    const byLeader = new Map<number, Sending[]>()
    for (const one of sending) {
      const large = await tooLargeOf(one)
      if (large !== undefined) {
        settle(one, large)
        continue
      }
      const nodeId = leaderOf(one)
      one.sentTo = nodeId
      const group = byLeader.get(nodeId)
      if (group === undefined) byLeader.set(nodeId, [one])
      else group.push(one)
    }
    const left = await Promise.all(
      [...byLeader].map(([nodeId, group]) =>
        send(nodeId, group, settle).catch((caught: unknown) => {
          if (!(caught instanceof TidemarkError)) throw caught
          return failed(group, caught.message)
        }),
      ),
    )
    return left.flat()
  }

  const wasReplaced = (one: Sending, nodeId: number): boolean => ![nodeId, -1].includes(leaderOf(one))

  const leaderOf = ({ part }: Sending): number => view.leader(part.topic, part.partition)?.leader ?? -1

  /** Sends until all is settled. @param tried - is told after each attempt whether it was the first, and whether it appended anything */
  const run = async (
    sending: readonly Sending[],
    listener: AppendListener,
    tried: (first: boolean, appended: boolean) => void,
  ): Promise<void> => {
    const topics = topicsOf(sending)
    let left = sending
    let appended = false
    const settle: Settle = (one, result) => {
      if (!onTheirWay.delete(one.name)) return
      if (result instanceof TidemarkError)
        // Whether its sequence was used is not known.
        one.session?.retire()
      else appended = true
      listener.part(one.index, result)
    }
    for (let tries = 0; tries <= APPEND_RETRIES_MAX && left.length > 0; tries++) {
      const known = tries > 0 && left.every((one) => one.sentTo >= 0 && wasReplaced(one, one.sentTo))
      if (tries > 0 && !known) await pauses.pause(APPEND_RETRY_MS * 4 ** (tries - 1))
      try {
        if ((tries > 0 && !known) || left.some((one) => leaderOf(one) < 0)) await view.refresh(topics)
        left = await attempt(left, settle)
      } catch (caught) {
        const error = TidemarkError.from(caught)
        left = failed(left, error.message)
        if (error.reason === 'INTERNAL') {
          for (const one of left) settle(one, error)
          left = []
        }
      }
      tried(tries === 0, appended)
    }
    for (const one of left)
      settle(
        one,
        new TidemarkError('LOG_UNAVAILABLE', `The append failed ${APPEND_RETRIES_MAX + 1} times. ${one.why}`),
      )
  }

  return {
    async warm() {
      const calls = [...view.brokers.values()].map((broker) =>
        failpoint('kafka.warm', () => channels.of(broker)?.call(metadataCall([]), KAFKA_REQUEST_MS)),
      )
      await Promise.allSettled([sessions.current(), ...calls])
    },
    async append(parts, listener) {
      if (parts.length === 0) return
      const groups = new Map<number, Sending[]>()
      parts.forEach((part, index) => {
        const name = `${part.topic}/${part.partition}`
        const { length } = part.records
        assert(length > 0 && length <= APPEND_RECORDS_MAX, 'a part has no or too many records')
        assert(!onTheirWay.has(name), 'a partition has one part on its way at a time')
        onTheirWay.add(name)
        const one = { part, index, name, session: undefined, batch: undefined, sentTo: -1, why: '' }
        const group = groups.get(leaderOf(one))
        if (group === undefined) groups.set(leaderOf(one), [one])
        else group.push(one)
      })
      const stalled = setTimeout(listener.free, APPEND_FREE_MS)
      let untried = groups.size
      const tried = (first: boolean, appended: boolean): void => {
        if (first) untried -= 1
        if (!appended && untried > 0) return
        clearTimeout(stalled)
        listener.free()
      }
      await Promise.all([...groups.values()].map((group) => run(group, listener, tried)))
    },
    close() {
      pauses.end()
      channels.close()
    },
  }
}

const topicsOf = (sending: readonly Sending[]): string[] => [
  ...new Set(sending.map(({ part }) => part.topic)),
]

function failed(left: readonly Sending[], why: string): Sending[] {
  for (const one of left) one.why = why
  return [...left]
}

function tooLarge(part: Append, bytes: number, bytesMax?: number): TidemarkError {
  const limit = bytesMax === undefined ? '' : `, and the topic takes ${bytesMax} (max.message.bytes)`
  return new TidemarkError(
    'VALUE_TOO_LARGE',
    `The batch for partition ${part.partition} of topic ${part.topic} has ${bytes} bytes${limit}.`,
    bytesMax === undefined ? {} : { metadata: { limit: String(bytesMax) } },
  )
}
