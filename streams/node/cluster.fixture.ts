/** Several nodes in one process over one memory log and a simulated membership; nodes can be killed, as with SIGKILL. */
import type { ClusterMap, MapPlacement } from '../core/cluster-map.ts'
import { TidemarkError } from '../core/errors.ts'
import type { RowMutation } from '../core/mutation.ts'
import { Prng } from '../core/testing/prng.ts'
import type { LogTime, Partition } from '../core/types.ts'
import type { Keyspace, ReplicaStatus, TidemarkNode } from '../face.ts'
import type { Log } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { simulatedCluster, type SimulatedCluster } from '../membership/simulated.ts'
import { newMeters } from '../meters.ts'
import { openNode } from '../node.ts'
import type { Clock, PeerProof, PeerQuestion, Telemetry } from '../ports.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { systemClock, systemRandom } from '../system.ts'
import type { NodeOptions } from './options.ts'

export const soon = (): number => Date.now() + 10_000

/** Waits until it holds. */
export async function until(holds: () => boolean, what: string, withinMs = 45_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!holds()) {
    if (Date.now() > end) throw new Error(`it did not come to pass: ${what}`)
    await systemClock.sleep(3)
  }
}

export interface ClusterNode {
  readonly id: string
  readonly node: TidemarkNode
  readonly store: Store
  readonly map: ClusterMap | undefined
  readonly told: string[]
  /** From now on it does nothing, and nobody hears of it: what was on its way never arrives. */
  kill(): void
  readonly alive: boolean
}

export interface TestCluster {
  readonly log: Log
  readonly group: SimulatedCluster
  readonly nodes: Map<string, ClusterNode>
  start(id: string, more?: Partial<NodeOptions>): Promise<ClusterNode>
  /** Ends all. */
  dispose(): Promise<void>
}

export const TOPIC = 'test.default'

export function openTestCluster(
  options: { readonly seed?: number; readonly partitions?: number; readonly replication?: number } = {},
): TestCluster {
  const log = openMemoryLog({ clock: () => Date.now() as LogTime, lanes: 2 })
  const group = simulatedCluster(new Prng(options.seed ?? 1), systemClock)
  const nodes = new Map<string, ClusterNode>()

  async function start(id: string, more: Partial<NodeOptions> = {}): Promise<ClusterNode> {
    const life = { alive: true }
    const store = more.store ?? openMemoryStore()
    const told: string[] = []
    let map: ClusterMap | undefined
    const node = await openNode({
      cluster: 'test',
      nodeId: id,
      zone: '',
      log: mortalLog(log, life),
      logKind: 'memory',
      store,
      membership: group.member(),
      clock: mortalClock(life),
      random: systemRandom,
      telemetry: tellingTelemetry(told),
      partitions: options.partitions ?? 8,
      replication: options.replication ?? 2,
      dev: true,
      spareMs: 100,
      askPeer: (peer, question) => askNode(nodes.get(peer.nodeId), question),
      ...more,
    })
    node.map$.subscribe((newest) => (map = newest))
    node.join(`${id}:7400`)
    const started: ClusterNode = {
      id,
      node,
      store,
      get map() {
        return map
      },
      told,
      get alive() {
        return life.alive
      },
      kill() {
        life.alive = false
        group.cut(id)
      },
    }
    nodes.set(id, started)
    return started
  }

  return {
    log,
    group,
    nodes,
    start,
    async dispose() {
      for (const { node, alive } of nodes.values()) if (alive) await node.close(Date.now() + 100)
      await log.close()
    },
  }
}

/** As by gRPC. */
async function askNode(peer: ClusterNode | undefined, question: PeerQuestion): Promise<PeerProof> {
  if (peer?.alive !== true) throw new TidemarkError('NODE_UNREACHABLE', 'it is dead')
  const { topic, partition, suspicion } = question
  const { chains, contents } = peer.node.proofs.tell(topic.slice('test.'.length), partition, suspicion)
  await systemClock.sleep(1)
  return { chains, contents: contents.map(({ at, content }) => ({ at, hash: content?.hash })) }
}

interface Life {
  readonly alive: boolean
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined)

