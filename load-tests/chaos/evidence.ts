/** What is read back when a cell is over and the cluster is whole again: the log from its first record, and every replica. */
import { setTimeout as sleep } from 'node:timers/promises'
import { takeSurvey } from '../../services/cli/cluster.ts'
import { Verification, type Verified } from '../../services/cli/verify.ts'
import { type ReplicaDescription, type Tidemark, connect } from '../../services/client/index.ts'
import { type LogRecord, partition } from '../../streams/core/types.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import type { ReplicaDump, RowSeen } from '../../streams/sim/history.ts'
import type { NodeProcess } from '../cluster/node-process.ts'
import { rowSeen } from './recorded-client.ts'

/** Milliseconds in which replicas must have met at one offset once nobody writes. */
const MEET_MS_MAX = 30_000
const LOOK_MS = 100

/** Every record of the topic, by partition. */
export async function readLog(bootstrap: readonly string[], topic: string): Promise<LogRecord[][]> {
  const quiet = { trouble: () => undefined, recovered: () => undefined }
  const log = await openKafkaLog({ brokers: bootstrap, clientId: 'chaos', dev: false, telemetry: quiet })
  try {
    const found = await log.describeTopic(topic)
    if (found === undefined) throw new Error(`there is no topic ${topic}`)
    return await Promise.all(
      Array.from({ length: found.partitions }, async (_, at): Promise<LogRecord[]> => {
        const { start, end } = await log.offsets(topic, partition(at))
        const reader = log.read(topic, partition(at), start, found)
        const records: LogRecord[] = []
        for (let next = start; next < end;) {
          const batch = await reader.next()
          records.push(...batch.records)
          next = batch.nextOffset
        }
        reader.close()
        return records.filter((record) => record.offset < end)
      }),
    )
  } finally {
    await log.close()
  }
}

/** What `tidemark cluster verify` says, once it can say it of every partition of the keyspace. */
export async function compareReplicas(db: Tidemark, keyspace: string): Promise<readonly Verified[]> {
  const verification = new Verification()
  const until = performance.now() + MEET_MS_MAX
  for (;;) {
    const found = verification.look(await takeSurvey(db), keyspace)
    const whole = found.length > 0 && found.every(({ missing }) => missing.length === 0)
    if ((verification.settled && whole) || performance.now() > until) return found
    await sleep(LOOK_MS)
  }
}

/** One sentence for each partition whose replicas are not all there and equal. */
export const differencesOf = (found: readonly Verified[], replicas: number): string[] =>
  found.flatMap(({ partition: at, verdict, nodes, missing }) => {
    const whole = nodes.length === replicas && missing.length === 0
    if (verdict.kind === 'equal' && whole) return []
    const where = `${nodes.join(', ')}${missing.length === 0 ? '' : `; missing: ${missing.join(', ')}`}`
    return [`replicas of partition ${at} are ${verdict.kind} (${where})`]
  })

/** Every row of every replica, as its own node has it. */
export async function dumpReplicas(nodes: readonly NodeProcess[], keyspace: string): Promise<ReplicaDump[]> {
  const dumps: ReplicaDump[] = []
  for (const { id, address } of nodes) {
    const db = connect({ server: address, discover: false })
    try {
      dumps.push(...(await dumpNode(db, id, keyspace)))
    } finally {
      await db.close()
    }
  }
  return dumps
}

/** Rows that expire are still applied while nobody writes: looks again until nothing was applied meanwhile. */
async function dumpNode(db: Tidemark, node: string, keyspace: string): Promise<ReplicaDump[]> {
  const replicas = async (): Promise<ReplicaDescription[]> =>
    (await db.describe()).replicas.filter((replica) => replica.keyspace === keyspace)
  for (;;) {
    const before = await replicas()
    const rows = new Map<number, RowSeen[]>(before.map((replica) => [replica.partition, []]))
    for await (const row of db.keyspace(keyspace).scan({ consistency: 'eventual' }))
      rows.get(row.partition)?.push(rowSeen(row))
    const after = await replicas()
    if (after.some(({ applied }, at) => applied !== before[at]?.applied)) continue
    return after.map((replica) => ({
      node,
      partition: replica.partition,
      next: replica.applied,
      chain: replica.chainHash,
      rows: rows.get(replica.partition),
    }))
  }
}
