/** Moving a leadership because somebody asked for it: the leader says who shall lead, the map moves it in two steps. */
import type { MapNode } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import { TRANSFER_MS } from '../core/limits.ts'
import type { Partition } from '../core/types.ts'
import type { HostedKeyspace } from './hosted-keyspace.ts'
import { notFound } from './keyspaces.ts'
import type { Leading } from './leading.ts'

export interface TransferFrom {
  readonly nodeId: string
  readonly hosted: HostedKeyspace | undefined
  readonly nodes: readonly MapNode[]
  readonly leading: Leading
  readonly changed: () => void
  /** Resolves when it has come, or no longer waits. */
  readonly until: (come: () => boolean) => Promise<unknown>
}

export interface Transfer {
  /** Of the keyspace. */
  readonly name: string
  readonly partition: Partition
  /** Id of a node; empty: any that can. */
  readonly to: string
}

/** @throws KEYSPACE_NOT_FOUND, NOT_LEADER, FIELD_INVALID where the other cannot lead, DEADLINE_EXCEEDED */
export async function transferLeadership(from: TransferFrom, transfer: Transfer): Promise<string> {
  const { nodeId, hosted, leading } = from
  const { name, partition, to } = transfer
  if (hosted === undefined) throw notFound(name)
  const { partitions } = hosted.topic
  if (partition >= partitions)
    throw new TidemarkError(
      'FIELD_INVALID',
      `keyspace ${name} has partitions 0 to ${partitions - 1}, not ${partition}`,
      { metadata: { field: 'partition' } },
    )
  const leader = hosted.placement(partition)?.leader
  if (leader !== nodeId)
    throw new TidemarkError('NOT_LEADER', `this node does not lead partition ${partition} of ${name}`, {
      metadata: { keyspace: name, partition: String(partition), leader: leader ?? '' },
    })
  if (to === nodeId) return nodeId
  const takeBack = leading.handOver(hosted.topic.topic, partition, targetOf(from, hosted, transfer))
  from.changed()
  const moved = (): string | undefined => {
    const now = hosted.placement(partition)?.leader
    return now === nodeId ? undefined : now
  }
  try {
    await from.until(() => moved() !== undefined)
  } finally {
    takeBack()
    from.changed()
  }
  const next = moved()
  if (next !== undefined) return next
  throw new TidemarkError(
    'DEADLINE_EXCEEDED',
    `leadership of partition ${partition} of ${name} did not move in ${TRANSFER_MS / 1000} s`,
  )
}

function targetOf(
  { nodeId, nodes }: TransferFrom,
  hosted: HostedKeyspace,
  { name, partition, to }: Transfer,
): string {
  const staying = new Set(nodes.filter(({ draining }) => !draining).map((node) => node.nodeId))
  const able = (hosted.placement(partition)?.replicas ?? []).filter((id) => id !== nodeId && staying.has(id))
  const target = to === '' ? able[0] : able.find((id) => id === to)
  if (target !== undefined) return target
  throw new TidemarkError(
    'FIELD_INVALID',
    `partition ${partition} of ${name} can be led by ${able.join(', ') || 'no other node'}` +
      `${to === '' ? '' : `, not by "${to}"`}: who leads has a live replica and does not drain`,
    { metadata: { field: 'to_node' } },
  )
}
