/**
 * A whole cluster on this machine: a real Kafka of one or three brokers and any number of Tidemark nodes, each a process of its own
 * on loopback. Everything ends with the process that started it; data in a folder of its own making is removed.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KafkaBroker } from '../../infra/kafka/broker.ts'
import { freePorts, isFree } from '../../infra/kafka/ports.ts'
import { type KafkaOptions, startKafka } from '../../infra/kafka/start.ts'
import { guard, unguard } from '../../infra/kafka/watchdog.ts'
import { connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import { type NodeProcess, nodeProcess } from './node-process.ts'

export interface ClusterOptions {
  /** Default: 3. */
  readonly nodes?: number
  /** Default: 3; with one, the topics have one copy and the nodes run with TIDEMARK_DEV=1. */
  readonly brokers?: 1 | 3
  /** Of the default keyspace, and of keyspaces that do not say otherwise. Default: 12. */
  readonly partitions?: number
  /** gRPC of the first node; the others have the next ones. Default: free ones. */
  readonly basePort?: number
  /** HTTP of the first node, likewise. Default: free ones. */
  readonly baseHttpPort?: number
  /** Where the data stays, and is found again by a later start. Default: a temporary folder, removed at the end. */
  readonly directory?: string | undefined
  /** For hours and for load: see infra/kafka/start.ts. */
  readonly longRun?: boolean
  /** More for the environment of the nodes, the same for all or of each. */
  readonly settings?: NodeSettings | ((node: NodePlace) => NodeSettings | Promise<NodeSettings>)
  /** More for the brokers: see infra/kafka/start.ts. */
  readonly brokerSettings?: KafkaOptions['settings']
  /** Hears what is being done. */
  readonly say?: (sentence: string) => void
}

type NodeSettings = Readonly<Record<string, string>>

export interface NodePlace {
  readonly id: string
  /** From 0, in the order of their start. */
  readonly index: number
  /** Where it listens for gRPC. */
  readonly port: number
  /** Its data and its output lie here. */
  readonly folder: string
}

export interface Cluster {
  /** In the order of their start; those that are down as well. */
  readonly nodes: readonly NodeProcess[]
  readonly brokers: readonly KafkaBroker[]
  /** `host:port` of each broker. */
  readonly bootstrap: readonly string[]
  readonly directory: string
  /** One more node, with data and ports of its own; resolves when it is ready. @param id - that of another node: takes its place */
  addNode(id?: string): Promise<NodeProcess>
  /** Resolves when the map has every node that runs, and each partition its leader and all replicas that it shall have. */
  settled(): Promise<void>
  /** Ends every process; removes the data where the folder is of its own making. */
  close(): Promise<void>
}

/** Nodes are spread over so many failure domains. */
const ZONES = ['a', 'b', 'c']

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { nodes: count = 3, brokers: brokerCount = 3, say = () => undefined } = options
  const temporary = options.directory === undefined
  const directory = temporary
    ? await mkdtemp(join(tmpdir(), 'tidemark-cluster-'))
    : resolve(options.directory)
  if (temporary) guard('dir', directory)
  await mkdir(directory, { recursive: true })

  const nodes: NodeProcess[] = []
  const closing: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    // Data that nobody will read needs no clean stop.
    await Promise.all(nodes.map((node) => (temporary ? node.kill('SIGKILL') : node.stop())))
    for (const step of closing.reverse()) await step()
    if (!temporary) return
    await rm(directory, { recursive: true, force: true })
    unguard('dir', directory)
  }

  try {
    say(`starting Kafka with ${brokerCount} broker${brokerCount === 1 ? '' : 's'}`)
    const kafka = await startKafka({
      brokers: brokerCount,
      dataDir: join(directory, 'kafka'),
      longRun: options.longRun ?? false,
      ...(options.brokerSettings === undefined ? {} : { settings: options.brokerSettings }),
    })
    closing.push(() => (temporary ? killAll(kafka.brokers) : kafka.stop()))
    const shared = {
      TIDEMARK_LOG: 'kafka',
      TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
      TIDEMARK_PARTITIONS: String(options.partitions ?? 12),
      ...(brokerCount === 1 ? { TIDEMARK_DEV: '1' } : {}),
    }
    const taken = new Set<number>()
    const plan = async (index: number, id = `node-${index + 1}`): Promise<NodeProcess> => {
      const [port, httpPort] = await portsOf(options, index, taken)
      const folder = join(directory, `node-${index + 1}`)
      const own = options.settings
      return nodeProcess({
        id,
        folder,
        port,
        httpPort,
        settings: {
          ...shared,
          TIDEMARK_ZONE: `zone-${must(ZONES[index % ZONES.length], 'a zone')}`,
          ...(typeof own === 'function' ? await own({ id, index, port, folder }) : own),
        },
      })
    }
    for (let index = 0; index < count; index += 1) nodes.push(await plan(index))
    say(`starting ${count} node${count === 1 ? '' : 's'}`)
    await Promise.all(nodes.map((node) => node.start()))
    say('waiting until every partition has its leader and its replicas')
    await settled(nodes)
    return {
      nodes,
      brokers: kafka.brokers,
      bootstrap: kafka.bootstrap,
      directory,
      async addNode(id) {
        const node = await plan(nodes.length, id)
        nodes.push(node)
        await node.start()
        return node
      },
      settled: () => settled(nodes),
      close,
    }
  } catch (caught) {
    await close()
    throw caught
  }
}

/** Milliseconds until the map must have come to rest. */
const SETTLED_MS_MAX = 60_000
const LOOK_MS = 50

async function settled(nodes: readonly NodeProcess[]): Promise<void> {
  const running = nodes.filter(({ pid }) => pid !== undefined)
  const db = connect({ server: must(running[0], 'a running node').address })
  const began = performance.now()
  try {
    for (;;) {
      const map = await db.map()
      const placements = map.keyspaces.flatMap((keyspace) => keyspace.placements)
      const rests =
        map.nodes.length === running.length &&
        placements.length > 0 &&
        placements.every(({ leader, warming }) => leader !== '' && warming.length === 0)
      if (rests) return
      if (performance.now() - began > SETTLED_MS_MAX)
        throw new Error(`the map has not come to rest: ${JSON.stringify(map)}`)
      await sleep(LOOK_MS)
    }
  } finally {
    await db.close()
  }
}

const killAll = (brokers: readonly KafkaBroker[]): Promise<unknown> =>
  Promise.all(brokers.map((broker) => broker.stop('SIGKILL')))

/** Ports that stay the node's own, also while it is down. */
async function portsOf(
  options: ClusterOptions,
  index: number,
  taken: Set<number>,
): Promise<readonly [number, number]> {
  const fresh = (await freePorts(2 * taken.size + 2)).filter((port) => !taken.has(port))
  const fixed = (base: number | undefined): number =>
    base === undefined ? must(fresh.pop(), 'a free port') : base + index
  const ports = [fixed(options.basePort), fixed(options.baseHttpPort)] as const
  for (const port of ports) {
    if (!(await isFree(port)))
      throw new Error(`port ${port} of 127.0.0.1 is taken: stop its owner, or choose another --base-port`)
    taken.add(port)
  }
  return ports
}
