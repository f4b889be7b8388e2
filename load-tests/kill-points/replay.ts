/**
 * The proof that what a killed process left is right: its replicas, brought to the end of the log, must equal replicas that are built
 * into an empty store from the log alone, or, where the log was trimmed, from a snapshot and the log. Equal means the chain
 * hash over all effects, the number of rows, and every row byte for byte.
 */
import { keyOfRow, metaKey, replicaPrefix, rowSpan } from '../../streams/core/keys.ts'
import type { Prefix } from '../../streams/core/keys.ts'
import { decodeState, newState, type PartitionState } from '../../streams/core/state.ts'
import type { Partition } from '../../streams/core/types.ts'
import type { Log } from '../../streams/log/log.ts'
import { quiet } from '../../streams/node.fixture.ts'
import { knownPrefix, storedReplicas } from '../../streams/replica/catalogue.ts'
import { Replica } from '../../streams/replica/replica.ts'
import { restorable, restoreReplicas } from '../../streams/snapshot/restore.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import { openMemoryStore } from '../../streams/store/memory.ts'
import type { Store } from '../../streams/store/store.ts'
import { systemClock } from '../../streams/system.ts'

/** Milliseconds for one replica to come to the end of the log. */
const REPLAY_MS_MAX = 60_000

/** @returns what differs, and how many replicas were compared */
export async function compareWithReplay(
  log: Log,
  store: Store,
  cluster: string,
  snapshots: SnapshotStore,
): Promise<{ readonly faults: readonly string[]; readonly replicas: number }> {
  const faults: string[] = []
  let replicas = 0
  const restored = openMemoryStore()
  let restoring: Promise<unknown> | undefined
  for (const { topic, partition, prefix } of storedReplicas(store)) {
    const description = await log.describeTopic(topic)
    const bytes = store.getMany([metaKey(prefix)])[0]
    if (description === undefined || bytes === undefined) continue
    const state = decodeState(bytes)
    if (state.topicIdentity !== description.identity) continue
    const { start, end } = await log.offsets(topic, partition)
    if (start > 0)
      await (restoring ??= restorable(snapshots, cluster, undefined, () => undefined).then((manifests) =>
        restoreReplicas(manifests, { snapshots, store: restored, onTrouble: (said) => faults.push(said) }),
      ))
    const fresh = start > 0 ? fromSnapshot(restored, topic, partition) : empty(state)
    if (fresh === undefined) {
      faults.push(`no snapshot has ${topic}/${partition}, whose log was trimmed to ${start}`)
      continue
    }
    const name = { keyspace: topic.slice(cluster.length + 1), topic }
    const [left, right] = [
      await finished(new Replica({ ...name, prefix, state, store, ...around(log) }), end),
      await finished(new Replica({ ...name, ...fresh, ...around(log) }), end),
    ]
    faults.push(...differences(`${topic}/${partition}`, left, right))
    replicas += 1
  }
  return { faults, replicas }
}

const around = (log: Log) => ({ log, clock: systemClock, telemetry: quiet })

interface Fresh {
  readonly store: Store
  readonly prefix: Prefix
  readonly state: PartitionState
}

const empty = ({ partition, partitions, topicIdentity }: PartitionState): Fresh => ({
  store: openMemoryStore(),
  prefix: replicaPrefix(1),
  state: newState(partition, partitions, topicIdentity),
})

function fromSnapshot(store: Store, topic: string, partition: Partition): Fresh | undefined {
  const prefix = knownPrefix(store, topic, partition)
  const bytes = prefix === undefined ? undefined : store.getMany([metaKey(prefix)])[0]
  return prefix === undefined || bytes === undefined
    ? undefined
    : { store, prefix, state: decodeState(bytes) }
}

async function finished(replica: Replica, end: number): Promise<Replica> {
  const began = performance.now()
  replica.start()
  while (replica.state.next < end && replica.stopped === undefined) {
    if (performance.now() - began > REPLAY_MS_MAX)
      throw new Error(`the replay of ${replica.topic} stands at ${replica.state.next} of ${end}`)
    await systemClock.sleep(1)
  }
  await replica.close()
  return replica
}

function differences(name: string, left: Replica, right: Replica): string[] {
  const stopped = [left.stopped, right.stopped].flatMap((one) => one ?? [])
  if (stopped.length > 0) return stopped.map(({ reason, message }) => `${name}: ${reason}: ${message}`)
  const facts = ({ state }: Replica): string =>
    `next ${state.next}, epoch ${state.epoch}, rows ${state.rows}, ids ${state.ids}, chain ${Buffer.from(state.chain).toString('hex')}`
  if (facts(left) !== facts(right)) return [`${name}: left was ${facts(left)}; replayed is ${facts(right)}`]
  const rows = rowsOf(right)
  for (const [key, value] of rowsOf(left)) {
    if (rows.get(key) !== value)
      return [`${name}: row ${key} is ${value}, replayed is ${rows.get(key) ?? 'none'}`]
    rows.delete(key)
  }
  return [...rows.keys()].map((key) => `${name}: row ${key} is missing`)
}

/** Rows and tombstones, in hex. */
function rowsOf({ store, prefix }: Replica): Map<string, string> {
  const rows = new Map<string, string>()
  const cursor = store.cursor(rowSpan(prefix, new Uint8Array(0), undefined))
  for (let entries = cursor.next(1000); entries.length > 0; entries = cursor.next(1000))
    for (const { key, value } of entries)
      rows.set(Buffer.from(keyOfRow(key)).toString('hex'), Buffer.from(value).toString('hex'))
  cursor.close()
  return rows
}
