/**
 * The services as the generated code defines them, with decoders that cannot throw: a request that is no valid message
 * becomes an error that the handler answers with (grpc-js itself would say INTERNAL). Decoding is bounded, too: small
 * messages are small, and lists are counted before they cost memory.
 */
import {
  BarrierRequest,
  BarrierResponse,
  BatchGetRequest,
  BatchGetResponse,
  DeleteRequest,
  DeleteResponse,
  GetOutcomeRequest,
  GetOutcomeResponse,
  GetRequest,
  GetResponse,
  HistoryRequest,
  HistoryResponse,
  IncrementRequest,
  IncrementResponse,
  KeyValueServiceService,
  type PipelineRequest,
  PutRequest,
  PutResponse,
  ScanRequest,
  ScanResponse,
  TransactRequest,
  TransactResponse,
  WatchRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import {
  ClusterServiceService,
  DescribeRequest,
  DrainRequest,
  TransferLeadershipRequest,
  WatchMapRequest,
} from '../../proto/generated/tidemark/v1/cluster_service.ts'
import {
  CreateRequest,
  CutRequest,
  KeyspaceServiceDeleteRequest,
  KeyspaceServiceDescribeRequest,
  KeyspaceServiceService,
  ListRequest,
  UpdateRequest,
} from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import {
  BeginProofRequest,
  RebuildReplicaRequest,
  GetProofRequest,
  ProofServiceService,
} from '../../proto/generated/tidemark/v1/proof_service.ts'
import {
  CopyRequest,
  PublishRequest,
  SnapshotServiceCreateRequest,
  SnapshotServiceService,
  TrimRequest,
} from '../../proto/generated/tidemark/v1/snapshot_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import {
  FRAME_OPERATIONS_MAX,
  KEYSPACES_MAX,
  MESSAGE_BYTES_MAX,
  SMALL_MESSAGE_BYTES_MAX,
  TXN_OPERATIONS_MAX,
} from '../../streams/core/limits.ts'
import { decodePipelineRequest, encodePipelineResponse } from '../pipeline-codec.ts'
import { WireReader, decodeGenerated, encodeGenerated } from '../wire.ts'
import type { Decoded } from './calls.ts'

type Decoder<Request> = Parameters<typeof decodeGenerated<Request>>[0]

/** The message, or the error that says why it is none. */
function decoded<Request>(decode: () => Request): Decoded<Request> {
  try {
    return decode()
  } catch (caught) {
    return TidemarkError.from(caught)
  }
}

const guarded =
  <Request>(decoder: Decoder<Request>, bytesMax: number, fieldsMax?: number) =>
  (bytes: Buffer): Decoded<Request> =>
    decoded(() => {
      if (bytes.length > bytesMax) throw tooLarge('bytes', bytes.length, bytesMax)
      if (fieldsMax !== undefined) countFields(bytes, fieldsMax)
      return decodeGenerated(decoder, bytes)
    })

const tooLarge = (unit: string, actual: number, limit: number): TidemarkError =>
  new TidemarkError(
    'BATCH_TOO_LARGE',
    `the message has ${actual} ${unit}, the limit of this call is ${limit}`,
    {
      metadata: { limit: String(limit), actual: String(actual) },
    },
  )

function countFields(bytes: Buffer, fieldsMax: number): void {
  const reader = new WireReader(bytes)
  let fields = 0
  while (reader.at < reader.end) {
    reader.skip(reader.tag())
    fields += 1
  }
  if (fields > fieldsMax) throw tooLarge('entries', fields, fieldsMax)
}

const small = <Request>(decoder: Decoder<Request>) => guarded(decoder, SMALL_MESSAGE_BYTES_MAX)

/** Fields beside the list: generous, because newer clients may send more. */
const OTHER_FIELDS = 64

/** What of a method the generated code does not do well enough. */
const codec = <Request, Response>(
  decode: (bytes: Buffer) => Decoded<Request>,
  encoder: Parameters<typeof encodeGenerated<Response>>[0],
) => ({
  requestDeserialize: decode,
  responseSerialize: (response: Response): Buffer => encodeGenerated(encoder, response),
})

