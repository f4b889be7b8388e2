/** One cell of the grid: so many nodes, so many partitions, one broker; each workload, and what it took from each kind of process. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect } from '../../services/client/index.ts'
import type { Benched } from '../../services/cli/bench-run.ts'
import { must } from '../../streams/core/assert.ts'
import { type Cluster, startCluster } from '../cluster/harness.ts'
import { cpuSecondsBetween, usageOf } from '../compare/usage.ts'

const run = promisify(execFile)
const COMMAND = fileURLToPath(new URL('../../services/cli/main.js', import.meta.url))

export interface CellPlan {
  readonly nodes: number
  readonly partitions: number
  readonly seconds: number
  readonly keys: number
}

export const SCALE_WORKLOADS = [
  { name: 'put', bench: ['put'] },
  { name: 'get, eventual', bench: ['get', '--consistency', 'eventual'] },
  { name: 'get, linearizable', bench: ['get', '--consistency', 'linearizable'] },
  // One after the other: each is a round of the read index of its own.
  { name: 'get, linearizable, one at a time', bench: ['get-one', '--consistency', 'linearizable'] },
] as const

export interface ScaleSample {
  readonly workload: (typeof SCALE_WORKLOADS)[number]['name']
  readonly nodes: number
  readonly partitions: number
  /** Replicas of each partition. */
  readonly replicas: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failed: number
  /** Microseconds of processor time for one operation: of all nodes together, of the broker, of the client. */
  readonly nodeMicros: number
  readonly brokerMicros: number
  readonly clientMicros: number
  /** Cores that all nodes, and the broker, take while nobody asks for anything. */
  readonly idleNodes: number
  readonly idleBroker: number
}

export async function measureCell(
  plan: CellPlan,
  say: (sentence: string) => void,
): Promise<readonly ScaleSample[]> {
  const { nodes, partitions } = plan
  const cluster = await startCluster({ nodes, partitions, brokers: 1, longRun: true })
  try {
    const replicas = await replicasOf(cluster)
    await bench(cluster, plan, ['load'])
    const idle = await idleOf(cluster)
    const samples: ScaleSample[] = []
    for (const { name, bench: args } of SCALE_WORKLOADS) {
      await bench(cluster, { ...plan, seconds: Math.max(1, plan.seconds / 3) }, args)
      const [nodesBefore, brokersBefore] = await usage(cluster)
      const { perSecond, p50Ms, p99Ms, failed, operations, clientMicros } = await bench(cluster, plan, args)
      const [nodesAfter, brokersAfter] = await usage(cluster)
      const micros = (seconds: number): number => (1e6 * seconds) / Math.max(1, operations)
      const sample = {
        ...{
          workload: name,
          nodes,
          partitions,
          replicas,
          perSecond,
          p50Ms,
          p99Ms,
          failed,
          clientMicros,
          ...idle,
        },
        nodeMicros: micros(cpuSecondsBetween(nodesBefore, nodesAfter)),
        brokerMicros: micros(cpuSecondsBetween(brokersBefore, brokersAfter)),
      }
      say(`${nodes} nodes, ${partitions} partitions: ${name}: ${Math.round(perSecond)}/s`)
      samples.push(sample)
    }
    return samples
  } finally {
    await cluster.close()
  }
}

const IDLE_MS = 3000

async function idleOf(cluster: Cluster): Promise<Pick<ScaleSample, 'idleNodes' | 'idleBroker'>> {
  const before = await usage(cluster)
  await sleep(IDLE_MS)
  const after = await usage(cluster)
  const cores = (at: 0 | 1): number => cpuSecondsBetween(before[at], after[at]) / (IDLE_MS / 1000)
  return { idleNodes: cores(0), idleBroker: cores(1) }
}

const usage = ({ nodes, brokers }: Cluster) =>
  Promise.all(
    [nodes, brokers].map((some) => usageOf(some.map(({ pid }) => must(pid, 'a process of the cluster')))),
  ).then(([ofNodes, ofBrokers]) => [must(ofNodes, 'nodes'), must(ofBrokers, 'brokers')] as const)

async function bench(
  { nodes }: Cluster,
  { seconds, keys }: CellPlan,
  args: readonly string[],
): Promise<Benched> {
  const servers = nodes.map(({ address }) => address).join(',')
  const { stdout } = await run(process.execPath, [
    ...[COMMAND, '--server', servers, '-o', 'json', '--timeout', '60s', 'bench'],
    ...[...args, '--keys', String(keys), '--duration', `${Math.round(seconds * 1000)}ms`],
  ])
  const [benched] = JSON.parse(stdout) as Benched[]
  return must(benched, 'a workload')
}

async function replicasOf({ nodes }: Cluster): Promise<number> {
  const db = connect({ server: must(nodes[0], 'a node').address })
  try {
    const { keyspaces } = await db.map()
    const placements = keyspaces.flatMap((keyspace) => keyspace.placements)
    return placements.reduce((sum, { replicas }) => sum + replicas.length, 0) / placements.length
  } finally {
    await db.close()
  }
}
