/** What is done to a cluster under load, and what of it is measured. */
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import type { Figure, Figures } from '../bench/figures.ts'
import { Eye } from './eye.ts'
import { type Gap, firstWritesAfter, longestWriteGap } from './gaps.ts'
import type { Cluster } from './harness.ts'
import { Load, type Seen } from './load.ts'
import type { NodeProcess } from './node-process.ts'

export interface ScenarioSettings {
  readonly partitions: number
  /** Milliseconds of load before, between and after what is done. */
  readonly calmMs: number
}

/** The aims of the project, on a machine with two cores. */
const AIM = {
  none: { atMost: 0 },
  writeGapMs: { atMost: 1000 },
  pauseMs: { atMost: 500 },
  firstWriteMs: { atMost: 1000 },
  leaderAfterKillMs: { atMost: 3000 },
  leaderAfterLeaveMs: { atMost: 1000 },
} as const satisfies Readonly<Record<string, Figure['target']>>

/** What was done, and when, so that a gap can be told from where it fell. */
class Story {
  readonly #steps: { readonly at: number; readonly what: string }[] = []

  step(what: string): void {
    this.#steps.push({ at: performance.now(), what })
  }

  place({ partition, from }: Gap): string {
    const step = this.#steps.findLast(({ at }) => at <= from + GAP_SLACK_MS)
    const since = step === undefined ? '' : `, ${Math.round(from - step.at)} ms after: ${step.what}`
    return `partition ${partition}${since}`
  }
}

/** Milliseconds between two writes of one loop: a gap that begins with a step seems to begin a little before it. */
const GAP_SLACK_MS = 50

interface Scene {
  readonly cluster: Cluster
  readonly load: Load
  readonly eye: Eye
  readonly story: Story
  readonly calm: () => Promise<unknown>
}

/** Runs the scenario under a load of its own, and counts what the client saw. */
async function underLoad(
  figures: Figures,
  name: string,
  cluster: Cluster,
  { partitions, calmMs }: ScenarioSettings,
  act: (scene: Scene) => Promise<void>,
): Promise<void> {
  const first = must(cluster.nodes[0], 'a node')
  const db = connect({ server: first.address, deadlineMs: 10_000 })
  const load = new Load(db, { partitions })
  const eye = new Eye((partition) => load.endOf(partition))
  try {
    for (const node of cluster.nodes) if (node.pid !== undefined) eye.add(node)
    load.start()
    await load.flowing()
    await act({ cluster, load, eye, story: new Story(), calm: () => sleep(calmMs) })
    const seen = await load.stop()
    addSeen(figures, name, seen)
  } finally {
    await eye.close()
    await db.close()
  }
}

function addSeen(figures: Figures, name: string, { reads, writes, failures, wrong }: Seen): void {
  const count = (label: string, value: number): void => {
    figures.add({ name: `${name}: ${label}`, value, unit: '', target: AIM.none })
  }
  figures.add({ name: `${name}: reads and writes`, value: reads + writes, unit: '' })
  count('failed reads', failures.filter(({ what }) => what === 'read').length)
  count('failed writes', failures.filter(({ what }) => what === 'write').length)
  count('writes lost or doubled, reads too old', wrong.length)
  for (const { what, message } of failures.slice(0, 5))
    console.error(`  ${name}: a ${what} failed: ${message}`)
  for (const sentence of wrong.slice(0, 5)) console.error(`  ${name}: ${sentence}`)
}

export const rollingRestart = (
  figures: Figures,
  cluster: Cluster,
  settings: ScenarioSettings,
): Promise<void> =>
  underLoad(figures, 'rolling restart', cluster, settings, async ({ load, eye, story, calm }) => {
    const from = performance.now()
    for (const node of cluster.nodes) {
      await calm()
      await eye.disturbing(node.id, async () => {
        story.step(`SIGTERM to ${node.id}`)
        await node.stop()
        story.step(`${node.id} has ended and starts again`)
        await node.start()
        story.step(`${node.id} is ready`)
      })
    }
    await calm()
    await load.flowing()
    const gap = longestWriteGap(load.acknowledged, settings.partitions, from, performance.now())
    addGap(figures, 'rolling restart: longest write gap of a partition', gap, story, AIM.writeGapMs)
    addMs(figures, 'rolling restart: longest pause of a surviving replica', eye.pauses.longestMs, AIM.pauseMs)
  })

