/**
 * The servers that are compared, each as its makers ship it and with the settings of its class of durability:
 *
 * - `fsync`: what is acknowledged is on the disk.
 * - `page cache`: it is in the memory of the operating system: it outlives the process, not the machine.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../infra/kafka/ports.ts'
import { startKafka } from '../../infra/kafka/start.ts'
import { guarded } from '../../infra/kafka/watchdog.ts'
import { must } from '../../streams/core/assert.ts'
import { startNode } from '../bench/node-process.ts'
import { type Programs, redisServer } from './tools.ts'

export type Durability = 'fsync' | 'page cache'
export type ServerKind = 'tidemark' | 'etcd' | 'redis'

export interface Peer {
  readonly name: string
  readonly kind: ServerKind
  readonly durability: Durability
  /** @throws Missing where this machine cannot run it */
  start(place: Place): Promise<RunningPeer>
}

interface Place {
  /** An empty folder. */
  readonly folder: string
  readonly programs: Programs
}

export interface RunningPeer {
  readonly addresses: readonly string[]
  /** Of all processes that serve, a broker included. */
  readonly pids: readonly number[]
  stop(): Promise<void>
}

const READY_MS_MAX = 60_000

export const PEERS: readonly Peer[] = [
  { name: 'tidemark embedded', kind: 'tidemark', durability: 'fsync', start: tidemarkEmbedded },
  {
    name: 'tidemark kafka',
    kind: 'tidemark',
    durability: 'fsync',
    start: tidemarkOnKafka({ 'log.flush.interval.messages': '1' }),
  },
  { name: 'etcd', kind: 'etcd', durability: 'fsync', start: etcd([]) },
  { name: 'redis', kind: 'redis', durability: 'fsync', start: redis('always') },
  { name: 'tidemark kafka', kind: 'tidemark', durability: 'page cache', start: tidemarkOnKafka({}) },
  { name: 'etcd', kind: 'etcd', durability: 'page cache', start: etcd(['--unsafe-no-fsync']) },
  { name: 'redis', kind: 'redis', durability: 'page cache', start: redis('everysec') },
]

async function tidemarkEmbedded({ folder }: Place): Promise<RunningPeer> {
  const node = await startNode({ TIDEMARK_DATA_DIR: join(folder, 'data') })
  return { addresses: [node.server], pids: [node.pid], stop: () => node.stop() }
}

function tidemarkOnKafka(settings: Readonly<Record<string, string>>): Peer['start'] {
  return async ({ folder }) => {
    const kafka = await startKafka({ dataDir: join(folder, 'kafka'), longRun: true, settings })
    try {
      const node = await startNode({
        TIDEMARK_LOG: 'kafka',
        TIDEMARK_KAFKA_BROKERS: kafka.bootstrap.join(','),
        TIDEMARK_DATA_DIR: join(folder, 'data'),
        TIDEMARK_REPLICATION: '1',
        TIDEMARK_DEV: '1',
      })
      return {
        addresses: [node.server],
        pids: [node.pid, ...kafka.brokers.map(({ pid }) => must(pid, 'a broker runs'))],
        stop: async () => {
          await node.stop()
          await kafka.stop()
        },
      }
    } catch (caught) {
      await kafka.stop()
      throw caught
    }
  }
}

function etcd(more: readonly string[]): Peer['start'] {
  return async ({ folder, programs }) => {
    const [client, peer] = await twoPorts()
    const own = `http://127.0.0.1:${peer}`
    const program = spawnServer(programs.etcd, [
      `--data-dir=${join(folder, 'etcd')}`,
      `--listen-client-urls=http://127.0.0.1:${client}`,
      `--advertise-client-urls=http://127.0.0.1:${client}`,
      `--listen-peer-urls=${own}`,
      `--initial-advertise-peer-urls=${own}`,
      `--initial-cluster=default=${own}`,
      // So that a frame of any size that is measured is one transaction.
      '--max-txn-ops=1024',
      '--quota-backend-bytes=8589934592',
      '--log-level=error',
      ...more,
    ])
    return running(program, client)
  }
}

function redis(appendfsync: 'always' | 'everysec'): Peer['start'] {
  return async ({ folder }) => {
    const [port] = await twoPorts()
    const program = spawnServer(await redisServer(), [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', appendfsync, '--loglevel', 'warning'],
    ])
    return running(program, port)
  }
}

async function twoPorts(): Promise<[number, number]> {
  const [first, second] = await freePorts(2)
  return [must(first, 'a port'), must(second, 'a port')]
}

interface Program {
  readonly child: ChildProcess
  readonly said: () => string
}

function spawnServer(path: string, args: readonly string[]): Program {
  const child = guarded(spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4096)))
  }
  return { child, said: () => said }
}

async function running({ child, said }: Program, port: number): Promise<RunningPeer> {
  const began = performance.now()
  while (!(await answers(port))) {
    if (child.exitCode !== null || performance.now() - began > READY_MS_MAX) {
      child.kill('SIGKILL')
      throw new Error(`${child.spawnfile} did not start:\n${said()}`)
    }
    await sleep(50)
  }
  const pid = must(child.pid, 'a server runs')
  return {
    addresses: [`127.0.0.1:${port}`],
    pids: [pid],
    async stop() {
      const ended = once(child, 'exit')
      if (child.exitCode === null && child.kill('SIGTERM')) await ended
    },
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const end = (good: boolean) => (): void => {
      socket.destroy()
      resolve(good)
    }
    socket.once('connect', end(true)).once('error', end(false))
  })