/** The log as one node has it: closing it closes nothing, and a dead node gets no answer. */
function mortalLog(log: Log, life: Life): Log {
  const answered = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer
    return life.alive ? value : never<T>()
  }
  return {
    ...log,
    append: (lane, parts) => (life.alive ? answered(log.append(lane, parts)) : never()),
    offsets: (topic, partition) => answered(log.offsets(topic, partition)),
    read(topic, partition, from, expect) {
      const reader = log.read(topic, partition, from, expect)
      return {
        next: () => answered(reader.next()),
        close() {
          reader.close()
        },
      }
    },
    close: async () => Promise.resolve(),
  }
}

const mortalClock = (life: Life): Clock => ({
  ...systemClock,
  every: (ms, callback) =>
    systemClock.every(ms, () => {
      if (life.alive) callback()
    }),
})

const tellingTelemetry = (told: string[]): Telemetry => ({
  meters: newMeters(),
  stopped: (_keyspace, partition, { reason }) => told.push(`stopped ${partition} ${reason}`),
  trouble: (sentence) => told.push(sentence),
  recovered: (sentence) => told.push(sentence),
})

// ---- looking at it ----------------------------------------------------------------------------------------------

export const placements = ({ group }: TestCluster, topic = TOPIC): readonly MapPlacement[] =>
  group.map.topics.find((one) => one.topic === topic)?.placements ?? []

/** Nothing moves any more: all partitions have their replicas and a leader, and the nodes agree with the map. */
export function isAtRest(cluster: TestCluster, copies: number, topic = TOPIC): boolean {
  const places = placements(cluster, topic)
  const alive = [...cluster.nodes.values()].filter((one) => one.alive)
  return (
    places.length > 0 &&
    alive.length === cluster.group.map.nodes.length &&
    alive.every(({ map }) => map === cluster.group.map) &&
    places.every(
      ({ leader, replicas, warming }, partition) =>
        leader !== undefined &&
        replicas.length === copies &&
        warming.length === 0 &&
        alive.every(({ id, node }) => {
          const here = statusOf(node, partition, topic)
          if (!replicas.includes(id)) return here === undefined
          // The lead record of the leader has been applied everywhere.
          return here?.state === 'live' && here.leader === leader
        }),
    )
  )
}

export const statusOf = (node: TidemarkNode, partition: number, topic = TOPIC): ReplicaStatus | undefined =>
  node.replicas().find((one) => `test.${one.keyspace}` === topic && one.partition === partition)

/** The partition of the key, as any node that knows the settings says. */
export const partitionOf = (keys: Keyspace, key: string): Partition => keys.partitionOf(Buffer.from(key))

export const put = (cluster: TestCluster, key: string, value: string): Promise<void> =>
  write(cluster, { kind: 'put', key: Buffer.from(key), value: Buffer.from(value) })

/** Writes on a node that the map names for the key; tries others until one says that it is applied, as a client would. */
export async function write(cluster: TestCluster, mutation: RowMutation): Promise<void> {
  const end = Date.now() + 10_000
  for (;;) {
    const alive = [...cluster.nodes.values()].filter((one) => one.alive)
    const partition = alive[0]?.node.keyspace('default').partitionOf(mutation.key) ?? 0
    const place = placements(cluster)[partition]
    const target =
      alive.find(({ id }) => id === place?.leader) ??
      alive.find(({ id }) => place?.replicas.includes(id) === true)
    try {
      const keys = target?.node.keyspace('default')
      // A node that is killed meanwhile never answers.
      const result = await Promise.race([
        keys?.write(mutation, { deadline: Date.now() + 1000 }),
        systemClock.sleep(1100).then((): undefined => undefined),
      ])
      if (result?.outcome?.status === 'applied') return
    } catch (caught) {
      const error = TidemarkError.from(caught)
      if (!error.retriable) throw error
    }
    if (Date.now() > end) throw new Error('no node took the write')
    await systemClock.sleep(2)
  }
}

/** What each node that the map names for the key answers. */
export async function readAll(cluster: TestCluster, key: string): Promise<readonly (string | undefined)[]> {
  const [some] = [...cluster.nodes.values()].filter((one) => one.alive)
  if (some === undefined) throw new Error('no node lives')
  const partition = partitionOf(some.node.keyspace('default'), key)
  const ids = placements(cluster)[partition]?.replicas ?? []
  return Promise.all(
    ids.map(async (id) => {
      const keys = cluster.nodes.get(id)?.node.keyspace('default')
      const row = (await keys?.get(Buffer.from(key), { deadline: soon() }))?.row
      return row === undefined ? undefined : Buffer.from(row.value).toString()
    }),
  )
}
