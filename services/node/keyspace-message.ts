/** A keyspace from the words of streams to those of the proto, and back. */
import type {
  CreateRequest,
  Keyspace as KeyspaceMessage,
  UpdateRequest,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { asBuffer } from '../../streams/core/bytes.ts'
import type { PartitionBy } from '../../streams/core/types.ts'
import type { KeyspaceChanges, KeyspaceInfo, KeyspaceSettings } from '../../streams/face.ts'

export const keyspaceMessage = (keyspace: KeyspaceInfo): KeyspaceMessage => ({
  name: keyspace.name,
  topic: keyspace.topic,
  partitions: keyspace.partitions,
  partitionByPrefix:
    keyspace.partitionBy.kind === 'prefix' ? asBuffer(keyspace.partitionBy.separator) : Buffer.alloc(0),
  valueBytesMax: keyspace.valueBytesMax,
  packingDisabled: !keyspace.packing,
  replication: keyspace.replication,
  defaultTtlMs: keyspace.defaultTtlMs,
})

export const keyspaceInfo = (message: KeyspaceMessage): KeyspaceInfo => ({
  name: message.name,
  topic: message.topic,
  partitions: message.partitions,
  partitionBy: partitionByOf(message.partitionByPrefix),
  valueBytesMax: message.valueBytesMax,
  packing: !message.packingDisabled,
  replication: message.replication,
  defaultTtlMs: message.defaultTtlMs,
})

const partitionByOf = (separator: Buffer): PartitionBy =>
  separator.length === 0 ? { kind: 'key' } : { kind: 'prefix', separator }

/** What is set; the face has the defaults of the rest. */
export function settingsOf(request: CreateRequest): Partial<KeyspaceSettings> {
  const { partitions, valueBytesMax, replication } = request
  return {
    ...(partitions === 0 ? {} : { partitions }),
    ...(valueBytesMax === 0 ? {} : { valueBytesMax }),
    ...(replication === 0 ? {} : { replication }),
    partitionBy: partitionByOf(request.partitionByPrefix),
    packing: !request.packingDisabled,
    defaultTtlMs: request.defaultTtlMs,
  }
}

export function changesOf(request: UpdateRequest): KeyspaceChanges {
  const { replication, defaultTtlMs, valueBytesMax, packingDisabled } = request
  return {
    ...(replication === undefined ? {} : { replication }),
    ...(defaultTtlMs === undefined ? {} : { defaultTtlMs }),
    ...(valueBytesMax === undefined ? {} : { valueBytesMax }),
    ...(packingDisabled === undefined ? {} : { packing: !packingDisabled }),
  }
}

export const updateRequest = (name: string, changes: KeyspaceChanges): UpdateRequest => ({
  name,
  replication: changes.replication,
  defaultTtlMs: changes.defaultTtlMs,
  valueBytesMax: changes.valueBytesMax,
  packingDisabled: changes.packing === undefined ? undefined : !changes.packing,
})
