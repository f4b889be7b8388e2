/**
 * Changing the settings of a keyspace: one more `format` record in each partition, which counts only with the epoch that its partition has
 * when it is applied (core/apply.ts). So a change that was late, of a node that was cut off, changes nothing.
 *
 * Partition 0 decides, as it does when a keyspace is set up. Its leader makes all changes, one after the other: first in partition 0,
 * whose log puts the changes of an old leader and a new one in order, then it copies what stands there to the other partitions. A change
 * that broke off halfway is finished by the next one, whatever that asks for.
 */
import { TidemarkError } from '../core/errors.ts'
import { settingsText } from '../core/map-topics.ts'
import type { MapSettings } from '../core/cluster-map.ts'
import type { Partition } from '../core/types.ts'
import { dueAt } from '../deadline.ts'
import type { KeyspaceChanges, UpdateOptions } from '../face.ts'
import { elsewhere } from '../refusals.ts'
import { refuse } from '../keyspace-settings.ts'
import type { Log } from '../log/log.ts'
import type { Clock } from '../ports.ts'
import type { Replica } from '../replica/replica.ts'
import type { Writer } from '../replica/writer.ts'
import type { HostedKeyspace } from './hosted-keyspace.ts'
import { formatRecord } from './keyspace-setup.ts'

/** Milliseconds between two looks at a partition that has no leader yet. */
const LOOK_MS = 20

export interface UpdateContext {
  readonly nodeId: string
  readonly log: Log
  readonly writer: Writer
  readonly clock: Clock
  /** Whether this node leads partition 0 now. */
  readonly leads: (replica: Replica) => boolean
}

/** Decides, here, where partition 0 is led, and copies what stands then to the others. */
export async function updateKeyspace(
  context: UpdateContext,
  keyspace: HostedKeyspace,
  changes: KeyspaceChanges,
  options: UpdateOptions,
): Promise<void> {
  const first = await ledReplica(context, keyspace, options.deadline)
  await checkGrowth(context.log, first, changes)
  await changePartition(context, first, changes, options.deadline)
  const { valueBytesMax, packing, defaultTtlMs, replication } = first.state
  const stands = { valueBytesMax, packing, defaultTtlMs, replication }
  const others = Array.from({ length: keyspace.topic.partitions - 1 }, (_, at) => (at + 1) as Partition)
  const here = others.filter((partition) => keyspace.replicas.has(partition))
  const away = others.filter((partition) => !keyspace.replicas.has(partition))
  await Promise.all([
    changePartitions(context, keyspace, here, stands, options.deadline),
    changeElsewhere(keyspace, away, stands, options),
  ])
}

/** @throws PARTITION_ELSEWHERE */
export async function changePartitions(
  context: UpdateContext,
  { name, replicas }: HostedKeyspace,
  partitions: readonly Partition[],
  changes: KeyspaceChanges,
  deadline: number,
): Promise<void> {
  await Promise.all(
    partitions.map(async (partition) => {
      const replica = replicas.get(partition)
      if (replica === undefined) throw elsewhere(name, partition)
      await changePartition(context, replica, changes, deadline)
    }),
  )
}

async function changeElsewhere(
  { name }: HostedKeyspace,
  partitions: readonly Partition[],
  changes: KeyspaceChanges,
  options: UpdateOptions,
): Promise<void> {
  const [first] = partitions
  if (first === undefined) return
  if (options.elsewhere === undefined) throw elsewhere(name, first)
  await options.elsewhere(partitions, changes)
}

/** The replica of partition 0, once this node leads it. @throws NOT_LEADER, DEADLINE_EXCEEDED */
async function ledReplica(
  { nodeId, clock, leads }: UpdateContext,
  keyspace: HostedKeyspace,
  deadline: number,
): Promise<Replica> {
  const { name } = keyspace
  const end = dueAt(clock, deadline)
  for (;;) {
    const replica = keyspace.replicas.get(0 as Partition)
    if (replica !== undefined && leads(replica)) return replica
    const leader = keyspace.placement(0 as Partition)?.leader
    if (leader !== undefined && leader !== nodeId)
      throw new TidemarkError('NOT_LEADER', `node ${leader} leads partition 0 of keyspace ${name}`, {
        metadata: { keyspace: name, partition: '0', leader },
      })
    if (clock.elapsed() >= end)
      throw new TidemarkError('DEADLINE_EXCEEDED', `nobody has led partition 0 of keyspace ${name} in time`)
    await clock.sleep(LOOK_MS)
  }
}

async function changePartition(
  { writer, clock }: UpdateContext,
  replica: Replica,
  changes: KeyspaceChanges,
  deadline: number,
): Promise<void> {
  const end = dueAt(clock, deadline)
  for (;;) {
    if (replica.refused !== undefined) throw replica.refused
    const { state } = replica
    const wanted = changed(state, changes)
    if (state.configured && settingsText(state) === settingsText(wanted)) return
    if (clock.elapsed() >= end)
      throw new TidemarkError(
        'DEADLINE_EXCEEDED',
        `partition ${state.partition} of keyspace ${replica.keyspace} was not changed in time; ask again to finish the update`,
      )
    // Without a leader there is no epoch that a record could carry.
    if (!state.configured || state.epoch === 0) await clock.sleep(LOOK_MS)
    // When it is applied and nothing has changed, another leader came between: its epoch is known now.
    else await writer.control(replica, formatRecord(wanted, state.epoch), end)
  }
}

/** Where values may be larger already they stay so: a partition may be ahead of partition 0 after an update that broke off. */
const changed = (settings: MapSettings, changes: KeyspaceChanges): MapSettings => ({
  partitionBy: settings.partitionBy,
  valueBytesMax: Math.max(settings.valueBytesMax, changes.valueBytesMax ?? 0),
  packing: changes.packing ?? settings.packing,
  defaultTtlMs: changes.defaultTtlMs ?? settings.defaultTtlMs,
  replication: changes.replication ?? settings.replication,
})

/** @throws FIELD_INVALID, TOPIC_UNSAFE where the topic would not take such values */
async function checkGrowth(log: Log, replica: Replica, { valueBytesMax }: KeyspaceChanges): Promise<void> {
  if (valueBytesMax === undefined) return
  const stands = replica.state.valueBytesMax
  if (valueBytesMax < stands)
    refuse(
      'value_bytes_max',
      `values may have ${stands} bytes already: the bound may only grow, not to ${valueBytesMax}`,
    )
  const before = new Set((await log.describeTopic(replica.topic))?.unsafe)
  const after = (await log.describeTopic(replica.topic, valueBytesMax))?.unsafe ?? []
  const wrong = after.filter((sentence) => !before.has(sentence))
  if (wrong.length > 0)
    throw new TidemarkError(
      'TOPIC_UNSAFE',
      `topic ${replica.topic} does not take values of ${valueBytesMax} bytes: ${wrong.join('; ')}`,
      { metadata: { topic: replica.topic } },
    )
}
