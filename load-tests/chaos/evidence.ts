/** What is read back when a cell is over and the cluster is whole again: the log from its first record, and every replica. */
import { setTimeout as sleep } from 'node:timers/promises'
import { takeSurvey } from '../../services/cli/cluster.ts'
import { Verification, type Verified } from '../../services/cli/verify.ts'
import type { Tidemark } from '../../services/client/index.ts'
import { type LogRecord, partition } from '../../streams/core/types.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import type { ReplicaDump } from '../../streams/sim/history.ts'

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

export async function dumpReplicas(db: Tidemark, keyspace: string): Promise<ReplicaDump[]> {
  const nodes = await db.describeAll()
  return nodes.flatMap(({ nodeId, description }) =>
    (description?.replicas ?? [])
      .filter((replica) => replica.keyspace === keyspace)
      .map((replica) => ({
        node: nodeId,
        partition: replica.partition,
        next: replica.applied,
        chain: replica.chainHash,
        rows: undefined,
      })),
  )
}
