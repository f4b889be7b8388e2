/** What befalls the log itself, by the hand of somebody with rights on Kafka. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { TidemarkError, connect } from '../../services/client/index.ts'
import { offset, partition } from '../../streams/core/types.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import { readLog } from './evidence.ts'
import { type Field, type Nemesis, nodeOf, rest } from './nemesis.ts'

const trimmedLog: Nemesis = {
  name: 'trimmed-log',
  about:
    'while a node is down, all records that it does not have yet are trimmed from the log: it has to have them from another node',
  async act(field) {
    const { cluster } = field.ground
    const node = nodeOf(field, 'node-3')
    const had = await appliedOn(field, 'node-3')
    await node.kill('SIGKILL')
    await rest(field)
    field.archive.push(...(await readLog(cluster.bootstrap, field.topic)))
    const others = await Promise.all(['node-1', 'node-2'].map((id) => appliedOn(field, id)))
    const quiet = { trouble: () => undefined, recovered: () => undefined }
    const log = await openKafkaLog({
      brokers: cluster.bootstrap,
      clientId: 'chaos',
      dev: false,
      telemetry: quiet,
    })
    let gone = 0
    try {
      for (const [at, had_] of had.entries()) {
        const upTo = Math.min(
          ...others.map((applied) => applied[at] ?? 0),
          (field.archive[at]?.at(-1)?.offset ?? 0) + 1,
        )
        await log.trim(field.topic, partition(at), offset(upTo))
        const { start } = await log.offsets(field.topic, partition(at))
        if (start > had_) gone += 1
      }
    } finally {
      await log.close()
    }
    await node.start()
    await cluster.settled()
    if (gone === 0) return undefined
    return `in ${gone} of ${had.length} partitions the log began after what node-3 had applied; it came back all the same`
  },
}

/** What a node has applied of each partition of the workload. */
async function appliedOn(field: Field, id: string): Promise<number[]> {
  const description = await field.lookout.describe(nodeOf(field, id))
  const applied: number[] = []
  for (const replica of description?.replicas ?? [])
    if (replica.keyspace === field.keyspace) applied[replica.partition] = replica.applied
  return Array.from(applied, (one) => one ?? 0)
}

const ROWS = 20
/** Milliseconds in which every replica must have stopped. */
const STOPPED_MS_MAX = 30_000

/** On a keyspace beside that of the workload, which must not feel it. */
const recreatedTopic: Nemesis = {
  name: 'recreated-topic',
  about:
    'somebody deletes the topic of another keyspace and creates an empty one of its name: no row may vanish from a linearizable read',
  async act(field) {
    const { cluster, servers } = field.ground
    const name = `${field.keyspace}-doomed`
    const topic = `tidemark.${name}`
    const db = connect({ server: servers })
    const admin = new Kafka({ brokers: [...cluster.bootstrap], logLevel: logLevel.NOTHING }).admin()
    try {
      await db.keyspaces.create(name, { partitions: 2 })
      await cluster.settled()
      const rows = db.keyspace(name)
      for (let number = 0; number < ROWS; number += 1) await rows.put(`row-${number}`, 'here')

      await admin.connect()
      await admin.deleteTopics({ topics: [topic] })
      while ((await admin.listTopics()).includes(topic)) await sleep(20)
      await admin.createTopics({
        topics: [{ topic, numPartitions: 2, replicationFactor: 3, configEntries: TOPIC_CONFIG }],
        waitForLeaders: false,
      })

      const reasons = new Map<string, number>()
      const until = performance.now() + Math.max(field.harmMs, STOPPED_MS_MAX / 2)
      let stopped = false
      while (performance.now() < until || !stopped) {
        for (let number = 0; number < ROWS; number += 5) {
          const reason = await rows.get(`row-${number}`, { deadlineMs: 3000 }).then(
            (row) => {
              if (row?.text() !== 'here')
                throw new Error(`row-${number} vanished with the topic, without a word`)
              return 'here'
            },
            (caught: unknown) => {
              if (caught instanceof TidemarkError) return caught.reason
              throw caught
            },
          )
          reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
        }
        const descriptions = await Promise.all(cluster.nodes.map((node) => field.lookout.describe(node)))
        const states = descriptions
          .flatMap((one) => one?.replicas ?? [])
          .filter(({ keyspace }) => keyspace === name)
        stopped =
          states.length > 0 && states.every(({ stoppedReason }) => stoppedReason === 'TOPIC_RECREATED')
        if (performance.now() > until + STOPPED_MS_MAX)
          throw new Error(`replicas of the old topic did not stop: ${JSON.stringify(states)}`)
      }
      const said = [...reasons].map(([reason, count]) => `${reason} ${count}×`).join(', ')
      return `all replicas stopped with TOPIC_RECREATED; reads said ${said}`
    } finally {
      await db.keyspaces.delete(name, name).catch(() => undefined)
      await admin.disconnect()
      await db.close()
    }
  },
}

const TOPIC_CONFIG = [
  { name: 'min.insync.replicas', value: '2' },
  { name: 'retention.ms', value: '-1' },
  { name: 'message.timestamp.type', value: 'LogAppendTime' },
]

export const LOG_NEMESES: readonly Nemesis[] = [trimmedLog, recreatedTopic]
