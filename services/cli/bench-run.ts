/** What `tidemark bench` does: workload after workload, a line for each as soon as it is measured. */
import { connect, type Tidemark } from '../client/index.ts'
import type { BenchOptions, WorkloadName } from './bench-options.ts'
import type { Measured } from './measure.ts'
import type { Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import { progress } from './progress.ts'
import { runWorkload } from './workload.ts'

const DEFAULT: readonly WorkloadName[] = ['put', 'get', 'many', 'put-one', 'get-one']
/** Operations that fail before the run ends with the failure. */
const FAILURES_MAX = 1000

export interface Benched extends Measured {
  /** Rows that were read and are not there. */
  readonly missing: number
  /** What the first failure said. */
  readonly error?: string
}

export async function runBench(
  names: readonly WorkloadName[],
  options: Globals & BenchOptions,
): Promise<void> {
  const format = formatOf(options)
  const all: Benched[] = []
  const db = connect({
    server: options.server,
    keyspace: options.keyspace,
    deadlineMs: options.timeout,
    connections: options.connections,
    retryUnreachable: false,
  })
  try {
    for (const name of names.length === 0 ? DEFAULT : names) {
      const one = await bench(name, db, options)
      all.push(one)
      if (format === 'jsonl') await write(jsonText(one, format))
      if (format === 'raw') await write(`${cells(one).join('\t')}\n`)
    }
  } finally {
    await db.close()
  }
  if (format === 'json') await write(jsonText(all, format))
  if (format === 'table') await write(tableText(HEADINGS, all.map(cells)))
  for (const { name, failed, missing, error } of all) {
    if (failed > 0) process.stderr.write(`tidemark: ${failed} of ${name} failed, first: ${error ?? ''}\n`)
    if (missing > 0)
      process.stderr.write(`tidemark: ${missing} rows of ${name} were not there; "bench load" writes them\n`)
  }
  if (all.some(({ failed }) => failed > 0)) process.exitCode = 1
}

async function bench(name: WorkloadName, db: Tidemark, options: BenchOptions & Globals): Promise<Benched> {
  const line = progress(`operations of ${name}`)
  let missing = 0
  let failures = 0
  let first: unknown
  try {
    const measured = await runWorkload(
      name,
      db,
      { ...options, ms: options.duration },
      {
        onProgress: line.show,
        onMissing: (rows) => (missing += rows),
        onFailure: (error) => {
          first ??= error
          failures += 1
          if (failures >= FAILURES_MAX) throw first
        },
      },
    )
    return { ...measured, missing, ...(first instanceof Error ? { error: first.message } : {}) }
  } finally {
    line.end()
  }
}

const HEADINGS = [
  ...['WORKLOAD', 'PER SECOND', 'P50 MS', 'P90 MS', 'P99 MS', 'P99.9 MS', 'MAX MS', 'CLIENT US', 'FAILED'],
]

const cells = ({ name, perSecond, failed, clientMicros, ...measured }: Benched): string[] => [
  name,
  String(Math.round(perSecond)),
  ...(['p50Ms', 'p90Ms', 'p99Ms', 'p999Ms', 'maxMs'] as const).map((field) => measured[field].toFixed(2)),
  clientMicros.toFixed(2),
  String(failed),
]
