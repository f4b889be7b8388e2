/** How a node asks another what its replica of a partition can be compared by: rarely, so each question has a connection of its own. */
import { offset } from '../../streams/core/types.ts'
import { PROOF_ANSWER_MS } from '../../streams/core/limits.ts'
import type { AskPeer } from '../../streams/ports.ts'
import { getProof, proofClient } from '../proof-calls.ts'

export const askPeerOf =
  (cluster: string): AskPeer =>
  async ({ address }, { topic, partition, suspicion }) => {
    const client = proofClient(address)
    try {
      const keyspace = topic.slice(cluster.length + 1)
      const { chains, contents } = await getProof(
        client,
        { keyspace, partition, suspicion },
        Date.now() + PROOF_ANSWER_MS,
      )
      return {
        chains: chains.map(({ at, hash }) => ({ at: offset(at), hash })),
        contents: contents.map(({ at, hash }) => ({ at: offset(at), hash: hash === '' ? undefined : hash })),
      }
    } finally {
      client.close()
    }
  }
