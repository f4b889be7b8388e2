/** Replicas to copy and places to install them, for tests: a replica in memory fed with a random log, and what it is known as. */
import { metaKey, replicaSpan } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { decodeState } from '../core/state.ts'
import type { PartitionState } from '../core/state.ts'
import { Prng } from '../core/testing/prng.ts'
import { randomLog } from '../core/testing/random-log.ts'
import type { LogRecord, Offset, Partition } from '../core/types.ts'
import { PREFIX, ScriptedLog, openRig, silent } from '../replica/replica.fake.ts'
import type { Rig } from '../replica/replica.fake.ts'
import { Replica } from '../replica/replica.ts'
import type { Store } from '../store/store.ts'
import { systemClock } from '../system.ts'
import type { CopySource } from './copy-source.ts'
import { openCopy } from './copy-source.ts'
import type { WantedReplica } from './install.ts'

export const TOPIC = 'test.default'

export const WANTED: WantedReplica = {
  cluster: 'test',
  logIdentity: 'log-1',
  topic: TOPIC,
  topicIdentity: 'topic-1',
  partition: 0 as Partition,
  partitions: 1,
  notBefore: 0 as Offset,
}

export const sourceOf = (store: Store, prefix: Prefix = PREFIX): CopySource => ({
  store,
  prefix,
  cluster: 'test',
  logIdentity: 'log-1',
  topic: TOPIC,
})

export const randomRecords = (seed: number, records = 400): readonly LogRecord[] =>
  randomLog(new Prng(seed), {
    records,
    partition: 0,
    partitions: 1,
    keys: ['a', 'b', 'c/1', 'c/2', 'd', 'ä'],
  })

/** A replica that has applied the records. */
export async function replicaOf(records: readonly LogRecord[], store?: Store): Promise<Rig> {
  const script = new ScriptedLog()
  script.append(records)
  const rig = openRig(store === undefined ? { script } : { script, store })
  await rig.caughtUp()
  return rig
}

/** A replica that goes on from what lies under the prefix, with the records from there on. */
export async function goOn(
  store: Store,
  prefix: Prefix,
  records: readonly LogRecord[],
): Promise<PartitionState> {
  const script = new ScriptedLog()
  script.append(records)
  const replica = new Replica({
    keyspace: 'default',
    topic: TOPIC,
    prefix,
    state: stateIn(store, prefix),
    store,
    log: script.log,
    clock: systemClock,
    telemetry: silent,
  })
  replica.start()
  if (replica.state.next < script.end) await replica.waiters.wait(script.end, Infinity)
  await replica.close()
  return stateIn(store, prefix)
}

export const stateIn = (store: Store, prefix: Prefix): PartitionState => {
  const stored = store.getMany([metaKey(prefix)])[0]
  if (stored === undefined) throw new Error('there is no state')
  return decodeState(stored)
}

/** Everything under the prefix, one line for each entry. */
export function dump(store: Store, prefix: Prefix = PREFIX): readonly string[] {
  const cursor = store.cursor(replicaSpan(prefix))
  const lines: string[] = []
  for (let entries = cursor.next(1000); entries.length > 0; entries = cursor.next(1000))
    for (const { key, value } of entries)
      lines.push(`${Buffer.from(key.subarray(4)).toString('hex')} ${Buffer.from(value).toString('hex')}`)
  cursor.close()
  return lines
}

/** Everything in the store, whoever it belongs to. */
export function dumpAll(store: Store): readonly string[] {
  const cursor = store.cursor({ gte: Buffer.alloc(1), lt: Buffer.from([0xff]) })
  const lines: string[] = []
  for (let entries = cursor.next(1000); entries.length > 0; entries = cursor.next(1000))
    for (const { key, value } of entries)
      lines.push(`${Buffer.from(key).toString('hex')} ${Buffer.from(value).toString('hex')}`)
  cursor.close()
  return lines
}

/** The whole copy of a replica. */
export function chunksOf(source: CopySource): Buffer[] {
  const writer = openCopy(source)
  const chunks: Buffer[] = []
  for (let chunk = writer.next(); chunk !== undefined; chunk = writer.next()) chunks.push(chunk)
  writer.close()
  return chunks
}

export async function* streamOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk)
}

export async function reasonOf(action: Promise<unknown>): Promise<string> {
  try {
    await action
  } catch (caught) {
    return caught instanceof Error && 'reason' in caught ? String(caught.reason) : String(caught)
  }
  return 'nothing was refused'
}
