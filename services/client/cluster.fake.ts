/** Several fake nodes in one process, which share the rows as real ones share the log, and tell a map of themselves. */
import type { ClusterMap, MapPlacement } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import { FakeKeyspace } from './keyspace.fake.ts'
import { describe, FakeServer } from './server.fake.ts'

export const ZONES = ['west', 'east', 'north']

export class FakeCluster {
  readonly keyspaces = new Map<string, FakeKeyspace>()
  readonly servers: FakeServer[] = []
  /** Of `default`, by partition: indices of nodes, the leader first. */
  placements: number[][] = []
  #generation = 0

  /** @param replication - replicas of each partition */
  static async start(nodes: number, partitions: number, replication: number): Promise<FakeCluster> {
    const cluster = new FakeCluster()
    cluster.keyspaces.set('default', new FakeKeyspace('default', partitions))
    for (let node = 0; node < nodes; node += 1) {
      cluster.servers.push(await FakeServer.start(partitions, `node-${node}`, cluster.keyspaces, true))
    }
    cluster.placements = Array.from({ length: partitions }, (_, partition) =>
      Array.from({ length: replication }, (_none, replica) => (partition + replica) % nodes),
    )
    cluster.publish()
    return cluster
  }

  get rows(): FakeKeyspace {
    return this.node(0).rows
  }

  node(index: number): FakeServer {
    const server = this.servers[index]
    if (server === undefined) throw new Error(`there is no node ${index}`)
    return server
  }

  get addresses(): string[] {
    return this.servers.map(({ address }) => address)
  }

  /** A map of these nodes; placements name others as well, as a map does whose nodes have just died. */
  map(living: readonly number[] = this.servers.map((_, index) => index)): ClusterMap {
    this.#generation += 1
    const id = (index: number): string => `node-${index}`
    return {
      generation: this.#generation,
      nodes: living.map((index) => ({
        nodeId: id(index),
        incarnation: 'one',
        address: this.node(index).address,
        zone: ZONES[index % ZONES.length] ?? '',
        draining: false,
      })),
      keyspaces: [
        {
          keyspace: describe(this.rows),
          placements: this.placements.map((replicas): MapPlacement => {
            const serving = replicas.filter((index) => living.includes(index))
            return {
              leader: serving[0] === undefined ? '' : id(serving[0]),
              replicas: serving.map(id),
              warming: [],
            }
          }),
        },
      ],
    }
  }

  /** The nodes serve what the map says, and tell it. */
  publish(map = this.map()): void {
    this.obey()
    for (const server of this.servers) server.publish(map)
  }

  /** The nodes serve what the placements say, whatever map is known. */
  obey(): void {
    for (const [index, server] of this.servers.entries()) {
      server.serves = (partition) => this.placements[partition]?.includes(index) ?? false
    }
  }

  /** The index of the node that leads the partition of a key. */
  leaderOf(key: string): number {
    return this.placements[this.rows.partitionOf(Buffer.from(key))]?.[0] ?? -1
  }

  /** Operations that came to nodes without the replica. */
  get routed(): number {
    return this.servers.reduce((sum, { routed }) => sum + routed, 0)
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()))
  }
}
