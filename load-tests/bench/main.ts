/** `npm run bench`: the figures that README promises, with the ceilings of the same run. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { acquireKafka } from '../../infra/kafka/acquire.ts'
import { NoJava } from '../../infra/kafka/jars.ts'
import { startKafka } from '../../infra/kafka/start.ts'
import { echoCeiling } from './echo.ts'
import { Figures, figuresTable, machineText } from './figures.ts'
import { kafkaCeiling } from './kafka-ceiling.ts'
import { describeMachine } from './machine.ts'
import { nodeFigures } from './node-figures.ts'
import { startNode } from './node-process.ts'
import { replayEmbedded, replayFromKafka } from './replay.ts'
import { AIM, FULL, QUICK, type Settings } from './settings.ts'
import { storeCeilings } from './store-ceilings.ts'

const HELP = `The figures of Tidemark on this machine, beside what RocksDB, the disk, kafkajs and an empty gRPC call do in the same run.

  npm run bench -- [options]

  --quick           a look in about a minute; its figures are not to be quoted
  --log WHICH       embedded or kafka only (default: both; Kafka as infra/kafka finds one)
  --json FILE       also write the figures and the machine as JSON
  --help            this text

Nodes run as processes of their own; the client is this process. Keep the machine quiet: a full run takes some minutes.
`

interface Arguments {
  readonly settings: Settings
  readonly logs: readonly string[]
  readonly json: string | undefined
}

function readArguments(): Arguments | 'help' {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      log: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const { log } = values
  if (log !== undefined && log !== 'embedded' && log !== 'kafka')
    throw new Error(`--log is embedded or kafka, not ${log}`)
  return {
    settings: values.quick ? QUICK : FULL,
    logs: log === undefined ? ['embedded', 'kafka'] : [log],
    json: values.json,
  }
}

/** A folder for each node, gone afterwards. */
async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-bench-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const onEmbedded = (figures: Figures, settings: Settings): Promise<void> =>
  inFolder(async (folder) => {
    const environment = { TIDEMARK_DATA_DIR: join(folder, 'data') }
    const node = await startNode(environment)
    try {
      await nodeFigures(figures, 'embedded', node, settings, { puts: AIM.putsEmbedded })
    } finally {
      await node.stop()
    }
    await replayEmbedded(figures, { TIDEMARK_DATA_DIR: join(folder, 'replay') }, settings)
  })

const onKafka = (figures: Figures, settings: Settings, brokers: readonly string[]): Promise<void> =>
  inFolder(async (folder) => {
    await kafkaCeiling(figures, brokers, settings)
    const environment = (cluster: string): Record<string, string> => ({
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: brokers.join(','),
      TIDEMARK_CLUSTER: `${cluster}-${process.pid}`,
      TIDEMARK_DATA_DIR: join(folder, cluster),
      TIDEMARK_REPLICATION: '1',
      TIDEMARK_DEV: '1',
    })
    const node = await startNode(environment('bench'))
    try {
      await nodeFigures(figures, 'kafka', node, settings, { puts: AIM.putsKafka, putMs: AIM.putMsKafka })
    } finally {
      await node.stop()
    }
    await replayFromKafka(figures, brokers, environment('replay'), settings)
  })

async function withKafka(work: (brokers: readonly string[]) => Promise<void>): Promise<void> {
  const kafka = await kafkaForLoad()
  if (typeof kafka === 'string') {
    process.stderr.write(`no figures on Kafka: ${kafka}\n`)
    return
  }
  try {
    await work(kafka.bootstrap)
  } finally {
    await kafka.release()
  }
}

/** As acquireKafka, but with a broker that is compiled for long runs where one is started here. */
async function kafkaForLoad() {
  if ((process.env['TIDEMARK_KAFKA_BROKERS'] ?? '') !== '') return acquireKafka()
  try {
    const cluster = await startKafka({ longRun: true })
    return { bootstrap: cluster.bootstrap, release: cluster.stop }
  } catch (error) {
    if (!(error instanceof NoJava)) throw error
    return acquireKafka()
  }
}

const options = readArguments()
if (options === 'help') {
  process.stdout.write(HELP)
} else {
  const { settings, logs, json } = options
  const machine = describeMachine()
  process.stderr.write(`${machineText(machine)}\n`)
  const figures = new Figures(({ name, value, unit }) => {
    process.stderr.write(`  ${name}: ${value.toFixed(value < 100 ? 2 : 0)} ${unit}\n`)
  })
  await storeCeilings(figures, settings)
  await echoCeiling(figures, settings)
  if (logs.includes('embedded')) await onEmbedded(figures, settings)
  if (logs.includes('kafka')) await withKafka((brokers) => onKafka(figures, settings, brokers))
  const { keys, valueBytes, ms } = settings
  const about = `${keys} keys of 20 bytes, values of ${valueBytes} bytes, ${ms / 1000} s for each timed figure`
  process.stdout.write(`\n${machineText(machine)}\n${about}\n\n${figuresTable(figures.all())}`)
  if (json !== undefined)
    await writeFile(json, JSON.stringify({ machine, settings, figures: figures.all() }, undefined, 2))
}
