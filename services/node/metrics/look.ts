/** What the metrics are read from: gathered once for each look, whoever looks. */
import { statfsSync } from 'node:fs'
import type { ReplicaStatus, TidemarkNode, Vitals } from '../../../streams/face.ts'
import type { Meters } from '../../../streams/meters.ts'
import type { CallMeter } from '../call-meter.ts'
import type { Runtime } from './runtime.ts'
import type { SnapshotWatch } from './snapshot-watch.ts'

export interface Measured {
  /** Undefined until it is open. */
  readonly node: TidemarkNode | undefined
  readonly meters: ReadonlyMap<string, CallMeter>
  readonly totals: Meters
  readonly runtime: Runtime
  readonly snapshots: SnapshotWatch | undefined
  readonly dataDirectory: string
  /** Sends that failed. */
  readonly telemetry: { readonly errors: number }
}

export interface Look extends Omit<Measured, 'node'> {
  readonly ready: boolean
  readonly replicas: readonly ReplicaStatus[]
  readonly vitals: Vitals | undefined
  readonly disk: { readonly free: number; readonly total: number } | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

export function look(measured: Measured, now = Date.now()): Look {
  const { node, meters, totals, runtime, snapshots, dataDirectory, telemetry } = measured
  return {
    meters,
    totals,
    runtime,
    snapshots,
    dataDirectory,
    telemetry,
    ready: node?.ready === true,
    replicas: node?.replicas() ?? [],
    vitals: node?.vitals(),
    disk: diskOf(dataDirectory),
    now,
  }
}

function diskOf(directory: string): Look['disk'] {
  try {
    const { bsize, bavail, blocks } = statfsSync(directory)
    return { free: bsize * bavail, total: bsize * blocks }
  } catch {
    return undefined
  }
}