const { get, batchGet, put, increment, transact, scan, watch, history, getOutcome, pipeline } =
  KeyValueServiceService
const batchFields = FRAME_OPERATIONS_MAX + OTHER_FIELDS
const transactFields = 3 * TXN_OPERATIONS_MAX + OTHER_FIELDS

export const keyValueDefinition = {
  get: { ...get, ...codec(small(GetRequest), GetResponse) },
  batchGet: {
    ...batchGet,
    ...codec(guarded(BatchGetRequest, MESSAGE_BYTES_MAX, batchFields), BatchGetResponse),
  },
  put: { ...put, ...codec(guarded(PutRequest, MESSAGE_BYTES_MAX), PutResponse) },
  delete: { ...KeyValueServiceService.delete, ...codec(small(DeleteRequest), DeleteResponse) },
  increment: { ...increment, ...codec(small(IncrementRequest), IncrementResponse) },
  transact: {
    ...transact,
    ...codec(guarded(TransactRequest, MESSAGE_BYTES_MAX, transactFields), TransactResponse),
  },
  scan: { ...scan, ...codec(small(ScanRequest), ScanResponse) },
  // Its messages come encoded: watch-codec.ts.
  watch: {
    ...watch,
    requestDeserialize: small(WatchRequest),
    responseSerialize: (encoded: Buffer): Buffer => encoded,
  },
  history: { ...history, ...codec(small(HistoryRequest), HistoryResponse) },
  getOutcome: { ...getOutcome, ...codec(small(GetOutcomeRequest), GetOutcomeResponse) },
  barrier: { ...KeyValueServiceService.barrier, ...codec(small(BarrierRequest), BarrierResponse) },
  pipeline: {
    ...pipeline,
    requestDeserialize: (bytes: Buffer): Decoded<PipelineRequest> =>
      decoded(() => decodePipelineRequest(bytes)),
    responseSerialize: encodePipelineResponse,
  },
} as const

export const clusterDefinition = {
  describe: { ...ClusterServiceService.describe, requestDeserialize: small(DescribeRequest) },
  watchMap: { ...ClusterServiceService.watchMap, requestDeserialize: small(WatchMapRequest) },
  transferLeadership: {
    ...ClusterServiceService.transferLeadership,
    requestDeserialize: small(TransferLeadershipRequest),
  },
  drain: { ...ClusterServiceService.drain, requestDeserialize: small(DrainRequest) },
} as const

export const keyspaceDefinition = {
  create: { ...KeyspaceServiceService.create, requestDeserialize: small(CreateRequest) },
  list: { ...KeyspaceServiceService.list, requestDeserialize: small(ListRequest) },
  describe: {
    ...KeyspaceServiceService.describe,
    requestDeserialize: small(KeyspaceServiceDescribeRequest),
  },
  update: { ...KeyspaceServiceService.update, requestDeserialize: small(UpdateRequest) },
  cut: {
    ...KeyspaceServiceService.cut,
    requestDeserialize: guarded(CutRequest, SMALL_MESSAGE_BYTES_MAX, KEYSPACES_MAX + OTHER_FIELDS),
  },
  delete: { ...KeyspaceServiceService.delete, requestDeserialize: small(KeyspaceServiceDeleteRequest) },
} as const

export const proofDefinition = {
  getProof: { ...ProofServiceService.getProof, requestDeserialize: small(GetProofRequest) },
  beginProof: { ...ProofServiceService.beginProof, requestDeserialize: small(BeginProofRequest) },
  rebuildReplica: { ...ProofServiceService.rebuildReplica, requestDeserialize: small(RebuildReplicaRequest) },
} as const

const { copy, create, publish, trim } = SnapshotServiceService

export const snapshotDefinition = {
  copy: { ...copy, requestDeserialize: small(CopyRequest) },
  create: { ...create, requestDeserialize: small(SnapshotServiceCreateRequest) },
  publish: { ...publish, requestDeserialize: guarded(PublishRequest, MESSAGE_BYTES_MAX) },
  trim: { ...trim, requestDeserialize: small(TrimRequest) },
} as const
