/** What a run leaves to the checkers: what clients did and saw, the log as it stands, and every replica that serves. */
import { encodeBarrier } from '../core/encode.ts'
import { logTime, offset, type LogRecord, type Partition } from '../core/types.ts'
import type { BrokerPartition } from './broker-partition.ts'
import type { Entry, History, ReplicaDump } from './history.ts'
import type { Site } from './faults.ts'
import { KEYSPACE, TOPIC, type Machine } from './machine.ts'
import { toRowSeen } from './perform.ts'

/** @param wrong - told where a replica cannot be read and counts as whole all the same */
export async function harvest(
  { machines, kafka }: Site,
  entries: readonly Entry[],
  partitions: number,
  wrong: (sentence: string) => void,
): Promise<History> {
  const replicas: ReplicaDump[] = []
  for (const machine of machines) replicas.push(...(await dumps(machine, wrong)))
  return {
    keyspace: { name: KEYSPACE, partitions, separator: '' },
    entries,
    log: Array.from({ length: partitions }, (_, at) => logOf(kafka.partition(TOPIC, at as Partition))),
    replicas,
  }
}

/** Where the log ends with offsets that hold no record, a barrier stands for the last of them: checkers know the end by its record. */
function logOf(partition: BrokerPartition | undefined): readonly LogRecord[] {
  const { records = [], end = 0 } = partition ?? {}
  const last = records.at(-1)
  if (end === 0 || last?.offset === end - 1) return records
  return [...records, { ...encodeBarrier(), offset: offset(end - 1), time: last?.time ?? logTime(0) }]
}

async function dumps(
  { id, running }: Machine,
  wrong: (sentence: string) => void,
): Promise<readonly ReplicaDump[]> {
  const found: ReplicaDump[] = []
  for (const { keyspace, partition, next, chainHash: chain, state } of running?.node.replicas() ?? []) {
    if (keyspace !== KEYSPACE || state !== 'live' || running === undefined) continue
    const range = { start: new Uint8Array(0), end: undefined }
    const rows = []
    try {
      const scan = await running.node
        .keyspace(KEYSPACE)
        .scan({ consistency: 'eventual', deadline: Infinity, range, partitions: [partition] })
      for await (const some of scan.rows) rows.push(...some.map(toRowSeen))
    } catch (caught) {
      // Damage that nobody had read before: it must have stopped now.
      const stands = running.node
        .replicas()
        .some((one) => one.partition === partition && one.state === 'live')
      if (stands) wrong(`${id} cannot read partition ${partition}, and serves it: ${String(caught)}`)
      continue
    }
    found.push({ node: id, partition, next, chain, rows })
  }
  return found
}
