/** Some FakeNodes behind routers, each served over real gRPC, that share one truth. A test says who has which partition. */
import type { ClusterMap } from '../../../streams/core/cluster-map.ts'
import { must } from '../../../streams/core/assert.ts'
import { type Partition, partition } from '../../../streams/core/types.ts'
import type { Freshness, Keyspace } from '../../../streams/face.ts'
import { DEFAULT_SETTINGS } from '../../../streams/keyspace-settings.ts'
import { FakeNode } from '../face.fake.ts'
import { type Served, serveFake } from '../served.fake.ts'
import { type Door, openDoor } from './door.fake.ts'
import { RoutedNode } from './routed-node.ts'

export interface Member {
  readonly nodeId: string
  readonly local: FakeNode
  readonly routed: RoutedNode
  readonly served: Served
  /** Where the others reach it. */
  readonly door: Door
  /** The keyspace `default`, routed. */
  readonly rows: Keyspace
}

export class FakeCluster {
  readonly members: readonly Member[]
  #generation = 0
  #dead = new Set<number>()

  constructor(members: readonly Member[]) {
    this.members = members
  }

  at(index: number): Member {
    return must(this.members[index], `node ${index}`)
  }

  /** Tells all nodes, and makes it so: `holders[partition]` are the indexes of the nodes that serve it, the leader first. */
  place(holders: readonly (readonly number[])[]): void {
    for (const [index, { local }] of this.members.entries()) {
      local.elsewhere.clear()
      holders.forEach((nodes, at) => {
        if (!nodes.includes(index)) local.elsewhere.add(at)
      })
    }
    for (const index of this.members.keys()) this.tell(index, holders)
  }

  /** Tells one node what it shall believe. */
  tell(index: number, holders: readonly (readonly number[])[]): void {
    this.#generation += 1
    const alive = [...this.members.entries()].filter(([at]) => !this.#dead.has(at))
    const map: ClusterMap = {
      generation: this.#generation,
      nodes: alive.map(([, { nodeId, door }]) => ({
        nodeId,
        incarnation: 'first',
        address: door.address,
        zone: '',
        draining: false,
      })),
      topics: [
        {
          topic: 'fake.default',
          identity: 'identity',
          partitions: holders.length,
          replication: 2,
          settings: { ...DEFAULT_SETTINGS, valueBytesMax: 1024 },
          placements: holders.map((nodes) => {
            const [leader, ...others] = nodes.map((at) => this.at(at).nodeId)
            return { leader, replicas: leader === undefined ? [] : [leader, ...others], warming: [] }
          }),
        },
      ],
    }
    this.at(index).local.map$.next(map)
  }

  /** The node is gone, and nobody has noticed yet. */
  kill(index: number): void {
    this.#dead.add(index)
    this.at(index).door.slam()
  }

  /** Methods of the face that the nodes were asked for since the last look, by node. */
  asked(): string[][] {
    return this.members.map(({ local }) => local.asked.splice(0))
  }

  async close(): Promise<void> {
    for (const { routed } of this.members) await routed.close(0)
    for (const { served, door } of this.members) {
      door.slam()
      await served.close()
    }
  }
}

export async function fakeCluster(count: number): Promise<FakeCluster> {
  const members: Member[] = []
  for (let at = 0; at < count; at += 1) {
    const nodeId = String.fromCharCode(97 + at)
    const local = new FakeNode(nodeId, members[0]?.local)
    const routed = new RoutedNode(local)
    const served = await serveFake({}, local, routed)
    members.push({
      nodeId,
      local,
      routed,
      served,
      door: await openDoor(served.address),
      rows: routed.keyspace('default'),
    })
  }
  return new FakeCluster(members)
}

/** A key of the partition. */
export function keyIn(rows: Keyspace, wanted: number, name = 'key'): Buffer {
  for (let at = 0; ; at += 1) {
    const key = Buffer.from(`${name}-${at}`)
    if (rows.partitionOf(key) === wanted) return key
  }
}

export const inTime = (ms = 5000): Freshness => ({ deadline: Date.now() + ms })

export const p = (at: number): Partition => partition(at)
