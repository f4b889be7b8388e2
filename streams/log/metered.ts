/**
 * A log that counts what goes through it: appends, reads and rounds of the read index; and that tells who follows writes. The same for
 * every kind of log.
 */
import { TidemarkError } from '../core/errors.ts'
import { type Meters, record, seconds } from '../meters.ts'
import type { Tracing } from '../tracing.ts'
import type { Append, Log } from './log.ts'

export function meteredLog(log: Log, { counts, tallies, levels, durations }: Meters, tracing?: Tracing): Log {
  return {
    identity: log.identity,
    createTopic: (topic, settings) => log.createTopic(topic, settings),
    describeTopic: (topic, valueBytesMax) => log.describeTopic(topic, valueBytesMax),
    listTopics: (prefix) => log.listTopics(prefix),
    deleteTopic: (topic) => log.deleteTopic(topic),
    lanes: log.lanes,
    async append(lane, parts, listener) {
      const began = seconds()
      levels['log.appends.in_flight'] += 1
      const told = tracing?.sending(parts)
      try {
        const appended = await log.append(lane, parts, listener)
        for (const { records } of parts) counts['log.append.records'] += records.length
        counts['log.append.bytes'] += bytesOf(parts)
        told?.(appended)
        return appended
      } catch (caught) {
        const error = TidemarkError.from(caught)
        tallies['log.append.errors'].add(error.reason)
        told?.(error)
        throw caught
      } finally {
        levels['log.appends.in_flight'] -= 1
        record(durations['log.append.duration'], seconds() - began)
      }
    },
    read(topic, partition, from, expect) {
      const reader = log.read(topic, partition, from, expect)
      return {
        async next() {
          const batch = await reader.next()
          counts['log.read.records'] += batch.records.length
          counts['log.read.bytes'] += batch.bytes
          return batch
        },
        close() {
          reader.close()
        },
      }
    },
    async verifiedEnds(topic, partitions) {
      const began = seconds()
      try {
        return await log.verifiedEnds(topic, partitions)
      } catch (caught) {
        tallies['log.read_index.errors'].add(TidemarkError.from(caught).reason)
        throw caught
      } finally {
        record(durations['log.read_index.duration'], seconds() - began)
      }
    },
    offsets: (topic, partition) => log.offsets(topic, partition),
    trim: (topic, partition, before) => log.trim(topic, partition, before),
    get healthy() {
      return log.healthy
    },
    close: () => log.close(),
  }
}

function bytesOf(parts: readonly Append[]): number {
  let bytes = 0
  for (const { records } of parts)
    for (const { key, value } of records) bytes += (key?.length ?? 0) + (value?.length ?? 0)
  return bytes
}
