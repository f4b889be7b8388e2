/**
 * One cell: a workload, a nemesis, and what is true afterwards.
 *
 *   fresh keyspace ─▶ load, calm ─▶ nemesis ─▶ healed ─▶ every partition takes writes again ─▶ calm ─▶ load ends
 *                  ─▶ all rows read ─▶ replicas compared ─▶ log read back ─▶ history checked ─▶ verdict
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { TidemarkError, connect } from '../../services/client/index.ts'
import { must } from '../../streams/core/assert.ts'
import type { LogRecord } from '../../streams/core/types.ts'
import { Prng } from '../../streams/core/testing/prng.ts'
import type { History } from '../../streams/sim/history.ts'
import type { Violation } from '../../streams/sim/check/evidence.ts'
import { checkHistory } from '../../streams/sim/check/check.ts'
import { Recorder } from '../../streams/sim/recorder.ts'
import { compareReplicas, differencesOf, dumpReplicas, readLog } from './evidence.ts'
import type { Ground } from './ground.ts'
import { Lookout, untilTrue } from './lookout.ts'
import { type Field, NotHere, type Nemesis } from './nemesis.ts'
import { RecordedClient } from './recorded-client.ts'
import { type Traffic, trafficOf } from './traffic.ts'
import { PARTITIONS, type Workload, loop } from './workloads.ts'

export interface CellPlan {
  readonly workload: Workload
  readonly nemesis: Nemesis
  readonly seed: number
  /** Of load; a nemesis that needs longer takes longer. */
  readonly seconds: number
  /** Clients that read and write. */
  readonly clients: number
  /** The main.js of another build, for mixed versions. */
  readonly otherBuild: string | undefined
}

export interface CellResult {
  readonly cell: string
  readonly seed: number
  readonly seconds: number
  /** `void`: too little happened to say anything. `skipped`: this machine does not allow it. */
  readonly verdict: 'passed' | 'failed' | 'void' | 'skipped'
  /** Why it failed or is void, one sentence each. */
  readonly faults: readonly string[]
  /** How the nemesis proves that it bit. */
  readonly proof: string | undefined
  readonly traffic: Traffic | undefined
  /** From the end of the harm until every partition had acknowledged a write that was asked for after it. */
  readonly healedMs: number | undefined
  readonly story: readonly string[]
  readonly history: History | undefined
}

export const cellName = ({ workload, nemesis }: Pick<CellPlan, 'workload' | 'nemesis'>): string =>
  `${workload.name}/${nemesis.name}`

/** Acknowledged writes before the harm begins, and answers in all; with fewer the cell is void. */
const WRITES_BEFORE_MIN = 100
const ANSWERS_MIN = 200
/** Milliseconds that a machine with much else to do has for the first of them. */
const CALM_MS_MAX = 60_000
/** Milliseconds after the harm in which every partition must take writes again, without anybody's help. */
const HEALED_MS_MAX = 30_000
/** Parts of the time before the harm, and after it. */
const CALM = 0.2

