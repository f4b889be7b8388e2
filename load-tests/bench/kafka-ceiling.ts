/** What kafkajs gives without anything around it: records as large as packs, each send awaited, one partition after the other. */
import { randomBytes } from 'node:crypto'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import { measure } from '../../services/cli/measure.ts'
import type { Figures } from './figures.ts'
import type { Settings } from './settings.ts'

const PACK_BYTES = 128 * 1024
/** Packs in one send, to as many partitions. */
const PACKS = 8

export const kafkaClient = (brokers: readonly string[]): Kafka =>
  new Kafka({ clientId: 'tidemark-bench', brokers: [...brokers], logLevel: logLevel.ERROR })

export async function kafkaCeiling(
  figures: Figures,
  brokers: readonly string[],
  settings: Settings,
): Promise<void> {
  const packs = await openPacks(brokers, settings.valueBytes)
  try {
    await measure({ name: 'warm-up', ms: settings.ms / 3, loops: 1 }, packs.send)
    const plan = { name: 'packs', ms: settings.ms, loops: 1, weight: packs.mutations }
    figures.rate('kafkajs packs, as mutations', await measure(plan, packs.send))
  } finally {
    await packs.close()
  }
}

export interface Packs {
  /** That one send has room for. */
  readonly mutations: number
  send(): Promise<unknown>
  close(): Promise<void>
}

export async function openPacks(brokers: readonly string[], valueBytes: number): Promise<Packs> {
  const kafka = kafkaClient(brokers)
  const topic = `bench-ceiling-${randomBytes(4).toString('hex')}`
  const admin = kafka.admin()
  const producer = kafka.producer({
    idempotent: true,
    maxInFlightRequests: 1,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: PACKS }] })
  await producer.connect()
  const value = randomBytes(PACK_BYTES)
  const messages = Array.from({ length: PACKS }, (_, partition) => ({ partition, value }))
  return {
    mutations: (PACKS * PACK_BYTES) / (20 + valueBytes + 20),
    send: () => producer.send({ topic, messages, acks: -1 }),
    async close() {
      await producer.disconnect()
      await admin.deleteTopics({ topics: [topic] })
      await admin.disconnect()
    },
  }
}
