/**
 * The servers that are compared, each as its makers ship it and with the settings of its class of durability:
 *
 * - `fsync`: what is acknowledged is on the disk.
 * - `page cache`: it is in the memory of the operating system: it outlives the process, not the machine.
 */
import { join } from 'node:path'
import { kafkaStreams, tidemarkEmbedded, tidemarkOnKafka } from './kafka-peers.ts'
import { type RunningPeer, peerIn, startProgram, twoPorts } from './life.ts'
import { type Programs, redisServer } from './tools.ts'

export type Durability = 'fsync' | 'page cache'
export type ServerKind = 'tidemark' | 'etcd' | 'redis' | 'streams'

export interface Peer {
  readonly name: string
  readonly kind: ServerKind
  readonly durability: Durability
  /** @throws Missing where this machine cannot run it */
  start(place: PeerPlace): Promise<RunningPeer>
}

export interface PeerPlace {
  /** An empty folder. */
  readonly folder: string
  readonly programs: Programs
}

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
  { name: 'kafka streams', kind: 'streams', durability: 'page cache', start: kafkaStreams({}) },
]

function etcd(more: readonly string[]): Peer['start'] {
  return async ({ folder, programs }) => {
    const [client, peer] = await twoPorts()
    const own = `http://127.0.0.1:${peer}`
    const args = [
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
    ]
    return peerIn({ start: () => startProgram(programs.etcd, args, client) })
  }
}

function redis(appendfsync: 'always' | 'everysec'): Peer['start'] {
  return async ({ folder }) => {
    const [port] = await twoPorts()
    const path = await redisServer()
    const args = [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', appendfsync, '--loglevel', 'warning'],
    ]
    return peerIn({ start: () => startProgram(path, args, port) })
  }
}
