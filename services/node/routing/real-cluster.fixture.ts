/** Real nodes in one process: one memory log, a simulated membership, gRPC, routers. A test may kill a node. */
import { must } from '../../../streams/core/assert.ts'
import { Prng } from '../../../streams/core/testing/prng.ts'
import { type LogTime, partition } from '../../../streams/core/types.ts'
import type { Log } from '../../../streams/log/log.ts'
import { openMemoryLog } from '../../../streams/log/memory.ts'
import { type SimulatedCluster, simulatedCluster } from '../../../streams/membership/simulated.ts'
import { openNode } from '../../../streams/node.ts'
import { quiet } from '../../../streams/node.fixture.ts'
import { openMemoryStore } from '../../../streams/store/memory.ts'
import type { Store } from '../../../streams/store/store.ts'
import { systemClock, systemRandom } from '../../../streams/system.ts'
import { connect } from '../../client/connect.ts'
import type { Tidemark } from '../../client/index.ts'
import { askPeerOf } from '../ask-peer.ts'
import { addressText } from '../address.ts'
import { type GrpcServer, serveGrpc } from '../server.ts'
import { type Door, openDoor } from './door.fake.ts'
import { RoutedNode } from './routed-node.ts'
import { newMeters } from '../../../streams/meters.ts'

export interface RealMember {
  readonly nodeId: string
  readonly node: RoutedNode
  readonly store: Store
  /** Why replicas of it stopped. */
  readonly stops: readonly string[]
  readonly server: GrpcServer
  readonly draining: AbortController
  /** Where the others, and its client, reach it. */
  readonly door: Door
  /** Of this node alone, whatever the map says. */
  readonly db: Tidemark
}

export interface RealCluster {
  readonly members: readonly RealMember[]
  readonly membership: SimulatedCluster
  readonly bugs: unknown[]
  at(index: number): RealMember
  /** One node more; resolves when replicas have moved to it, and the map has come to rest. */
  grow(): Promise<void>
  /** Resolves when the newest map says so. */
  until(holds: () => boolean): Promise<void>
  /** As when its machine dies, and the others take note at once. */
  kill(index: number): void
  close(): Promise<void>
}

export interface Shape {
  readonly nodes: number
  readonly partitions: number
  readonly replication: number
}

export async function realCluster({ nodes, partitions, replication }: Shape): Promise<RealCluster> {
  const log = openMemoryLog({ clock: () => Date.now() as LogTime })
  // The log outlives its nodes, as Kafka does.
  const shared: Log = Object.assign(Object.create(log) as Log, { close: () => Promise.resolve() })
  const membership = simulatedCluster(new Prng(5), systemClock)
  const bugs: unknown[] = []
  const members: RealMember[] = []
  const add = async (): Promise<void> => {
    const nodeId = `n${members.length}`
    const store = openMemoryStore()
    const stops: string[] = []
    const local = await openNode({
      cluster: 'test',
      nodeId,
      zone: '',
      log: shared,
      logKind: 'memory',
      store,
      membership: membership.member(),
      clock: systemClock,
      random: systemRandom,
      telemetry: { ...quiet, stopped: (_keyspace, _partition, { reason }) => stops.push(reason) },
      partitions,
      replication,
      dev: true,
      askPeer: askPeerOf('test'),
    })
    const node = new RoutedNode(local)
    const draining = new AbortController()
    const serving = {
      node,
      local,
      draining: draining.signal,
      meters: new Map(),
      totals: newMeters(),
      bug: (bug: unknown) => void bugs.push(bug),
      drain: () => undefined,
    }
    const server = await serveGrpc(serving, { host: '127.0.0.1', port: 0 }, 0)
    const door = await openDoor(addressText(server.address))
    local.join(door.address)
    members.push({
      nodeId,
      node,
      store,
      stops,
      server,
      draining,
      door,
      db: connect({ server: door.address }),
    })
  }
  const cluster: RealCluster = {
    members,
    membership,
    bugs,
    at: (index) => must(members[index], `node ${index}`),
    async grow() {
      await add()
      await cluster.until(placed)
    },
    async until(holds) {
      while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
    },
    kill(index) {
      const { nodeId, door } = cluster.at(index)
      membership.cut(nodeId)
      door.slam()
      membership.evict(nodeId)
    },
    async close() {
      for (const { db } of members) await db.close()
      for (const { node, server, draining, door } of members) {
        draining.abort()
        await node.close(Date.now() + 100)
        await server.stop(Date.now())
        door.slam()
      }
      await log.close()
    },
  }
  const placed = (): boolean => {
    const { nodes: joined, topics } = membership.map
    const placements = topics.find((each) => each.topic === 'test.default')?.placements ?? []
    const wanted = Math.min(replication, members.length)
    return (
      joined.length === members.length &&
      placements.length > 0 &&
      placements.every(
        ({ leader, replicas, warming }) =>
          leader !== undefined && replicas.length === wanted && warming.length === 0,
      ) &&
      members.every(({ nodeId }) => placements.some(({ replicas }) => replicas.includes(nodeId)))
    )
  }
  for (let at = 0; at < nodes; at += 1) await add()
  await cluster.until(placed)
  await cluster.until(() => members.every(({ node }) => node.ready))
  return cluster
}

/** Keys, so many for each partition. */
export function keysIn(cluster: RealCluster, each: number): string[] {
  const rows = cluster.at(0).node.keyspace('default')
  const found = Array.from({ length: rows.info.partitions }, (): string[] => [])
  for (let at = 0; found.some((keys) => keys.length < each); at += 1) {
    const key = `key-${at}`
    const keys = must(found[rows.partitionOf(Buffer.from(key))], 'a partition')
    if (keys.length < each) keys.push(key)
  }
  return found.flat()
}

export const p = partition
