/**
 * Topics: made so that they cannot lose an acknowledged write, and refused where someone else made them otherwise.
 * Each unsafe setting comes with the command that mends it.
 */
import { TidemarkError } from '../../core/errors.ts'
import { APPEND_BYTES_MAX, KAFKA_ADMIN_MS, KAFKA_RETRY_MS, VALUE_BYTES_MAX } from '../../core/limits.ts'
import { partition, type Offset, type Partition } from '../../core/types.ts'
import { failpoint } from '../../failpoint.ts'
import { checkTrim } from '../embedded/refusals.ts'
import type { TopicDescription, TopicSettings } from '../log.ts'
import { createChannels } from './channels.ts'
import type { AdminBroker, Channel, Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import type { OffsetsOf } from './offsets.ts'
import type { TopicMetadata } from './metadata-protocol.ts'

export interface Topics {
  createTopic(topic: string, settings: TopicSettings): Promise<TopicDescription>
  describeTopic(topic: string, valueBytesMax?: number): Promise<TopicDescription | undefined>
  listTopics(prefix: string): Promise<readonly string[]>
  deleteTopic(topic: string): Promise<void>
  trim(topic: string, partition: Partition, before: Offset): Promise<void>
  /** The largest record batch that the topic takes, in bytes: as remembered, or as it is now. */
  batchBytesMax(topic: string, when?: 'now'): Promise<number>
  close(): void
}

/** Bytes of a batch beside values: its header, keys, headers and lengths of as many records as one append holds. */
const BATCH_OVERHEAD_BYTES = 1 << 20

/** A batch of the largest append, or of one record with the largest value. */
export const maxMessageBytes = (valueBytesMax: number): number =>
  Math.max(APPEND_BYTES_MAX, valueBytesMax) + BATCH_OVERHEAD_BYTES

const TOPIC_RESOURCE = 2
const CONFIG_NAMES = [
  'cleanup.policy',
  'retention.ms',
  'retention.bytes',
  'message.timestamp.type',
  'unclean.leader.election.enable',
  'min.insync.replicas',
  'max.message.bytes',
]

type Config = ReadonlyMap<string, string>

export function createTopics(transport: Transport, view: ClusterView, offsets: OffsetsOf): Topics {
  const channels = createChannels(transport)
  const batchBytes = new Map<string, Promise<number>>()

  const admin = async <T>(use: (broker: AdminBroker) => Promise<T>): Promise<T> => {
    let failure: unknown
    for (const broker of view.brokers.values()) {
      const channel = channels.of(broker)
      if (channel === undefined) continue
      try {
        return await channel.admin(use)
      } catch (caught) {
        if (!(caught instanceof TidemarkError) || caught.reason !== 'LOG_UNAVAILABLE') throw caught
        failure = caught
      }
    }
    throw failure ?? new TidemarkError('LOG_UNAVAILABLE', 'No Kafka broker is known.')
  }

  const configOf = async (topic: string): Promise<Config> => {
    const { resources } = await admin((broker) =>
      failpoint('kafka.topic-settings', () =>
        broker.describeConfigs({
          resources: [{ type: TOPIC_RESOURCE, name: topic, configNames: CONFIG_NAMES }],
        }),
      ),
    )
    const entries = resources.flatMap(({ configEntries }) => configEntries)
    return new Map(entries.map(({ configName, configValue }) => [configName, configValue ?? '']))
  }

  const describeTopic = async (
    topic: string,
    valueBytesMax = VALUE_BYTES_MAX,
  ): Promise<TopicDescription | undefined> => {
    await view.refresh([topic])
    const found = view.topic(topic)
    if (found === undefined) return undefined
    const config = await configOf(topic).catch((caught: unknown) => {
      if (codeOf(caught) === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined
      throw asUnavailable(caught, `The settings of topic ${topic} cannot be read`)
    })
    if (config === undefined) return undefined
    batchBytes.set(topic, Promise.resolve(Number(config.get('max.message.bytes'))))
    return {
      topic,
      identity: found.topicId,
      partitions: found.partitions.length,
      unsafe: unsafeSettings(found, config, valueBytesMax),
    }
  }

  /** Waits until the metadata shows the topic as wanted; brokers learn of changes one after the other. */
  const until = async (
    topic: string,
    wanted: (found: TopicMetadata | undefined) => boolean,
  ): Promise<void> => {
    const deadline = performance.now() + KAFKA_ADMIN_MS
    for (;;) {
      await view.refresh([topic])
      if (wanted(view.topic(topic))) return
      if (performance.now() > deadline) {
        throw new TidemarkError(
          'LOG_UNAVAILABLE',
          `Kafka did not finish the change of topic ${topic} in time.`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, KAFKA_RETRY_MS))
    }
  }

  /** Each question may go to another broker, and one that answers after another may know less. */
  const newlyMade = async (topic: string, valueBytesMax: number): Promise<TopicDescription> => {
    const deadline = performance.now() + KAFKA_ADMIN_MS
    while (performance.now() < deadline) {
      await until(topic, (found) => found?.partitions.every(({ leader }) => leader >= 0) === true)
      const made = await describeTopic(topic, valueBytesMax)
      if (made !== undefined) return made
    }
    throw new TidemarkError('LOG_UNAVAILABLE', `The topic ${topic} was deleted while it was created.`)
  }

  return {
    async createTopic(topic, settings) {
      try {
        await admin((broker) =>
          failpoint('kafka.create-topic', () =>
            broker.createTopics({ topics: [newTopic(topic, settings)], timeout: KAFKA_ADMIN_MS }),
          ),
        )
      } catch (caught) {
        if (codeOf(caught) !== 'TOPIC_ALREADY_EXISTS') throw creationFailed(caught, topic, settings)
      }
      const made = await newlyMade(topic, settings.valueBytesMax)
      // A leader that the metadata names may still be taking over.
      await Promise.all(Array.from({ length: made.partitions }, (_, n) => offsets.of(topic, partition(n))))
      if (made.partitions !== settings.partitions) {
        throw new TidemarkError(
          'KEYSPACE_EXISTS',
          `The topic ${topic} exists with ${made.partitions} partitions, and ${settings.partitions} were asked for.`,
        )
      }
      return made
    },

    describeTopic,

    async listTopics(prefix) {
      const all = await view.allTopics()
      return all.flatMap(({ topic }) => (topic.startsWith(prefix) ? [topic] : []))
    },

    async deleteTopic(topic) {
      batchBytes.delete(topic)
      try {
        await admin((broker) =>
          failpoint('kafka.delete-topic', () =>
            broker.deleteTopics({ topics: [topic], timeout: KAFKA_ADMIN_MS }),
          ),
        )
      } catch (caught) {
        if (codeOf(caught) !== 'UNKNOWN_TOPIC_OR_PARTITION') {
          throw asUnavailable(caught, `The topic ${topic} cannot be deleted`)
        }
      }
      await until(topic, (found) => found === undefined)
    },

    async trim(topic, place, before) {
      if (view.leader(topic, place) === undefined) await view.refresh([topic])
      const leader = view.leader(topic, place)
      const channel: Channel | undefined = channels.of(leader && view.brokers.get(leader.leader))
      if (channel === undefined) {
        throw new TidemarkError('LOG_UNAVAILABLE', `Partition ${place} of topic ${topic} has no leader.`)
      }
      const topics = [{ topic, partitions: [{ partition: place, offset: String(before) }] }]
      try {
        await channel.admin((broker) => failpoint('kafka.trim', () => broker.deleteRecords({ topics })))
      } catch (caught) {
        await view.refresh([topic])
        const stands = await offsets.of(topic, place).catch(() => undefined)
        if (stands !== undefined) checkTrim(`partition ${place} of ${topic}`, before, stands)
        throw asUnavailable(caught, `Partition ${place} of topic ${topic} cannot be trimmed to ${before}`)
      }
    },

    async batchBytesMax(topic, when) {
      const remembered = when === 'now' ? undefined : batchBytes.get(topic)
      const known = remembered ?? configOf(topic).then((config) => Number(config.get('max.message.bytes')))
      batchBytes.set(topic, known)
      try {
        return await known
      } catch (caught) {
        batchBytes.delete(topic)
        throw asUnavailable(caught, `The settings of topic ${topic} cannot be read`)
      }
    },

    close() {
      channels.close()
    },
  }
}

function newTopic(
  topic: string,
  settings: TopicSettings,
): Parameters<AdminBroker['createTopics']>[0]['topics'][number] {
  const config = {
    'cleanup.policy': 'delete',
    'retention.ms': '-1',
    'retention.bytes': '-1',
    'message.timestamp.type': 'LogAppendTime',
    'unclean.leader.election.enable': 'false',
    'min.insync.replicas': settings.replication >= 3 ? '2' : '1',
    'max.message.bytes': String(maxMessageBytes(settings.valueBytesMax)),
  }
  return {
    topic,
    numPartitions: settings.partitions,
    replicationFactor: settings.replication,
    configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
  }
}

/** One sentence for each setting that can lose acknowledged writes, or make them fail, with its remedy. */
function unsafeSettings(found: TopicMetadata, config: Config, valueBytesMax: number): string[] {
  const unsafe: string[] = []
  const alter = (why: string, name: string, value: string): void => {
    const now = config.get(name) ?? ''
    unsafe.push(
      `${name} is ${now}: ${why}. Run: kafka-configs.sh --bootstrap-server <broker> --alter --topic ${found.topic} --add-config ${name}=${value}`,
    )
  }
  const number = (name: string): number => Number(config.get(name))
  if (config.get('cleanup.policy') !== 'delete')
    alter('compaction drops records that the rows are made of', 'cleanup.policy', 'delete')
  if (number('retention.ms') !== -1) alter('old records would be dropped', 'retention.ms', '-1')
  if (number('retention.bytes') !== -1) alter('old records would be dropped', 'retention.bytes', '-1')
  if (config.get('message.timestamp.type') !== 'LogAppendTime')
    alter('producers would set the time that expiry goes by', 'message.timestamp.type', 'LogAppendTime')
  if (config.get('unclean.leader.election.enable') !== 'false')
    alter('a replica that is behind could become leader', 'unclean.leader.election.enable', 'false')
  if (number('max.message.bytes') < maxMessageBytes(valueBytesMax))
    alter('the largest append would not fit', 'max.message.bytes', String(maxMessageBytes(valueBytesMax)))
  const replication = Math.min(...found.partitions.map(({ replicas }) => replicas.length))
  if (replication < 3)
    unsafe.push(
      `the replication factor is ${replication}: the loss of a broker could lose records. List three brokers for each partition in a file and run: kafka-reassign-partitions.sh --bootstrap-server <broker> --reassignment-json-file <file> --execute`,
    )
  if (number('min.insync.replicas') < 2)
    alter('a write could be acknowledged by one broker alone', 'min.insync.replicas', '2')
  return unsafe
}

/** Kafka's name of the error, wherever kafkajs put it. */
function codeOf(caught: unknown): string | undefined {
  if (typeof caught !== 'object' || caught === null) return undefined
  if ('errors' in caught && Array.isArray(caught.errors)) return codeOf(caught.errors[0])
  return 'type' in caught && typeof caught.type === 'string' ? caught.type : undefined
}

function creationFailed(caught: unknown, topic: string, settings: TopicSettings): TidemarkError {
  if (codeOf(caught) === 'INVALID_REPLICATION_FACTOR')
    return new TidemarkError(
      'TOPIC_UNSAFE',
      `The topic ${topic} should have ${settings.replication} replicas, and Kafka has fewer brokers. Add brokers, or on a development machine set TIDEMARK_DEV=1, which makes one.`,
      { cause: caught },
    )
  return asUnavailable(caught, `The topic ${topic} cannot be created`)
}

function asUnavailable(caught: unknown, what: string): TidemarkError {
  if (caught instanceof TidemarkError) return caught
  const why = codeOf(caught) ?? (caught instanceof Error ? caught.message : String(caught))
  return new TidemarkError('LOG_UNAVAILABLE', `${what}: ${why}.`, { cause: caught })
}
