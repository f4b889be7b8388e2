/** What the logs of this process (embedded, memory) refuse, in one wording. */
import { TidemarkError } from '../../core/errors.ts'
import { PACK_BYTES_TARGET, PARTITIONS_MAX, RECORD_OVERHEAD_BYTES_MAX } from '../../core/limits.ts'
import type { NewRecord, Offset, Partition } from '../../core/types.ts'
import type { Offsets, TopicExpectation, TopicIdentity, TopicSettings } from '../log.ts'

export const noSuchTopic = (topic: string): TidemarkError =>
  new TidemarkError('KEYSPACE_NOT_FOUND', `the log has no topic ${topic}`, { metadata: { topic } })

export const noSuchPartition = (topic: string, partition: Partition, partitions: number): TidemarkError =>
  new TidemarkError(
    'PARTITIONS_CHANGED',
    `${topic} has ${partitions} partitions: there is no partition ${partition}`,
    {
      metadata: { topic, partition: String(partition), partitions: String(partitions) },
    },
  )

export const logClosed = (): TidemarkError => new TidemarkError('NODE_DRAINING', 'the log is closed')

export const readerCancelled = (topic: string): TidemarkError =>
  new TidemarkError('CANCELLED', `the log was closed while ${topic} was read`)

export function checkSettings(topic: string, settings: TopicSettings): void {
  const { partitions } = settings
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > PARTITIONS_MAX)
    throw new TidemarkError(
      'FIELD_INVALID',
      `${topic} cannot have ${partitions} partitions: 1 to ${PARTITIONS_MAX}`,
      {
        metadata: { field: 'partitions', limit: String(PARTITIONS_MAX) },
      },
    )
}

export function checkExisting(topic: string, partitions: number, settings: TopicSettings): void {
  if (partitions !== settings.partitions)
    throw new TidemarkError(
      'KEYSPACE_EXISTS',
      `${topic} exists with ${partitions} partitions, not with ${settings.partitions}`,
      { metadata: { topic, partitions: String(partitions) } },
    )
}

/** Why a reader with this expectation cannot read the topic as it is; undefined where it can. */
export function expectationFailure(
  topic: string,
  found: { readonly identity: TopicIdentity; readonly partitions: number } | undefined,
  expect: TopicExpectation,
): TidemarkError | undefined {
  if (found === undefined)
    return new TidemarkError('TOPIC_RECREATED', `${topic} was deleted`, {
      metadata: { topic, expected: expect.identity },
    })
  if (found.identity !== expect.identity)
    return new TidemarkError(
      'TOPIC_RECREATED',
      `${topic} has the identity ${found.identity}, not ${expect.identity}: it was deleted and created again`,
      { metadata: { topic, expected: expect.identity, found: found.identity } },
    )
  if (found.partitions !== expect.partitions)
    return new TidemarkError(
      'PARTITIONS_CHANGED',
      `${topic} has ${found.partitions} partitions, not ${expect.partitions}`,
      { metadata: { topic, expected: String(expect.partitions), found: String(found.partitions) } },
    )
  return undefined
}

/** Bytes that the parts of a record count for in every bound. */
export function recordBytes(record: NewRecord): number {
  let bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const [name, value] of record.headers) bytes += name.length + value.length
  return bytes
}

/** Packs of the writer fit into every topic, whatever the value bound of its keyspace. */
export function checkRecordSize(topic: string, bytes: number, valueBytesMax: number): void {
  const limit = Math.max(valueBytesMax, PACK_BYTES_TARGET) + RECORD_OVERHEAD_BYTES_MAX
  if (bytes > limit)
    throw new TidemarkError(
      'VALUE_TOO_LARGE',
      `a record of ${bytes} bytes is over the ${limit} bytes of ${topic}`,
      {
        metadata: { topic, limit: String(limit), bytes: String(bytes) },
      },
    )
}

export function checkTrim(name: string, before: Offset, { end }: Offsets): void {
  if (before > end)
    throw new TidemarkError(
      'TOKEN_BEYOND_LOG',
      `${name} ends at offset ${end}: it cannot be trimmed to ${before}`,
      {
        metadata: { end: String(end) },
      },
    )
}