export const killLeader = (figures: Figures, cluster: Cluster, settings: ScenarioSettings): Promise<void> =>
  underLoad(figures, 'SIGKILL of a leader', cluster, settings, async ({ load, eye, story, calm }) => {
    await calm()
    const { node, partitions } = mostLeading(cluster, eye)
    await eye.disturbing(node.id, async () => {
      const killed = performance.now()
      story.step(`SIGKILL of ${node.id}`)
      const dead = node.kill('SIGKILL')
      const leaderMs = await eye.untilOthersLead(partitions, node.id)
      await dead
      await load.flowing()
      const now = performance.now()
      const firstMs = firstWritesAfter(load.acknowledged, partitions, killed)
      const gap = longestWriteGap(load.acknowledged, settings.partitions, killed, now)
      addMs(figures, 'SIGKILL of a leader: first write to its partitions again', firstMs, AIM.firstWriteMs)
      addGap(figures, 'SIGKILL of a leader: longest write gap of a partition', gap, story)
      addMs(figures, 'SIGKILL of a leader: all its partitions led again', leaderMs, AIM.leaderAfterKillMs)
      addMs(figures, 'SIGKILL of a leader: longest pause of a surviving replica', eye.pauses.longestMs)
      await node.start()
    })
    await calm()
  })

export const gracefulLeave = (
  figures: Figures,
  cluster: Cluster,
  settings: ScenarioSettings,
): Promise<void> =>
  underLoad(figures, 'graceful leave', cluster, settings, async ({ load, eye, story, calm }) => {
    await calm()
    const { node, partitions } = mostLeading(cluster, eye)
    await eye.disturbing(node.id, async () => {
      const from = performance.now()
      story.step(`SIGTERM to ${node.id}`)
      const left = node.stop()
      const leaderMs = await eye.untilOthersLead(partitions, node.id)
      await left
      await load.flowing()
      const gap = longestWriteGap(load.acknowledged, settings.partitions, from, performance.now())
      addMs(figures, 'graceful leave: all its partitions led again', leaderMs, AIM.leaderAfterLeaveMs)
      addGap(figures, 'graceful leave: longest write gap of a partition', gap, story)
      await node.start()
    })
    await calm()
  })

export const join = (figures: Figures, cluster: Cluster, settings: ScenarioSettings): Promise<void> =>
  underLoad(figures, 'a node joins', cluster, settings, async ({ load, eye, story, calm }) => {
    await calm()
    const from = performance.now()
    story.step('another node starts')
    const node = await cluster.addNode()
    story.step(`${node.id} is ready`)
    addMs(figures, 'a node joins: until it is ready', performance.now() - from)
    eye.add(node)
    await calm()
    await load.flowing()
    const gap = longestWriteGap(load.acknowledged, settings.partitions, from, performance.now())
    addGap(figures, 'a node joins: longest write gap of a partition', gap, story, AIM.writeGapMs)
    addMs(figures, 'a node joins: longest pause of another replica', eye.pauses.longestMs, AIM.pauseMs)
  })

/** The node whose end concerns the most partitions; not the first, by which the client came in. */
function mostLeading(cluster: Cluster, eye: Eye): { node: NodeProcess; partitions: readonly number[] } {
  const [most] = cluster.nodes
    .slice(1)
    .map((node) => ({ node, partitions: eye.ledBy(node.id) }))
    .sort((a, b) => b.partitions.length - a.partitions.length)
  return must(most, 'a second node')
}

function addMs(figures: Figures, name: string, value: number, target?: Figure['target']): void {
  figures.add({ name, value, unit: 'ms', ...(target === undefined ? {} : { target }) })
}

function addGap(figures: Figures, name: string, gap: Gap, story: Story, target?: Figure['target']): void {
  addMs(figures, name, gap.ms, target)
  console.error(`    ${story.place(gap)}`)
}
