/**
 * The data plane: no consumer group. Gives each reader to the loop of the broker that leads its partition, follows
 * changes of leaders, and finds out why a fetch failed. A reader that could only go on by skipping or repeating records is
 * stopped with the reason (I5); everything else is retried for ever.
 *
 * How each break of the log is seen:
 *   recreated topic     the broker refuses the topic id of the fetch; the metadata names another one
 *   partition count     the metadata, looked at every METADATA_REFRESH_MS
 *   trimmed             the offset is out of range, and the log starts after it
 *   truncated           the offset is out of range, and the log ends before it; or the broker's log parts from the leader
 *                       epoch that was read last (KIP-595); or its end stays below what was read
 */
import { TidemarkError, type Reason } from '../../core/errors.ts'
import { KAFKA_RETRY_MS, KAFKA_RETRY_MS_MAX, METADATA_REFRESH_MS } from '../../core/limits.ts'
import type { Offset, Partition } from '../../core/types.ts'
import type { Offsets, PartitionReader, TopicExpectation, TopicIdentity } from '../log.ts'
import { describeCode, type Address, type Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import { createFetchLoop, type FetchLoop, type Served } from './fetch-loop.ts'
import type { OffsetsOf } from './offsets.ts'
import { PartitionBuffer } from './partition-buffer.ts'
import type { FetchAnswer } from './fetch-protocol.ts'
import { createSignal } from './signal.ts'
import { KAFKA, type Trouble } from './trouble.ts'

const OFFSET_OUT_OF_RANGE = 1
/** Times that an offset may be called out of range while it lies inside the log: the leader does not know the epoch that was read. */
const RANGE_DOUBTS_MAX = 3
/** Failures in a row before someone is told. */
const TOLD_AT_FAULTS = 3

interface Assigned {
  readonly buffer: PartitionBuffer
  served: (Served & { readonly loop: FetchLoop }) | undefined
  /** Answers in a row that named another topic id or partition count: one alone may come from a broker that is behind. */
  doubts: number
  faults: number
  rangeDoubts: number
  /** Its place outside of the log is being looked into. */
  judged: boolean
}

export interface FetchPlane {
  /** The topic that an open reader was made for, by its id; undefined where none reads it. */
  identityOf(topic: string): TopicIdentity | undefined
  read(topic: string, partition: Partition, from: Offset, expect: TopicExpectation): PartitionReader
  close(): void
}

export function createFetchPlane(
  transport: Transport,
  view: ClusterView,
  trouble: Trouble,
  offsets: OffsetsOf,
): FetchPlane {
  const readers = new Map<PartitionBuffer, Assigned>()
  const byTopic = new Map<string, Set<PartitionBuffer>>()
  /** By node; more than one where two readers read the same partition. */
  const loops = new Map<number, FetchLoop[]>()
  const signal = createSignal()
  let refreshAt = performance.now() + METADATA_REFRESH_MS
  let closed = false

  // ---- who is served where

  const loopFor = (nodeId: number, address: Address, buffer: PartitionBuffer): FetchLoop => {
    const there = loops.get(nodeId) ?? []
    loops.set(nodeId, there)
    const free = there.find((loop) => sameAddress(loop.address, address) && !loop.serves(buffer))
    if (free !== undefined) return free
    const key = `broker ${address.host}:${address.port}`
    const loop = createFetchLoop(transport, address, {
      onAnswer,
      onFault(sentence, faults) {
        refreshIn(KAFKA_RETRY_MS)
        // One alone is the ordinary end of a broker: others take over, or the metadata cannot be had either.
        if (faults >= TOLD_AT_FAULTS)
          trouble.begin(key, `${sentence} Its partitions are not read until it answers or others lead them.`)
      },
      onSuccess() {
        trouble.end(key)
      },
    })
    there.push(loop)
    return loop
  }

  const closeIdleLoops = (): void => {
    for (const [nodeId, there] of loops) {
      const kept = there.filter((loop) => !loop.idle)
      for (const loop of there) {
        if (!loop.idle) continue
        loop.close()
        if (kept.length === 0) trouble.end(`broker ${loop.address.host}:${loop.address.port}`)
      }
      if (kept.length === 0) loops.delete(nodeId)
      else loops.set(nodeId, kept)
    }
  }

  const release = (reader: Assigned): void => {
    reader.served?.loop.remove(reader.served)
    reader.served = undefined
  }

  const stop = (reader: Assigned, reason: Reason, message: string): void => {
    reader.buffer.fail(new TidemarkError(reason, message))
  }

  /** Compares what the metadata says with what the reader expects, and follows the leader. */
  const assign = (reader: Assigned): void => {
    if (reader.judged) return
    const { buffer } = reader
    const found = view.topic(buffer.topic)
    if (found === undefined) {
      release(reader)
      trouble.begin(`topic ${buffer.topic}`, `The topic ${buffer.topic} does not exist or is not to be seen.`)
      return
    }
    trouble.end(`topic ${buffer.topic}`)
    if (found.topicId !== buffer.expect.identity || found.partitions.length !== buffer.expect.partitions) {
      release(reader)
      if (++reader.doubts < 2) refreshIn(KAFKA_RETRY_MS)
      else if (found.topicId !== buffer.expect.identity)
        stop(
          reader,
          'TOPIC_RECREATED',
          `The topic ${buffer.topic} has the id ${found.topicId} where ${buffer.expect.identity} was expected: it was deleted and created again.`,
        )
      else
        stop(
          reader,
          'PARTITIONS_CHANGED',
          `The topic ${buffer.topic} has ${found.partitions.length} partitions where ${buffer.expect.partitions} were expected.`,
        )
      return
    }
    reader.doubts = 0
    const leader = view.leader(buffer.topic, buffer.partition)
    const address = leader && view.brokers.get(leader.leader)
    if (leader === undefined || address === undefined) {
      release(reader)
      refreshIn(KAFKA_RETRY_MS_MAX)
      return
    }
    const { served } = reader
    const stays =
      served !== undefined &&
      served.leaderEpoch === leader.leaderEpoch &&
      sameAddress(served.loop.address, address)
    if (stays && !served.paused) return
    release(reader)
    const loop = loopFor(leader.leader, address, buffer)
    reader.served = { buffer, leaderEpoch: leader.leaderEpoch, paused: false, loop }
    loop.add(reader.served)
  }

  // ---- what the brokers answer

  const onAnswer = (served: Served, answer: FetchAnswer, copy: boolean): void => {
    const { buffer } = served
    const reader = readers.get(buffer)
    if (reader === undefined) return
    if (answer.errorCode === OFFSET_OUT_OF_RANGE) {
      void judgeRange(reader, served, answer.errorCode)
      return
    }
    if (answer.errorCode !== 0) {
      pause(reader, served, describeCode(answer.errorCode))
      return
    }
    if (answer.diverged) {
      stop(
        reader,
        'LOG_TRUNCATED',
        `The log of ${buffer.name} parts from what was read before offset ${buffer.fetchFrom}: records were lost.`,
      )
      return
    }
    const fault = buffer.accept(answer, copy)
    if (fault !== undefined) {
      pause(
        reader,
        served,
        `The batch at offset ${buffer.fetchFrom} of ${buffer.name} cannot be read: ${fault}.`,
      )
      return
    }
    if (answer.highWatermark < buffer.fetchFrom) {
      void judgeRange(reader, served, 0)
      return
    }
    if (reader.faults > 0) trouble.end(buffer.name)
    reader.faults = 0
    reader.rangeDoubts = 0
  }

  /** Leaves the reader out of fetches until the metadata was looked at again. */
  const pause = (reader: Assigned, served: Served, why: string): void => {
    served.paused = true
    reader.faults++
    // Fewer are the ordinary change of a leader.
    if (reader.faults === TOLD_AT_FAULTS)
      trouble.begin(reader.buffer.name, `${capital(reader.buffer.name)} cannot be read: ${why}`)
    refreshIn(Math.min(KAFKA_RETRY_MS * 2 ** (reader.faults - 1), KAFKA_RETRY_MS_MAX))
  }

  /** The reader stands outside of the log, as its broker says: finds out on which side. */
  const judgeRange = async (reader: Assigned, served: Served, errorCode: number): Promise<void> => {
    if (reader.judged) return
    reader.judged = true
    served.paused = true
    const { buffer } = reader
    const from = buffer.fetchFrom
    let log: Offsets
    try {
      log = await offsets.of(buffer.topic, buffer.partition)
    } catch (caught) {
      if (!(caught instanceof TidemarkError)) throw caught
      if (readers.has(buffer)) pause(reader, served, caught.message)
      return
    } finally {
      reader.judged = false
    }
    if (!readers.has(buffer)) return
    if (from < log.start) {
      stop(
        reader,
        'LOG_TRIMMED',
        `${capital(buffer.name)} starts at offset ${log.start}, and the reader needs ${from}.`,
      )
    } else if (from > log.end) {
      stop(
        reader,
        'LOG_TRUNCATED',
        `${capital(buffer.name)} ends at offset ${log.end}, and the reader has read up to ${from}.`,
      )
    } else if (errorCode !== 0 && ++reader.rangeDoubts >= RANGE_DOUBTS_MAX) {
      stop(
        reader,
        'LOG_TRUNCATED',
        `The leader of ${buffer.name} does not know the leader epoch ${buffer.lastEpoch} that was read before offset ${from}.`,
      )
    } else {
      pause(reader, served, 'its offset was out of range for a moment')
    }
  }

  // ---- the metadata

  const refreshIn = (milliseconds: number): void => {
    const at = performance.now() + milliseconds
    if (at >= refreshAt) return
    refreshAt = at
    signal.set()
  }

  const watchMetadata = async (): Promise<void> => {
    let faults = 0
    while (!closed) {
      const waitMs = refreshAt - performance.now()
      if (waitMs > 0) {
        signal.clear()
        await signal.wait(waitMs)
        continue
      }
      refreshAt = performance.now() + METADATA_REFRESH_MS
      const topics = new Set(byTopic.keys())
      try {
        await view.refresh([...topics])
        trouble.end(KAFKA)
        faults = 0
      } catch (caught) {
        if (!(caught instanceof TidemarkError)) throw caught
        if (closed) return
        faults++
        trouble.begin(KAFKA, `No Kafka broker answers; trying until one does. ${caught.message}`)
        refreshAt = performance.now() + Math.min(KAFKA_RETRY_MS * 2 ** (faults - 1), KAFKA_RETRY_MS_MAX)
        continue
      }
      // Only readers of the topics that were asked for: others may have come meanwhile.
      for (const reader of [...readers.values()]) if (topics.has(reader.buffer.topic)) assign(reader)
      closeIdleLoops()
    }
  }

  void watchMetadata()

  return {
    identityOf(topic) {
      return byTopic.get(topic)?.values().next().value?.expect.identity
    },
    read(topic, partition, from, expect) {
      const buffer = new PartitionBuffer(topic, partition, from, expect, {
        onRoom() {
          reader.served?.loop.wake()
        },
        onClose() {
          release(reader)
          readers.delete(buffer)
          const others = byTopic.get(topic)
          others?.delete(buffer)
          if (others?.size === 0) byTopic.delete(topic)
          trouble.end(buffer.name)
        },
      })
      const reader: Assigned = {
        buffer,
        served: undefined,
        doubts: 0,
        faults: 0,
        rangeDoubts: 0,
        judged: false,
      }
      if (closed) {
        buffer.close()
        return buffer
      }
      readers.set(buffer, reader)
      byTopic.set(topic, (byTopic.get(topic) ?? new Set()).add(buffer))
      const known = view.topic(topic)
      if (known?.topicId === expect.identity && known.partitions.length === expect.partitions) assign(reader)
      if (reader.served === undefined) refreshIn(0)
      return buffer
    },
    close() {
      closed = true
      for (const buffer of [...readers.keys()]) buffer.close()
      for (const loop of [...loops.values()].flat()) loop.close()
      signal.end()
    },
  }
}

const sameAddress = (a: Address, b: Address): boolean => a.host === b.host && a.port === b.port

const capital = (sentence: string): string => sentence.charAt(0).toUpperCase() + sentence.slice(1)
