/**
 * A real Apache Kafka for tests and development: one broker, or three that form a cluster. Every process dies with the
 * one that started it, and data in a folder of its own making is removed.
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { broker, prepareBroker } from './broker.ts'
import type { BrokerPlan, KafkaBroker } from './broker.ts'
import { ensureClassArchive } from './class-archive.ts'
import { kafkaJars } from './jars.ts'
import { must } from '../../streams/core/assert.ts'
import { freePorts, isFree } from './ports.ts'
import { brokerSettings } from './properties.ts'
import type { BrokerAddress, Settings } from './properties.ts'
import { guard, unguard } from './watchdog.ts'

export interface KafkaOptions {
  readonly brokers?: 1 | 3
  /** Where the data stays after stop(), and is found again by a later start. Default: a temporary folder, removed at the end. */
  readonly dataDir?: string
  /** The port of the first broker's clients; the others have the next ones. Default: free ones. */
  readonly port?: number
  /** More for the environment of the brokers, for instance KAFKA_LOG_LEVEL. */
  readonly env?: Readonly<Record<string, string>>
  /** Broker settings beside those of properties.ts, the same for all or of each. */
  readonly settings?: Settings | ((broker: BrokerAddress) => Settings)
  /** For hours and for load: more heap and the full compiler, in place of a quick start. */
  readonly longRun?: boolean
}

export interface KafkaCluster {
  /** `127.0.0.1:port` of each broker. */
  readonly bootstrap: string[]
  readonly brokers: readonly KafkaBroker[]
  readonly dataDir: string
  /** Ends every broker. */
  stop(): Promise<void>
}

const QUICK = ['-Xms64m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData']
const LONG = ['-Xms256m', '-Xmx1g', '-XX:+UseG1GC']
/** Another process may take a port between the look and the start. */
const TRIES_MAX = 3

export async function startKafka(options: KafkaOptions = {}): Promise<KafkaCluster> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options)
    } catch (error) {
      const taken = error instanceof Error && error.message.includes('Address already in use')
      if (!taken || options.port !== undefined || attempt === TRIES_MAX) throw error
    }
  }
}

async function startOnce(options: KafkaOptions): Promise<KafkaCluster> {
  const jars = await kafkaJars()
  await ensureClassArchive(jars)
  const count = options.brokers ?? 1
  const temporary = options.dataDir === undefined
  const dataDir = temporary ? await mkdtemp(join(tmpdir(), 'tidemark-kafka-')) : resolve(options.dataDir)
  if (temporary) guard('dir', dataDir)
  await mkdir(dataDir, { recursive: true })
  refuseOtherCount(dataDir, count)

  const { settings = {} } = options
  const changesOf = typeof settings === 'function' ? settings : (): Settings => settings
  const addresses = await chooseAddresses(count, options.port)
  const plans = addresses.map((address): BrokerPlan => {
    const folder = join(dataDir, `broker-${address.id}`)
    return {
      ...address,
      folder,
      settings: brokerSettings(address, addresses, join(folder, 'log'), changesOf(address)),
      jars,
      jvm: options.longRun === true ? LONG : QUICK,
      env: options.env ?? {},
    }
  })
  const brokers = plans.map(broker)

  const stop = async (): Promise<void> => {
    // Data that nobody will read needs no clean stop, and the last brokers of a quorum could not have one.
    await Promise.all(brokers.map((one) => one.stop(temporary ? 'SIGKILL' : 'SIGTERM')))
    if (!temporary) return
    await rm(dataDir, { recursive: true, force: true })
    unguard('dir', dataDir)
  }
  try {
    const clusterId = await readClusterId(dataDir)
    await Promise.all(plans.map((plan) => prepareBroker(plan, clusterId)))
    // Together: none is up before the quorum is.
    await Promise.all(brokers.map((one) => one.start()))
  } catch (error) {
    await Promise.all(brokers.map((one) => one.stop('SIGKILL')))
    await stop()
    throw error
  }
  return { bootstrap: brokers.map((one) => `127.0.0.1:${one.port}`), brokers, dataDir, stop }
}

async function chooseAddresses(count: number, port: number | undefined): Promise<BrokerAddress[]> {
  const free = await freePorts(2 * count)
  const addresses = Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    port: port === undefined ? must(free[index], 'a port') : port + index,
    controllerPort: must(free[count + index], 'a port'),
  }))
  for (const address of addresses) {
    if (await isFree(address.port)) continue
    throw new Error(`port ${address.port} of 127.0.0.1 is taken: stop its owner, or choose another --port`)
  }
  return addresses
}

function refuseOtherCount(dataDir: string, count: number): void {
  const there = [1, 2, 3].filter((id) => existsSync(join(dataDir, `broker-${id}`))).length
  if (there === 0 || there === count) return
  throw new Error(
    `${dataDir} holds a Kafka of ${there} broker(s), not of ${count}: use --brokers ${there} or another folder`,
  )
}

/** The id that the folder was formatted with, else a new one. */
async function readClusterId(dataDir: string): Promise<string> {
  const text = await readFile(join(dataDir, 'broker-1', 'log', 'meta.properties'), 'utf8').catch(() => '')
  return /^cluster\.id=(.+)$/m.exec(text)?.[1] ?? newClusterId()
}

/** Kafka's Uuid as text; one that starts with a dash would look like an option. */
function newClusterId(): string {
  const id = randomBytes(16).toString('base64url')
  return id.startsWith('-') ? newClusterId() : id
}