export async function runCell(plan: CellPlan, ground: Ground): Promise<CellResult> {
  const { workload, nemesis, seed, seconds } = plan
  const began = performance.now()
  const now = (): number => Math.round(performance.now() - began)
  const story: string[] = []
  const say = (sentence: string): void => void story.push(`${(now() / 1000).toFixed(1)} s  ${sentence}`)
  const recorder = new Recorder({ now })
  const keyspace = `chaos-${seed}-${Math.floor(Date.now() / 1000).toString(36)}`
  const lookout = new Lookout()
  const clients: RecordedClient[] = []
  const db = connect({ server: ground.servers, deadlineMs: 30_000 })
  let going = true
  let loops: Promise<unknown> = Promise.resolve()
  const base = { cell: cellName(plan), seed, seconds }

  const client = (name: string): RecordedClient => {
    const made = new RecordedClient(name, ground.servers, keyspace, recorder)
    clients.push(made)
    return made
  }
  const end = async (): Promise<void> => {
    going = false
    await loops
    await Promise.all(clients.map((each) => each.endWatches()))
  }

  try {
    await db.keyspaces.create(keyspace, { ...workload.settings, partitions: PARTITIONS })
    await ground.cluster.settled()
    const readers = Array.from({ length: plan.clients }, (_, index) => client(`c${index}`))
    const first = must(readers[0], 'a client')
    await workload.prepare?.(first)
    const watches = Array.from({ length: workload.watchers }, (_, index) => client(`w${index}`).watch())
    const runs = readers.map((each, index) =>
      loop(workload, each, new Prng(seed * 1000 + index), () => going),
    )
    loops = Promise.all(runs)
    const acknowledged = countsByPartition(recorder, PARTITIONS)
    const calmFrom = now()
    await sleep(seconds * 1000 * CALM)
    await untilTrue(() => sum(acknowledged()) >= WRITES_BEFORE_MIN, CALM_MS_MAX)
    const before = sum(acknowledged())
    say(`${before} acknowledged writes in ${now() - calmFrom} ms before ${nemesis.name}`)

    const harmFrom = now()
    recorder.fault(nemesis.name, true)
    const field: Field = {
      ground,
      lookout,
      keyspace,
      topic: `tidemark.${keyspace}`,
      random: new Prng(seed),
      harmMs: seconds * 1000 * (1 - 2 * CALM),
      say,
      acknowledged,
      archive: [],
      otherBuild: plan.otherBuild,
    }
    const proof = await nemesis.act(field)
    recorder.fault(nemesis.name, false)
    const harmTo = now()
    say(proof ?? 'it did not bite')
    const healedMs = await flowing(acknowledged)
    say(healedMs === undefined ? 'some partitions take no writes' : `healed after ${healedMs} ms`)
    const traffic = trafficOf(recorder.entries, PARTITIONS, harmFrom, now())
    await sleep(seconds * 1000 * CALM)
    await end()
    await Promise.all(watches)

    await ground.cluster.settled()
    for (const key of workload.keys) await first.get(key, 'linearizable')
    const replicas = await compareReplicas(db, keyspace)
    // Before the log: what expires meanwhile is in the log then.
    const dumps = await dumpReplicas(ground.cluster.nodes, keyspace)
    const history: History = {
      keyspace: {
        name: keyspace,
        partitions: PARTITIONS,
        separator: String(workload.settings?.partitionByPrefix ?? ''),
      },
      entries: recorder.entries,
      log: withArchive(field.archive, await readLog(ground.cluster.bootstrap, `tidemark.${keyspace}`)),
      replicas: dumps,
    }
    await db.keyspaces.delete(keyspace, keyspace)

    const answers = traffic.acknowledgedWrites + traffic.answeredReads
    const faults = [
      ...checkHistory(history).flatMap(({ violations }) => violations.map(violationText)),
      ...differencesOf(replicas, ground.cluster.nodes.length),
      ...(healedMs === undefined
        ? [`not every partition took writes ${HEALED_MS_MAX} ms after the harm`]
        : []),
    ]
    const empty = [
      ...(proof === undefined ? ['nothing proves that the nemesis bit'] : []),
      ...(before < WRITES_BEFORE_MIN ? [`only ${before} writes were acknowledged before the harm`] : []),
      ...(answers < ANSWERS_MIN ? [`only ${answers} answers in all`] : []),
    ]
    const verdict = faults.length > 0 ? 'failed' : empty.length > 0 ? 'void' : 'passed'
    say(`${verdict}; the harm lasted ${harmTo - harmFrom} ms`)
    return { ...base, verdict, faults: [...faults, ...empty], proof, traffic, healedMs, story, history }
  } catch (caught) {
    const skipped = caught instanceof NotHere
    const faults = [caught instanceof TidemarkError ? `${caught.reason}: ${caught.message}` : String(caught)]
    const history: History = {
      keyspace: { name: keyspace, partitions: PARTITIONS, separator: '' },
      entries: recorder.entries,
      log: [],
      replicas: [],
    }
    const verdict = skipped ? 'skipped' : 'failed'
    return {
      ...base,
      verdict,
      faults,
      proof: undefined,
      traffic: undefined,
      healedMs: undefined,
      story,
      history,
    }
  } finally {
    ground.network.heal()
    await end()
    await Promise.all([...clients.map((each) => each.close()), db.close(), lookout.close()])
  }
}

const violationText = ({ checker, message }: Violation): string => `${checker}: ${message}`

/** The log as it would be if nothing had been trimmed. */
const withArchive = (
  archive: readonly (readonly LogRecord[])[],
  log: readonly (readonly LogRecord[])[],
): LogRecord[][] =>
  log.map((records, at) => {
    const first = records[0]?.offset ?? Infinity
    return [...(archive[at] ?? []).filter(({ offset }) => offset < first), ...records]
  })

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)

/** Acknowledged writes by partition, so far; looks at each entry once. */
function countsByPartition(recorder: Recorder, partitions: number): () => readonly number[] {
  const counts = new Array<number>(partitions).fill(0)
  let seen = 0
  return () => {
    for (; seen < recorder.entries.length; seen += 1) {
      const entry = recorder.entries[seen]
      if (entry?.type !== 'return' || entry.result.status !== 'ok') continue
      const { answer } = entry.result
      if (answer.kind === 'written') counts[answer.partition] = (counts[answer.partition] ?? 0) + 1
    }
    return [...counts]
  }
}

/** Milliseconds until every partition has acknowledged writes anew; the first one may have been asked for before, so two count. */
async function flowing(acknowledged: () => readonly number[]): Promise<number | undefined> {
  const began = performance.now()
  const before = acknowledged()
  while (performance.now() - began < HEALED_MS_MAX) {
    const now = acknowledged()
    if (now.every((count, partition) => count >= (before[partition] ?? 0) + 2))
      return Math.round(performance.now() - began)
    await sleep(20)
  }
  return undefined
}
