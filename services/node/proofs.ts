/** ProofService: what this node's replicas can be compared by. It speaks for itself only. */
import {
  type BeginProofRequest,
  type BeginProofResponse,
  type GetProofRequest,
  type GetProofResponse,
  ProofServiceService as methods,
  type RebuildReplicaRequest,
  type RebuildReplicaResponse,
} from '../../proto/generated/tidemark/v1/proof_service.ts'
import { offset, partition } from '../../streams/core/types.ts'
import { type HandlersOf, type Serving, type Unary, deadlineOf, unary } from './calls.ts'
import type { proofDefinition } from './definitions.ts'
import { keyspaceName } from './validate.ts'

export function proofs(serving: Serving): HandlersOf<typeof proofDefinition> {
  const { proofs: own } = serving.local ?? serving.node

  const getProof: Unary<GetProofRequest, GetProofResponse> = async (request) => {
    const { suspicion, withParts } = request
    const { chains, contents, wrong } = own.tell(
      keyspaceName(request.keyspace),
      partition(request.partition),
      suspicion === undefined ? undefined : { at: offset(suspicion.at), hash: suspicion.hash },
    )
    return {
      wrongAt: wrong?.at ?? 0,
      wrongMessage: wrong?.why ?? '',
      chains: chains.map(({ at, hash }) => ({ at, hash })),
      contents: contents.map(({ at, entries, content }) => ({
        at,
        entries,
        hash: content?.hash ?? '',
        parts: withParts
          ? (content?.parts ?? []).map(({ name, until, hash }) => ({
              name,
              until: Buffer.from(until ?? []),
              hash,
            }))
          : [],
      })),
    }
  }

  const beginProof: Unary<BeginProofRequest, BeginProofResponse> = async (request, call) => ({
    at: await own.begin(keyspaceName(request.keyspace), partition(request.partition), deadlineOf(call)),
  })

  const rebuildReplica: Unary<RebuildReplicaRequest, RebuildReplicaResponse> = async (request) => ({
    fromNodes: [...(await own.rebuild(keyspaceName(request.keyspace), partition(request.partition)))],
  })

  return {
    getProof: unary(serving, methods.getProof, getProof),
    beginProof: unary(serving, methods.beginProof, beginProof),
    rebuildReplica: unary(serving, methods.rebuildReplica, rebuildReplica),
  }
}
