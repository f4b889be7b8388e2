/** The peers whose truth is a log: Tidemark on both of its logs, and a global table of Kafka Streams behind grpc-java. */
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { type KafkaCluster, startKafka } from '../../infra/kafka/start.ts'
import { must } from '../../streams/core/assert.ts'
import { kafkaClient } from '../bench/kafka-ceiling.ts'
import { startNode } from '../bench/node-process.ts'
import { type Life, type RunningPeer, peerIn, startProgram, twoPorts } from './life.ts'
import type { Peer } from './peers.ts'
import { streamsFront } from './tools.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(new URL('../../services/cli/main.js', import.meta.url))

/** Of both kinds. */
const PARTITIONS = 16
const TOPIC = 'rows'

type Settings = Readonly<Record<string, string>>

export const tidemarkEmbedded: Peer['start'] = ({ folder }) =>
  tidemark(folder, join('data', 'replicas'), { TIDEMARK_DATA_DIR: join(folder, 'data') })

export const tidemarkOnKafka =
  (settings: Settings): Peer['start'] =>
  ({ folder }) =>
    onKafka(folder, settings, (kafka, beside) =>
      tidemark(
        folder,
        'data',
        {
          TIDEMARK_LOG: 'kafka',
          TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
          TIDEMARK_DATA_DIR: join(folder, 'data'),
          TIDEMARK_REPLICATION: '1',
          TIDEMARK_DEV: '1',
        },
        beside,
      ),
    )

/** @param derived - what the log makes again: a restart from nothing is without it */
function tidemark(
  folder: string,
  derived: string,
  settings: Settings,
  beside: Beside = {},
): Promise<RunningPeer> {
  const own = { ...settings, TIDEMARK_PARTITIONS: String(PARTITIONS) }
  const snapshots = { TIDEMARK_SNAPSHOT_URL: pathToFileURL(join(folder, 'snapshots')).href }
  let environment: Settings = own
  const start = async (): Promise<Life> => {
    const { server: address, pid, stop } = await startNode(environment)
    return { address, pid, stop }
  }
  const empty = (): Promise<void> => rm(join(folder, derived), { recursive: true })
  return peerIn({
    start,
    ...beside,
    prepare: {
      async emptied() {
        environment = own
        await empty()
      },
      async 'from a snapshot'() {
        environment = { ...own, ...snapshots }
        // The snapshot is made by the node as it was, with all rows.
        const node = await start()
        await run(process.execPath, [COMMAND, '--server', node.address, 'snapshot', 'create'], {
          env: { ...process.env, ...snapshots },
        })
        await node.stop()
        await empty()
      },
    },
  })
}

export const kafkaStreams =
  (settings: Settings): Peer['start'] =>
  async ({ folder }) => {
    const { java, classPath } = await streamsFront()
    return onKafka(folder, settings, async (kafka, beside) => {
      const admin = kafkaClient(kafka.bootstrap).admin()
      await admin.connect()
      await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] })
      await admin.disconnect()
      const [port] = await twoPorts()
      const state = join(folder, 'state')
      const jvm = ['-Xmx1g', '-XX:+UseParallelGC', '-cp', classPath]
      const own = [kafka.bootstrap.join(','), TOPIC, state, String(port)]
      return peerIn({
        start: () => startProgram(java, [...jvm, 'Front', ...own], port),
        ...beside,
        prepare: { emptied: () => rm(state, { recursive: true }) },
      })
    })
  }

interface Beside {
  readonly beside?: readonly number[]
  readonly close?: () => Promise<void>
}

async function onKafka(
  folder: string,
  settings: Settings,
  start: (kafka: KafkaCluster, beside: Beside) => Promise<RunningPeer>,
): Promise<RunningPeer> {
  const kafka = await startKafka({ dataDir: join(folder, 'kafka'), longRun: true, settings })
  try {
    const beside = kafka.brokers.map(({ pid }) => must(pid, 'a broker runs'))
    return await start(kafka, { beside, close: kafka.stop })
  } catch (caught) {
    await kafka.stop()
    throw caught
  }
}
