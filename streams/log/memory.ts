/**
 * The Log in memory, for unit tests: deterministic, with the clock that it is given. Nothing outlives it, nothing fails.
 */
import { must } from '../core/assert.ts'
import { FETCH_PARTITION_BYTES } from '../core/limits.ts'
import { logTime, offset, type LogRecord, type LogTime, type Offset, type Partition } from '../core/types.ts'
import {
  checkExisting,
  checkRecordSize,
  checkSettings,
  checkTrim,
  expectationFailure,
  logClosed,
  noSuchPartition,
  noSuchTopic,
  readerCancelled,
  recordBytes,
} from './embedded/refusals.ts'
import { openTailReader } from './embedded/tail-reader.ts'
import type { Log, LogClock, TopicDescription, TopicSettings } from './log.ts'

export interface MemoryLogOptions {
  readonly clock: LogClock
  /** Appends that may be in flight at once; by default 1. */
  readonly lanes?: number
}

interface MemoryPartition {
  /** Without holes: the record at index n has the offset start + n. */
  records: LogRecord[]
  start: Offset
  lastTime: LogTime
  readonly listeners: Set<() => void>
}

interface MemoryTopic {
  readonly description: TopicDescription
  readonly settings: TopicSettings
  readonly partitions: readonly MemoryPartition[]
  deleted: boolean
}

export function openMemoryLog(options: MemoryLogOptions): Log {
  const topics = new Map<string, MemoryTopic>()
  let created = 0
  let closed = false

  const topicOf = (name: string): MemoryTopic => {
    if (closed) throw logClosed()
    const topic = topics.get(name)
    if (topic === undefined) throw noSuchTopic(name)
    return topic
  }

  const partitionOf = (name: string, partition: Partition): MemoryPartition => {
    const topic = topicOf(name)
    const found = topic.partitions[partition]
    if (found === undefined) throw noSuchPartition(name, partition, topic.partitions.length)
    return found
  }

  const endOf = (partition: MemoryPartition): Offset => offset(partition.start + partition.records.length)

  const tell = (partition: MemoryPartition): void => {
    for (const listener of [...partition.listeners]) listener()
  }

  return {
    identity: 'memory',
    lanes: options.lanes ?? 1,
    get healthy() {
      return !closed
    },

    async createTopic(name, settings) {
      await Promise.resolve()
      if (closed) throw logClosed()
      checkSettings(name, settings)
      const existing = topics.get(name)
      if (existing !== undefined) {
        checkExisting(name, existing.partitions.length, settings)
        return existing.description
      }
      created += 1
      const { partitions } = settings
      const description = { topic: name, identity: `memory-${created}`, partitions, unsafe: [] }
      topics.set(name, {
        description,
        settings,
        partitions: Array.from({ length: partitions }, () => ({
          records: [],
          start: offset(0),
          lastTime: logTime(0),
          listeners: new Set(),
        })),
        deleted: false,
      })
      return description
    },

    async describeTopic(name) {
      await Promise.resolve()
      if (closed) throw logClosed()
      return topics.get(name)?.description
    },

    async listTopics(prefix) {
      await Promise.resolve()
      if (closed) throw logClosed()
      return [...topics.keys()].filter((name) => name.startsWith(prefix)).sort()
    },

    async deleteTopic(name) {
      await Promise.resolve()
      if (closed) throw logClosed()
      const topic = topics.get(name)
      if (topic === undefined) return
      topics.delete(name)
      topic.deleted = true
      for (const partition of topic.partitions) tell(partition)
    },

    async append(_lane, parts) {
      await Promise.resolve()
      for (const part of parts) {
        partitionOf(part.topic, part.partition)
        const { valueBytesMax } = topicOf(part.topic).settings
        for (const record of part.records) checkRecordSize(part.topic, recordBytes(record), valueBytesMax)
      }
      const now = options.clock()
      return parts.map((part) => {
        const partition = partitionOf(part.topic, part.partition)
        const firstOffset = endOf(partition)
        partition.lastTime = logTime(Math.max(now, partition.lastTime))
        for (const { key, value, headers } of part.records)
          partition.records.push({ offset: endOf(partition), time: partition.lastTime, key, value, headers })
        tell(partition)
        return { firstOffset }
      })
    },

    read(name, number, from, expect) {
      const topic = topics.get(name)
      const failure = expectationFailure(name, topic?.description, expect)
      const partition = topic?.partitions[number]
      return openTailReader(
        {
          name: `partition ${number} of ${name}`,
          failure() {
            if (closed) return readerCancelled(name)
            if (failure !== undefined) return failure
            if (topic?.deleted === true) return expectationFailure(name, undefined, expect)
            return partition === undefined ? noSuchPartition(name, number, expect.partitions) : undefined
          },
          offsets() {
            const found = must(partition, 'the partition of a reader that has not failed')
            return { start: found.start, end: endOf(found) }
          },
          slice(start) {
            const found = must(partition, 'the partition of a reader that has not failed')
            const records: LogRecord[] = []
            let bytes = 0
            for (
              let at = start - found.start;
              at < found.records.length && bytes < FETCH_PARTITION_BYTES;
              at += 1
            ) {
              const record = must(found.records[at], 'a record inside the partition')
              records.push(record)
              bytes += recordBytes(record)
            }
            return { records, bytes }
          },
          subscribe(listener) {
            partition?.listeners.add(listener)
            return () => partition?.listeners.delete(listener)
          },
        },
        from,
      )
    },

    async verifiedEnds(name, partitions) {
      await Promise.resolve()
      return new Map(partitions.map((partition) => [partition, endOf(partitionOf(name, partition))]))
    },

    async offsets(name, number) {
      await Promise.resolve()
      const partition = partitionOf(name, number)
      return { start: partition.start, end: endOf(partition) }
    },

    async trim(name, number, before) {
      await Promise.resolve()
      const partition = partitionOf(name, number)
      checkTrim(`partition ${number} of ${name}`, before, { start: partition.start, end: endOf(partition) })
      if (before <= partition.start) return
      partition.records = partition.records.slice(before - partition.start)
      partition.start = before
      tell(partition)
    },

    async close() {
      await Promise.resolve()
      closed = true
      for (const topic of topics.values()) for (const partition of topic.partitions) tell(partition)
    },
  }
}
