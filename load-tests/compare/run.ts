/** Runs the workloads on all peers of a class of durability, in turns, so that what else the machine does meets all alike. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { guard, unguard } from '../../infra/kafka/watchdog.ts'
import type { RunningPeer } from './life.ts'
import type { Durability, Peer } from './peers.ts'
import type { Scale, Workload } from './plan.ts'
import { Missing, type Programs } from './tools.ts'
import { cpuSecondsBetween, usageOf } from './usage.ts'

const run = promisify(execFile)

/** What the program `load` prints. */
interface LoadResult {
  readonly operations: number
  readonly seconds: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly failed: number
  readonly error?: string
  readonly fairShare?: number
}

/** One run of one workload on one server. */
export interface Sample extends LoadResult {
  /** Processor time of the server's processes for one operation, microseconds. */
  readonly serverMicros: number
  /** Resident memory of the server's processes afterwards. */
  readonly rssMiB: number
}

export interface Measured {
  readonly durability: Durability
  readonly peer: string
  readonly kind: Peer['kind']
  readonly workload: Workload
  readonly samples: readonly Sample[]
}

interface Live {
  readonly peer: Peer
  readonly running: RunningPeer
}

export interface Run {
  readonly scale: Scale
  readonly programs: Programs
  readonly workloads: readonly Workload[]
  readonly say: (sentence: string) => void
}

export async function compare(durability: Durability, peers: readonly Peer[], how: Run): Promise<Measured[]> {
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-compare-'))
  guard('dir', folder)
  const live: Live[] = []
  try {
    for (const [index, peer] of peers.entries()) {
      how.say(`${durability}: starting ${peer.name}`)
      const own = join(folder, String(index))
      await mkdir(own)
      try {
        live.push({ peer, running: await peer.start({ folder: own, programs: how.programs }) })
      } catch (caught) {
        if (!(caught instanceof Missing)) throw caught
        how.say(`without ${peer.name}: ${caught.message}`)
      }
    }
    for (const one of live) {
      how.say(`${durability}: loading ${how.scale.keys.toLocaleString('en-US')} rows into ${one.peer.name}`)
      await load(one, LOADING, how)
    }
    return await inTurns(durability, live, how)
  } finally {
    for (const { running } of live) await running.stop()
    await rm(folder, { recursive: true, force: true })
    unguard('dir', folder)
  }
}

/** Until a server that was started again must have answered well. */
const START_SECONDS_MAX = 300
const LOADING: Workload = { title: 'load', name: 'load', clients: 16, connections: 4, frame: { etcd: 128 } }

async function inTurns(durability: Durability, live: readonly Live[], how: Run): Promise<Measured[]> {
  const measured: (Measured & { readonly samples: Sample[] })[] = []
  for (const workload of how.workloads) {
    const { restart, of: kinds, rows } = workload
    const able = live.filter(
      ({ peer, running }) =>
        (kinds?.includes(peer.kind) ?? true) && (restart === undefined || running.restarts.includes(restart)),
    )
    const row = able.map(({ peer }) => ({
      durability,
      peer: peer.name,
      kind: peer.kind,
      workload,
      samples: [] as Sample[],
    }))
    measured.push(...row)
    // Caches fill and compilers compile: on no server does that count.
    for (const one of restart === undefined ? able : []) {
      if (rows !== undefined) await load(one, { ...LOADING, ...workload, name: LOADING.name }, how)
      await load(one, workload, { ...how, scale: warmUp(how.scale) })
    }
    for (let round = 0; round < how.scale.rounds; round += 1) {
      for (const [index, one] of able.entries()) {
        const sample = await (restart === undefined ? load : startAgain)(one, workload, how)
        row[index]?.samples.push(sample)
        const failed = sample.failed === 0 ? '' : `, ${sample.failed} failed: ${sample.error ?? ''}`
        how.say(
          `${durability}: ${workload.title}, ${one.peer.name}: ${Math.round(sample.perSecond * 100) / 100}/s${failed}`,
        )
      }
    }
  }
  return measured
}

const warmUp = (scale: Scale): Scale => ({ ...scale, seconds: Math.max(1, Math.floor(scale.seconds / 3)) })

async function load({ peer, running }: Live, workload: Workload, { scale, programs }: Run): Promise<Sample> {
  const before = await usageOf(running.pids)
  const { count = scale.keys, valueBytes = 100 } = workload.rows ?? {}
  const { stdout } = await run(programs.load, [
    ...['-server', peer.kind, '-addresses', running.addresses.join(',')],
    ...['-workload', workload.name, '-clients', String(workload.clients)],
    ...['-connections', String(workload.connections), '-length', `${scale.seconds}s`],
    ...['-prefix', workload.rows === undefined ? 'row/' : `${valueBytes}/`, '-keys', String(count)],
    ...['-frame', String(workload.frame?.[peer.kind] ?? 64)],
    ...['-value-bytes', String(valueBytes), '-events', String(workload.events ?? 1000)],
  ])
  const result = JSON.parse(stdout) as LoadResult
  const after = await usageOf(running.pids)
  return {
    ...result,
    serverMicros: (1e6 * cpuSecondsBetween(before, after)) / Math.max(1, result.operations),
    rssMiB: after.rssMiB,
  }
}

/** A start that was to read all rows counts them; another one counts as one operation. */
async function startAgain(one: Live, workload: Workload, how: Run): Promise<Sample> {
  const { restart = 'killed' } = workload
  const before = await usageOf(one.running.pids)
  const began = await one.running.restart(restart)
  const scale = { ...how.scale, seconds: START_SECONDS_MAX }
  const sample = await load(one, workload, { ...how, scale })
  const seconds = (performance.now() - began) / 1000
  const operations = restart === 'killed' ? 1 : how.scale.keys
  const ms = seconds * 1000
  return {
    ...sample,
    ...{ operations, seconds, perSecond: operations / seconds, p50Ms: ms, p99Ms: ms, maxMs: ms },
    serverMicros: (1e6 * cpuSecondsBetween(before, await usageOf(one.running.pids))) / operations,
  }
}
