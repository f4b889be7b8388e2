/**
 * The settings of a keyspace are a `format` record, the first record of each of its partitions: replicas read them from the log,
 * never from a node. Whoever creates the keyspace writes it, and needs no replica for that.
 *
 * Partition 0 decides: of two creators at once, whose record is first there has won, and both write its settings to the other
 * partitions. So all partitions agree, also after a creator that died halfway. A record too many does no harm: apply rejects it.
 */
import type { MapSettings } from '../core/cluster-map.ts'
import type { Command, Step } from '../core/command.ts'
import { FORMAT_VERSION, decodeRecord } from '../core/decode.ts'
import { encodeFormat } from '../core/encode.ts'
import { HEAD_RECORDS_MAX } from '../core/limits.ts'
import { partitionOf, separatorOf } from '../core/partitioner.ts'
import type { Epoch, NewRecord, Partition } from '../core/types.ts'
import { DEFAULT_SETTINGS } from '../keyspace-settings.ts'
import type { Appender } from '../log/appender.ts'
import type { Log, TopicDescription } from '../log/log.ts'

/**
 * What the first records of a partition settled: what its creator wrote, the default because a row of somebody else came first
 * (`rows`), `nothing` yet, or `unknown`: something that cannot be read here any more, or not by this version.
 */
export type Head = MapSettings | 'rows' | 'nothing' | 'unknown'

/** Reads without progress, about a second each, after which the head of a partition counts as unknown. */
const IDLE_READS_MAX = 3

/** @throws LOG_UNAVAILABLE, TOPIC_RECREATED */
export async function readHead(log: Log, topic: TopicDescription, partition: Partition): Promise<Head> {
  const { start, end } = await log.offsets(topic.topic, partition)
  // Only what replicas have applied is ever trimmed.
  if (start > 0) return 'unknown'
  const until = Math.min(end, HEAD_RECORDS_MAX)
  if (until === 0) return 'nothing'
  const reader = log.read(topic.topic, partition, start, topic)
  try {
    for (let next = 0, idle = 0; next < until;) {
      const batch = await reader.next()
      idle = batch.nextOffset > next ? 0 : idle + 1
      // An open transaction of a stranger hides what comes after it.
      if (idle >= IDLE_READS_MAX) return 'unknown'
      for (const record of batch.records) {
        if (record.offset >= until) break
        const settled = settledBy(decodeRecord(record), topic, partition)
        if (settled !== undefined) return settled
      }
      next = batch.nextOffset
    }
    return end > until ? 'unknown' : 'nothing'
  } finally {
    reader.close()
  }
}

/** As `changeFormat` of core/format.ts and `change` of core/apply.ts decide it, for a partition in which nothing is settled yet. */
function settledBy(command: Command, topic: TopicDescription, partition: Partition): Head | undefined {
  const isHere = (key: Uint8Array): boolean =>
    partitionOf(key, topic.partitions, DEFAULT_SETTINGS.partitionBy) === partition
  const changes = (step: Step): boolean =>
    (step.kind === 'put' || step.kind === 'increment') && (step.ifVersion ?? 0) === 0 && isHere(step.key)
  switch (command.kind) {
    case 'format': {
      const { partitionBy, valueBytesMax, packing, defaultTtlMs, replication } = command
      return { partitionBy, valueBytesMax, packing, defaultTtlMs, replication }
    }
    case 'row':
      return changes(command.step) ? 'rows' : undefined
    case 'pack':
      return command.steps.some(changes) ? 'rows' : undefined
    case 'too-new':
      return 'unknown'
    case 'txn':
    case 'lead':
    case 'tick':
    case 'mark':
    case 'barrier':
    case 'rejected':
      // A transaction may or may not change a row; where it does, a format record comes too late and is rejected.
      return undefined
    default:
      return command satisfies never
  }
}

/**
 * Sees to it that each partition is set up. Resolves with the settings that stand: those wanted, or those of whoever was first.
 *
 * @param isSetUp - partitions of which this is known already
 * @returns undefined where partition 0 cannot be read from its beginning: it is set up then, and its replicas know how
 * @throws LOG_UNAVAILABLE
 */
export async function setUpKeyspace(
  { log, appender }: { readonly log: Log; readonly appender: Appender },
  topic: TopicDescription,
  wanted: MapSettings,
  isSetUp: (partition: Partition) => boolean = () => false,
): Promise<MapSettings | undefined> {
  const first = 0 as Partition
  let head = await readHead(log, topic, first)
  if (head === 'nothing') {
    await writeFormat(appender, topic, first, wanted)
    head = await readHead(log, topic, first)
  }
  if (head === 'unknown') return undefined
  const settings = head === 'nothing' ? wanted : head === 'rows' ? DEFAULT_SETTINGS : head
  const others = Array.from({ length: topic.partitions - 1 }, (_, at) => (at + 1) as Partition)
  await Promise.all(
    others.map(async (partition) => {
      if (isSetUp(partition) || (await readHead(log, topic, partition)) !== 'nothing') return
      await writeFormat(appender, topic, partition, settings)
    }),
  )
  return settings
}

export async function writeFormat(
  appender: Appender,
  { topic }: Pick<TopicDescription, 'topic'>,
  partition: Partition,
  settings: MapSettings,
): Promise<void> {
  const records = [formatRecord(settings)]
  await appender.append(partition % appender.lanes, [{ topic, partition, records }])
}

/** @param epoch - of the leader, for a record that changes what stands */
export const formatRecord = (settings: MapSettings, epoch?: Epoch): NewRecord =>
  encodeFormat(
    {
      version: FORMAT_VERSION,
      separator: separatorOf(settings.partitionBy),
      valueBytesMax: settings.valueBytesMax,
      packingDisabled: !settings.packing,
      defaultTtlMs: settings.defaultTtlMs,
      replication: settings.replication,
    },
    epoch,
  )
