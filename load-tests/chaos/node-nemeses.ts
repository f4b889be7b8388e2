/** What befalls the processes of nodes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { mostOften, untilTrue } from './lookout.ts'
import { type Field, type Nemesis, nodeOf, otherNode, rest } from './nemesis.ts'

/** Milliseconds in which the others must have noticed; a group of Kafka takes 6 s for a member that just stands still. */
const NOTICED_MS_MAX = 20_000

/** The node that leads most partitions of the workload, and which. */
async function busiest(field: Field): Promise<{ id: string; partitions: readonly number[] }> {
  const placements = await field.lookout.placements(otherNode(field, ''), field.keyspace)
  const id = mostOften(placements.map(({ leader }) => leader).filter((leader) => leader !== ''))
  return { id, partitions: placements.flatMap(({ leader }, partition) => (leader === id ? [partition] : [])) }
}

/** Resolves when others lead these partitions. @returns milliseconds, undefined when that did not come */
const untilOthersLead = (
  field: Field,
  id: string,
  partitions: readonly number[],
): Promise<number | undefined> =>
  untilTrue(async () => {
    const placements = await field.lookout.placements(otherNode(field, id), field.keyspace)
    return partitions.every((partition) => !['', id, undefined].includes(placements[partition]?.leader))
  }, NOTICED_MS_MAX)

const writesIn = (field: Field, partitions: readonly number[]): number => {
  const counts = field.acknowledged()
  return partitions.reduce((sum, partition) => sum + (counts[partition] ?? 0), 0)
}

const killNode: Nemesis = {
  name: 'kill-node',
  about: 'SIGKILL of the node that leads most partitions; it comes back with what its disk has',
  async act(field) {
    const { id, partitions } = await busiest(field)
    const node = nodeOf(field, id)
    await node.kill('SIGKILL')
    const noticed = await untilOthersLead(field, id, partitions)
    await rest(field)
    await node.start()
    if (noticed === undefined) return undefined
    return `${id} led ${partitions.length} partitions; others led them ${noticed} ms after SIGKILL`
  },
}

const pauseNode: Nemesis = {
  name: 'pause-node',
  about:
    'SIGSTOP of a leading node until its successors have written, then SIGCONT: a leader that does not know that it is none',
  async act(field) {
    const { id, partitions } = await busiest(field)
    const node = nodeOf(field, id)
    await node.kill('SIGSTOP')
    const noticed = await untilOthersLead(field, id, partitions)
    const before = writesIn(field, partitions)
    await rest(field)
    const written = writesIn(field, partitions) - before
    await node.kill('SIGCONT')
    await node.ready()
    if (noticed === undefined || written === 0) return undefined
    return `${id} slept; others led its ${partitions.length} partitions after ${noticed} ms and wrote ${written} times before it woke`
  },
}

const flapNode: Nemesis = {
  name: 'flap-node',
  about:
    'SIGSTOP and SIGCONT of one node after another, some hundred milliseconds each: never long enough to be put out for sure',
  async act(field) {
    const until = performance.now() + field.harmMs
    let naps = 0
    while (performance.now() < until) {
      for (const node of field.ground.cluster.nodes) {
        await node.kill('SIGSTOP')
        await sleep(300 + field.random.below(700))
        await node.kill('SIGCONT')
        naps += 1
        await sleep(field.random.below(300))
      }
    }
    return `${naps} naps`
  },
}

const rollingRestart: Nemesis = {
  name: 'rolling-restart',
  about: 'SIGTERM and start of each node, one after the other',
  async act(field) {
    const incarnations = async (): Promise<string[]> =>
      (await field.lookout.map(otherNode(field, '')))?.nodes.map(({ incarnation }) => incarnation) ?? []
    const before = await incarnations()
    const pauseMs = field.harmMs / field.ground.cluster.nodes.length
    for (const node of field.ground.cluster.nodes) {
      const code = await node.stop()
      if (code !== 0) throw new Error(`${node.id} ended with ${String(code)} on SIGTERM`)
      await node.start()
      await sleep(pauseMs)
    }
    const after = await incarnations()
    const changed = after.filter((incarnation) => !before.includes(incarnation)).length
    if (changed !== field.ground.cluster.nodes.length) return undefined
    return `${changed} nodes have new incarnations`
  },
}

const killAllNodes: Nemesis = {
  name: 'kill-all-nodes',
  about: 'SIGKILL of all nodes at once: nothing is left but the log and what the disks have',
  async act(field) {
    const { nodes } = field.ground.cluster
    await Promise.all(nodes.map((node) => node.kill('SIGKILL')))
    const before = field.acknowledged().reduce((sum, count) => sum + count, 0)
    await sleep(Math.min(field.harmMs, 2000))
    const after = field.acknowledged().reduce((sum, count) => sum + count, 0)
    await Promise.all(nodes.map((node) => node.start()))
    return after === before ? `no write was acknowledged while all ${nodes.length} were down` : undefined
  },
}

export const NODE_NEMESES: readonly Nemesis[] = [killNode, pauseNode, flapNode, rollingRestart, killAllNodes]
