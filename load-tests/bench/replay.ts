/** How fast a replica is built from the log alone. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Partitioners } from 'kafkajs'
import { connect } from '../../services/client/index.ts'
import { measure } from '../../services/cli/measure.ts'
import { source } from '../../services/cli/workload.ts'
import { partitionOf } from '../../streams/core/partitioner.ts'
import type { Figures } from './figures.ts'
import { kafkaClient } from './kafka-ceiling.ts'
import { startNode } from './node-process.ts'
import { AIM, IN_FLIGHT, type Settings } from './settings.ts'

const PARTITIONS = 16
const SEND_RECORDS = 4000

/** Records of a stranger's producer: one for each put, nothing packed. */
export async function replayFromKafka(
  figures: Figures,
  brokers: readonly string[],
  environment: Readonly<Record<string, string>>,
  settings: Settings,
): Promise<void> {
  const dataDir = environment['TIDEMARK_DATA_DIR'] ?? ''
  const first = await startNode(environment)
  await first.stop()
  await produce(brokers, `${environment['TIDEMARK_CLUSTER'] ?? 'tidemark'}.default`, settings)
  await rm(dataDir, { recursive: true })
  await replay(figures, 'kafka: replay of plain records', environment, settings.replayRecords)
}

/** A log of plain records, nothing packed; the store that was made of it is deleted. @param environment - of a node that never ran */
export async function replayEmbedded(
  figures: Figures,
  environment: Readonly<Record<string, string>>,
  settings: Settings,
): Promise<void> {
  const keyspace = 'replay'
  const node = await startNode(environment)
  const db = connect({ server: node.server, keyspace, deadlineMs: 60_000 })
  await db.keyspaces.create(keyspace, { partitions: PARTITIONS, packingDisabled: true })
  const next = source({ keys: settings.keys, valueBytes: settings.valueBytes })
  const plan = { name: 'put', ms: Infinity, loops: IN_FLIGHT, calls: settings.replayRecords }
  await measure(plan, () => db.put(next.key(), next.value()))
  const { replicas } = await db.describe()
  await db.close()
  await node.stop()
  const records = replicas.reduce((sum, { applied }) => sum + applied, 0)
  await rm(join(environment['TIDEMARK_DATA_DIR'] ?? '', 'replicas'), { recursive: true })
  await replay(figures, 'embedded: replay of plain records', environment, records)
}

async function replay(
  figures: Figures,
  name: string,
  environment: Readonly<Record<string, string>>,
  records: number,
): Promise<void> {
  const node = await startNode(environment)
  figures.add({
    name,
    value: (records * 1000) / node.readyMs,
    unit: '/s',
    target: AIM.replay,
    more: { records, startToReadyMs: node.readyMs },
  })
  await node.stop()
}

async function produce(brokers: readonly string[], topic: string, settings: Settings): Promise<void> {
  const producer = kafkaClient(brokers).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  const next = source({ keys: settings.keys, valueBytes: settings.valueBytes })
  for (let sent = 0; sent < settings.replayRecords; sent += SEND_RECORDS) {
    const messages = next.keys(SEND_RECORDS).map((text) => {
      const key = Buffer.from(text)
      return { key, value: next.value(), partition: partitionOf(key, PARTITIONS, { kind: 'key' }) }
    })
    await producer.send({ topic, messages, acks: -1 })
  }
  await producer.disconnect()
}
