/**
 * Changes of keyspaces in a cluster: a request goes to the node that leads partition 0, and that node has those change the other
 * partitions that have replicas of them.
 */
import type {
  KeyspaceServiceDeleteResponse,
  UpdateResponse,
} from '../../../proto/generated/tidemark/v1/keyspace_service.ts'
import { TidemarkError } from '../../../streams/core/errors.ts'
import type { Partition } from '../../../streams/core/types.ts'
import type { KeyspaceChanges, KeyspaceInfo, TidemarkNode, UpdateOptions } from '../../../streams/face.ts'
import { keyspaceInfo, updateRequest } from '../keyspace-message.ts'
import { withPartitions } from './hop.ts'
import type { Peer } from './peer.ts'
import type { Router } from './router.ts'

/** Milliseconds that other nodes get to hear of a deletion; they find out by themselves, a little later. */
const TELL_MS = 2000

export async function updateRouted(
  local: TidemarkNode,
  router: Router,
  name: string,
  changes: KeyspaceChanges,
  options: UpdateOptions,
): Promise<KeyspaceInfo> {
  const { topic } = local.keyspace(name).info
  const here = (): Promise<KeyspaceInfo> =>
    local.updateKeyspace(name, changes, {
      ...options,
      elsewhere: (partitions, stands) => changeElsewhere(router, name, topic, partitions, stands, options),
    })
  if (options.forwarded === true) return here()
  const leader = router.leaderOf(topic, 0 as Partition)
  const peer = leader === undefined ? undefined : router.peers.get(leader)
  return peer === undefined ? here() : sendUpdate(peer, name, changes, options)
}

/** Each partition by a node that serves it, all those of one node together. */
async function changeElsewhere(
  router: Router,
  name: string,
  topic: string,
  partitions: readonly Partition[],
  changes: KeyspaceChanges,
  options: UpdateOptions,
): Promise<void> {
  const byPeer = new Map<Peer, Partition[]>()
  for (const partition of partitions) {
    const peer = router.replicasOf(topic, partition).flatMap((nodeId) => router.peers.get(nodeId) ?? [])[0]
    if (peer === undefined)
      throw new TidemarkError(
        'PARTITION_ELSEWHERE',
        `no node is known that serves partition ${partition} of keyspace ${name}: ask again to finish the update`,
        { metadata: { keyspace: name, partition: String(partition) } },
      )
    byPeer.set(peer, [...(byPeer.get(peer) ?? []), partition])
  }
  await Promise.all([...byPeer].map(([peer, some]) => sendUpdate(peer, name, changes, options, some)))
}

async function sendUpdate(
  peer: Peer,
  name: string,
  { replication, ...changes }: KeyspaceChanges,
  { deadline }: UpdateOptions,
  partitions?: readonly Partition[],
): Promise<KeyspaceInfo> {
  // As the log has it, 0 is what the nodes are set to; a request cannot ask for that.
  const request = updateRequest(name, { ...changes, ...(replication ? { replication } : {}) })
  const { keyspace } = await peer.keyspaces<UpdateResponse>(
    (client, metadata, call, done) =>
      client.update(request, withPartitions(metadata, partitions), call, done),
    deadline,
  )
  if (keyspace === undefined)
    throw new TidemarkError('INTERNAL', `node ${peer.nodeId} does not say how keyspace ${name} stands`)
  return keyspaceInfo(keyspace)
}

/** Deletes it, and tells the others. */
export async function deleteRouted(local: TidemarkNode, router: Router, name: string): Promise<void> {
  await local.deleteKeyspace(name)
  const request = { name, confirmName: name }
  await Promise.allSettled(
    [...router.peers.all].map((peer) =>
      peer.keyspaces<KeyspaceServiceDeleteResponse>(
        (client, metadata, call, done) => client.delete(request, metadata, call, done),
        Date.now() + TELL_MS,
      ),
    ),
  )
}
