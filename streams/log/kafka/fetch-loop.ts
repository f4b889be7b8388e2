/**
 * Fetches from one broker for all readers whose partitions it leads.
 *
 * Two connections. The long one asks for every reader that has room, and the broker holds the answer until there is a
 * record or FETCH_WAIT_MS passed; the next request leaves as soon as the answer is in. A reader that joins, or that has
 * room again, while the long one waits is served by the short one, which waits FETCH_JOIN_MS at most, until the
 * long one takes it over. So no reader waits for the idleness of others, and an idle broker gets four requests a second.
 *
 *   long   ├── A B C ─────────────── wait ───────────────┤├── A B C D ── …
 *   short        D joins ├─ D ─┤├─ D ─┤├─ D ─┤├─ D ─┤
 */
import { TidemarkError } from '../../core/errors.ts'
import {
  FETCH_BYTES_MAX,
  FETCH_JOIN_MS,
  FETCH_PARTITION_BYTES,
  FETCH_WAIT_MS,
  KAFKA_REQUEST_MS,
  KAFKA_RETRY_MS,
  KAFKA_RETRY_MS_MAX,
} from '../../core/limits.ts'
import { failpoint } from '../../failpoint.ts'
import { describeCode, type Address, type Channel, type Transport } from './client.ts'
import type { PartitionBuffer } from './partition-buffer.ts'
import { fetchCall, type FetchAnswer } from './fetch-protocol.ts'
import { createSignal } from './signal.ts'

/** A reader as the loop serves it; the plane gives it to one loop at a time. */
export interface Served {
  readonly buffer: PartitionBuffer
  readonly leaderEpoch: number
  /** True while it must not be fetched for: its last fetch failed, and the plane looks into it. */
  paused: boolean
}

export interface FetchLoopEvents {
  /** The answer for a reader that is still served from the offset that was asked for. */
  onAnswer(served: Served, answer: FetchAnswer, copy: boolean): void
  /** A whole request failed, for the so manieth time in a row; the loop tries again by itself. */
  onFault(sentence: string, faults: number): void
  onSuccess(): void
}

export interface FetchLoop {
  readonly address: Address
  add(served: Served): void
  remove(served: Served): void
  /** Some reader may be fetched for again. */
  wake(): void
  readonly idle: boolean
  /** Whether a reader of the same partition is here already: Kafka takes a partition once in a request. */
  serves(buffer: PartitionBuffer): boolean
  close(): void
}

export function createFetchLoop(transport: Transport, address: Address, events: FetchLoopEvents): FetchLoop {
  const serving = new Set<Served>()
  const flying = new Set<Served>()
  const longWake = createSignal()
  const shortWake = createSignal()
  const channels = [transport.channel(address), transport.channel(address)] as const
  let closed = false
  let waitingLong = false
  let faults = 0

  const wake = (): void => {
    longWake.set()
    shortWake.set()
  }

  /** Who can be fetched for, and whether that is everyone with room. */
  const ready = (): { wanted: Served[]; all: boolean } => {
    const wanted: Served[] = []
    let all = true
    for (const served of serving) {
      if (served.paused || !served.buffer.hasRoom) continue
      if (flying.has(served)) all = false
      else wanted.push(served)
    }
    return { wanted, all }
  }

  const fetch = async (channel: Channel, wanted: readonly Served[], waitMs: number): Promise<boolean> => {
    const asked = wanted.map((served) => ({ served, from: served.buffer.fetchFrom }))
    for (const served of wanted) flying.add(served)
    try {
      const parts = asked.map(({ served, from }) => ({
        topicId: served.buffer.expect.identity,
        partition: served.buffer.partition,
        leaderEpoch: served.leaderEpoch,
        from,
        lastEpoch: served.buffer.lastEpoch,
        bytesMax: FETCH_PARTITION_BYTES,
      }))
      const result = await failpoint('kafka.fetch', () =>
        channel.call(fetchCall(parts, waitMs, FETCH_BYTES_MAX), waitMs + KAFKA_REQUEST_MS),
      )
      if (closed) return true
      if (result.errorCode !== 0) throw new TidemarkError('LOG_UNAVAILABLE', describeCode(result.errorCode))
      faults = 0
      deliver(asked, result.answers)
      events.onSuccess()
      return true
    } catch (caught) {
      if (!(caught instanceof TidemarkError)) throw caught
      if (!closed) events.onFault(caught.message, ++faults)
      return false
    } finally {
      for (const served of wanted) flying.delete(served)
    }
  }

  const deliver = (
    asked: readonly { readonly served: Served; readonly from: number }[],
    answers: readonly FetchAnswer[],
  ): void => {
    const copy = answers.filter((answer) => answer.records.length > 0).length > 1
    const byPartition = new Map(answers.map((answer) => [`${answer.topicId}/${answer.partition}`, answer]))
    for (const { served, from } of asked) {
      const { buffer } = served
      const answer = byPartition.get(`${buffer.expect.identity}/${buffer.partition}`)
      if (answer === undefined || !serving.has(served) || buffer.fetchFrom !== from) continue
      if (answer.records.length > 0) {
        // To the end of the order: Kafka fills a response in the order of the request.
        serving.delete(served)
        serving.add(served)
      }
      events.onAnswer(served, answer, copy)
    }
  }

  const run = async (long: boolean): Promise<void> => {
    const signal = long ? longWake : shortWake
    const channel = channels[long ? 0 : 1]
    while (!closed) {
      signal.clear()
      const { wanted, all } = ready()
      if (wanted.length === 0 || (!long && !waitingLong)) {
        await signal.wait()
        continue
      }
      const waitMs = long && all ? FETCH_WAIT_MS : FETCH_JOIN_MS
      if (long) waitingLong = waitMs === FETCH_WAIT_MS
      const succeeded = await fetch(channel, wanted, waitMs)
      if (long) waitingLong = false
      if (!succeeded) await signal.sleep(Math.min(KAFKA_RETRY_MS * 2 ** (faults - 1), KAFKA_RETRY_MS_MAX))
      // What the other one left for lack of readers or of a long wait may be there now.
      if (long) shortWake.set()
      else longWake.set()
    }
  }

  void run(true)
  void run(false)

  return {
    address,
    add(served) {
      serving.add(served)
      wake()
    },
    remove(served) {
      serving.delete(served)
    },
    wake,
    get idle() {
      return serving.size === 0
    },
    serves: (buffer) =>
      [...serving].some(
        (served) => served.buffer.topic === buffer.topic && served.buffer.partition === buffer.partition,
      ),
    close() {
      closed = true
      for (const channel of channels) channel.close()
      longWake.end()
      shortWake.end()
    },
  }
}
