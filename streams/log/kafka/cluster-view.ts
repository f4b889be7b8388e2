/**
 * Which brokers there are and who leads which partition, as last heard. Never older than what was known before: an answer
 * with a smaller leader epoch comes from a broker that is behind. Such a one, cut off from its cluster, answers for ever what was true
 * then, so the brokers are asked in turn: whoever else answers knows the leaders that replaced it.
 */
import { must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { KAFKA_REQUEST_MS, METADATA_REFRESH_MS } from '../../core/limits.ts'
import { failpoint } from '../../failpoint.ts'
import { createChannels } from './channels.ts'
import type { Address, Transport } from './client.ts'
import {
  metadataCall,
  type BrokerAddress,
  type Metadata,
  type PartitionMetadata,
  type TopicMetadata,
} from './metadata-protocol.ts'
import { createRounds } from './rounds.ts'

/** Milliseconds for which a broker that did not answer is asked only when no other answers. */
const SILENT_MS = 5 * METADATA_REFRESH_MS

export interface ClusterView {
  readonly clusterId: string
  /** Whether the last question for metadata was answered. */
  readonly answers: boolean
  readonly brokers: ReadonlyMap<number, BrokerAddress>
  /** As last heard; undefined where the topic was not asked for, or does not exist. */
  topic(name: string): TopicMetadata | undefined
  /** Leader and epoch of a partition; undefined where it has no leader that is known. */
  leader(topic: string, partition: number): PartitionMetadata | undefined
  /** Asks some broker after the call; one request serves all that ask meanwhile. @throws LOG_UNAVAILABLE when none answers. */
  refresh(topics: readonly string[]): Promise<void>
  /** Asks for all topics, internal ones included, and remembers none. */
  allTopics(): Promise<readonly TopicMetadata[]>
  /** Takes in an answer that another part received. */
  learn(metadata: Metadata): void
  close(): void
}

export function createClusterView(transport: Transport, seeds: readonly Address[]): ClusterView {
  let clusterId = ''
  let answers = false
  let closed = false
  const brokers = new Map<number, BrokerAddress>()
  const topics = new Map<string, TopicMetadata>()
  const channels = createChannels(transport)
  /** The broker that answered last. */
  let last = ''
  /** Until when a broker that did not answer is asked after the others only. */
  const silentUntil = new Map<string, number>()

  /** Beginning with the one behind that which answered last; those that are silent, and the seeds, come after the others. */
  const inTurn = (): ReadonlyMap<string, Address> => {
    const known = [...brokers.values()]
    const next = known.findIndex((address) => nameOf(address) === last) + 1
    const now = performance.now()
    const isSilent = (address: Address): boolean => (silentUntil.get(nameOf(address)) ?? 0) > now
    const turn = [...known.slice(next), ...known.slice(0, next)]
    const candidates = [...turn.filter((one) => !isSilent(one)), ...turn.filter(isSilent), ...seeds]
    return new Map(candidates.map((address) => [nameOf(address), address]))
  }

  const ask = async (names: readonly string[] | undefined): Promise<Metadata> => {
    let failure: unknown
    for (const [name, address] of inTurn()) {
      if (closed) break
      try {
        const channel = must(channels.of(address), 'a channel, while it is open')
        const metadata = await failpoint('kafka.metadata', () =>
          channel.call(metadataCall(names), KAFKA_REQUEST_MS),
        )
        last = name
        silentUntil.delete(name)
        answers = true
        return metadata
      } catch (caught) {
        if (!(caught instanceof TidemarkError) || caught.reason !== 'LOG_UNAVAILABLE') throw caught
        silentUntil.set(name, performance.now() + SILENT_MS)
        failure ??= caught
      }
    }
    answers = false
    throw failure ?? new TidemarkError('LOG_UNAVAILABLE', 'The log was closed.')
  }

  const learn = (metadata: Metadata): void => {
    if (metadata.brokers.length > 0) {
      clusterId = metadata.clusterId
      brokers.clear()
      for (const broker of metadata.brokers) brokers.set(broker.nodeId, broker)
    }
    for (const heard of metadata.topics) {
      if (heard.errorCode !== 0) topics.delete(heard.topic)
      else topics.set(heard.topic, newest(topics.get(heard.topic), heard))
    }
  }

  const rounds = createRounds<readonly string[], undefined>(async (asked) => {
    learn(await ask([...new Set(asked.flat())]))
    return undefined
  })

  return {
    get clusterId() {
      return clusterId
    },
    get answers() {
      return answers
    },
    brokers,
    topic: (name) => topics.get(name),
    leader(topic, partition) {
      const found = topics.get(topic)?.partitions[partition]
      return found !== undefined && brokers.has(found.leader) ? found : undefined
    },
    refresh: async (names) => {
      await rounds(names)
    },
    allTopics: async () => (await ask(undefined)).topics,
    learn,
    close() {
      closed = true
      channels.close()
    },
  }
}

const nameOf = ({ host, port }: Address): string => `${host}:${port}`

function newest(known: TopicMetadata | undefined, heard: TopicMetadata): TopicMetadata {
  if (known?.topicId !== heard.topicId) return heard
  const partitions = heard.partitions.map((partition, index) => {
    const before = known.partitions[index]
    return before !== undefined && before.leaderEpoch > partition.leaderEpoch ? before : partition
  })
  return { ...heard, partitions }
}
