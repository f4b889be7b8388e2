/** Calls of ProofService: by nodes that compare their replicas with those of others, and by the command line. */
import { Metadata, type ServiceError, credentials } from '@grpc/grpc-js'
import {
  type BeginProofResponse,
  type GetProofRequest,
  type GetProofResponse,
  ProofServiceClient,
  type RebuildReplicaResponse,
} from '../proto/generated/tidemark/v1/proof_service.ts'
import { MESSAGE_BYTES_MAX } from '../streams/core/limits.ts'
import { failureOf } from './failure.ts'

const NO_METADATA = new Metadata()

/** Close it. */
export const proofClient = (address: string): ProofServiceClient =>
  new ProofServiceClient(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.use_local_subchannel_pool': 1,
  })

export interface ProofPlace {
  readonly keyspace: string
  readonly partition: number
}

/** @param deadline - milliseconds since 1970. @throws TidemarkError */
export function getProof(
  client: ProofServiceClient,
  { keyspace, partition, suspicion, withParts = false }: ProofPlace & Partial<GetProofRequest>,
  deadline: number,
): Promise<GetProofResponse> {
  return unary((done) =>
    client.getProof({ keyspace, partition, suspicion, withParts }, NO_METADATA, { deadline }, done),
  )
}

/** @returns the place of the log at which all live replicas hash what they hold. @throws TidemarkError */
export async function beginProof(
  client: ProofServiceClient,
  { keyspace, partition }: ProofPlace,
  deadline: number,
): Promise<number> {
  const { at } = await unary<BeginProofResponse>((done) =>
    client.beginProof({ keyspace, partition }, NO_METADATA, { deadline }, done),
  )
  return at
}

/** @returns ids of the nodes that it is built from. @throws TidemarkError */
export async function rebuildReplica(
  client: ProofServiceClient,
  { keyspace, partition }: ProofPlace,
  deadline: number,
): Promise<readonly string[]> {
  const { fromNodes } = await unary<RebuildReplicaResponse>((done) =>
    client.rebuildReplica({ keyspace, partition }, NO_METADATA, { deadline }, done),
  )
  return fromNodes
}

const unary = <Response>(
  send: (done: (error: ServiceError | null, response: Response) => void) => { getPeer(): string },
): Promise<Response> =>
  new Promise((resolve, reject) => {
    const call = send((error, response) => {
      if (error === null) resolve(response)
      else reject(failureOf(error, call.getPeer()))
    })
  })
