/** KeyspaceService: creating and listing keyspaces. The face says which names and settings may be. */
import {
  type CreateRequest,
  type CreateResponse,
  type Keyspace as KeyspaceMessage,
  KeyspaceServiceService as methods,
  type ListRequest,
  type ListResponse,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import { asBuffer } from '../../streams/core/bytes.ts'
import type { KeyspaceInfo, KeyspaceSettings } from '../../streams/face.ts'
import { type HandlersOf, type Serving, type Unary, unary } from './calls.ts'
import type { keyspaceDefinition } from './definitions.ts'

export function keyspaces(serving: Serving): HandlersOf<typeof keyspaceDefinition> {
  const { node } = serving

  const create: Unary<CreateRequest, CreateResponse> = async (request) => ({
    keyspace: keyspaceMessage(await node.createKeyspace(request.name, settingsOf(request))),
  })

  const list: Unary<ListRequest, ListResponse> = async () => ({
    keyspaces: node.keyspaces().map(keyspaceMessage),
  })

  return { create: unary(serving, methods.create, create), list: unary(serving, methods.list, list) }
}

/** What is set; the face has the defaults of the rest. */
function settingsOf(request: CreateRequest): Partial<KeyspaceSettings> {
  const { partitions, valueBytesMax, partitionByPrefix: separator, packingDisabled } = request
  return {
    ...(partitions === 0 ? {} : { partitions }),
    ...(valueBytesMax === 0 ? {} : { valueBytesMax }),
    partitionBy: separator.length === 0 ? { kind: 'key' } : { kind: 'prefix', separator },
    packing: !packingDisabled,
  }
}

const keyspaceMessage = (keyspace: KeyspaceInfo): KeyspaceMessage => ({
  name: keyspace.name,
  topic: keyspace.topic,
  partitions: keyspace.partitions,
  partitionByPrefix:
    keyspace.partitionBy.kind === 'prefix' ? asBuffer(keyspace.partitionBy.separator) : Buffer.alloc(0),
  valueBytesMax: keyspace.valueBytesMax,
  packingDisabled: !keyspace.packing,
  replication: 1,
  defaultTtlMs: 0,
})
