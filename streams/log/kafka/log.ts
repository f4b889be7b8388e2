/**
 * The Log port on Apache Kafka 3.1 or newer. Three planes with connections of their own, so that none waits for another:
 * data (fetch-plane.ts), append (append-lane.ts), read index (read-index.ts); beside them topics and metadata.
 */
import { assert, must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import {
  APPEND_LANES,
  KAFKA_ADMIN_MS,
  KAFKA_REQUEST_MS,
  KAFKA_RETRY_MS,
  KAFKA_RETRY_MS_MAX,
} from '../../core/limits.ts'
import type { Telemetry } from '../../ports.ts'
import type { Appended, Log } from '../log.ts'
import { createAppendLane } from './append-lane.ts'
import { parseAddress } from './address.ts'
import { createTransport, type ConnectionSettings } from './client.ts'
import { createClusterView, type ClusterView } from './cluster-view.ts'
import { createFetchPlane } from './fetch-plane.ts'
import { createOffsets } from './offsets.ts'
import { createReadIndex } from './read-index.ts'
import { createTopics } from './topics.ts'
import { createAppendTrouble, createTrouble, KAFKA, type Trouble } from './trouble.ts'

export interface KafkaLogOptions extends ConnectionSettings {
  /** `host:port` of some brokers; the others are found through them. */
  readonly brokers: readonly string[]
  /** True makes topics with one replica, whatever is asked for. */
  readonly dev: boolean
  /** Told once when something that is retried begins to fail, and once when it works again. */
  readonly telemetry: Pick<Telemetry, 'trouble' | 'recovered'>
  /** Ends the wait for a broker at the start. */
  readonly signal?: AbortSignal
}

/** Waits until a broker answers. @throws CONFIG_INVALID for brokers that cannot serve; CANCELLED by the signal. */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  const transport = createTransport(options, KAFKA_REQUEST_MS)
  const view = createClusterView(transport, options.brokers.map(parseAddress))
  const trouble = createTrouble(options.telemetry)
  await firstAnswer(view, trouble, options)

  const offsets = createOffsets(transport, view)
  const topics = createTopics(createTransport(options, KAFKA_ADMIN_MS), view, offsets)
  const plane = createFetchPlane(transport, view, trouble, offsets)
  const index = createReadIndex(transport, view, (topic) => plane.identityOf(topic))
  const appends = createAppendTrouble(trouble)
  const lanes = Array.from({ length: APPEND_LANES }, () =>
    createAppendLane(transport, view, (topic, when) => topics.batchBytesMax(topic, when)),
  )
  for (const lane of lanes) void lane.warm()

  return {
    identity: view.clusterId,
    createTopic: (topic, settings) =>
      topics.createTopic(topic, options.dev ? { ...settings, replication: 1 } : settings),
    describeTopic: (topic, valueBytesMax) => topics.describeTopic(topic, valueBytesMax),
    listTopics: (prefix) => topics.listTopics(prefix),
    deleteTopic: (topic) => topics.deleteTopic(topic),
    trim: (topic, partition, before) => topics.trim(topic, partition, before),
    lanes: lanes.length,
    async append(lane, parts, listener) {
      for (const { partition } of parts) {
        assert(partition % lanes.length === lane, `partition ${partition} is appended in lane ${lane}`)
      }
      const results = parts.map((): Appended | TidemarkError | undefined => undefined)
      await must(lanes[lane], `lane ${lane}`).append(parts, {
        part(index, result) {
          results[index] = result
          appends.note(must(parts[index], 'a part'), result)
          listener?.part(index, result)
        },
        free() {
          listener?.free()
        },
      })
      return results.map((result) => {
        if (result instanceof TidemarkError) throw result
        return must(result, 'the result of a part')
      })
    },
    read: (topic, partition, from, expect) => plane.read(topic, partition, from, expect),
    verifiedEnds: (topic, partitions) => index.verifiedEnds(topic, partitions),
    offsets: (topic, partition) => offsets.of(topic, partition),
    get healthy() {
      return view.answers
    },
    close() {
      plane.close()
      index.close()
      for (const lane of lanes) lane.close()
      offsets.close()
      topics.close()
      view.close()
      return Promise.resolve()
    },
  }
}

async function firstAnswer(view: ClusterView, trouble: Trouble, options: KafkaLogOptions): Promise<void> {
  const { brokers, signal } = options
  for (let faults = 0; ; faults++) {
    try {
      if (signal?.aborted === true) throw new TidemarkError('CANCELLED', 'The wait for Kafka was cancelled.')
      await view.refresh([])
      trouble.end(KAFKA)
      return
    } catch (caught) {
      if (!(caught instanceof TidemarkError) || caught.reason !== 'LOG_UNAVAILABLE') {
        view.close()
        throw caught
      }
      trouble.begin(
        KAFKA,
        `No Kafka broker answers at ${brokers.join(', ')}; trying until one does. ${caught.message}`,
      )
      await pause(Math.min(KAFKA_RETRY_MS * 2 ** faults, KAFKA_RETRY_MS_MAX), signal)
    }
  }
}

const pause = (milliseconds: number, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds)
    function done(): void {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    signal?.addEventListener('abort', done)
  })
