/** The workloads of `tidemark bench`; load-tests/bench runs the same ones beside the ceilings of the machine. */
import { randomBytes } from 'node:crypto'
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import type { Keyspace } from '../client/index.ts'
import { withClient, type Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'

export interface WorkloadOptions {
  /** Milliseconds that each workload runs. */
  readonly ms: number
  readonly keys: number
  readonly valueBytes: number
  /** Operations in flight, kept up by as many loops that await each one. */
  readonly inFlight: number
}

export interface Measured {
  readonly name: string
  readonly operations: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export async function runBench(
  options: Globals & {
    readonly duration: number
    readonly keys: number
    readonly valueBytes: number
    readonly inFlight: number
  },
): Promise<void> {
  const measured = await withClient(options, (db) => runWorkloads(db, { ...options, ms: options.duration }))
  const format = formatOf(options)
  if (format === 'json') return write(jsonText(measured, format))
  if (format === 'jsonl') return write(measured.map((one) => jsonText(one, format)).join(''))
  const rows = measured.map(({ name, perSecond, p50Ms, p99Ms, maxMs }) => [
    name,
    String(Math.round(perSecond)),
    ...[p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(2)),
  ])
  if (format === 'raw') return write(rows.map((row) => `${row.join('\t')}\n`).join(''))
  return write(tableText(['WORKLOAD', 'PER SECOND', 'P50 MS', 'P99 MS', 'MAX MS'], rows))
}

export async function runWorkloads(db: Keyspace, options: WorkloadOptions): Promise<Measured[]> {
  const measured: Measured[] = []
  for (const workload of Object.values(WORKLOADS)) measured.push(await workload(db, options))
  return measured
}

/** Keys of one getMany. */
const BATCH_KEYS = 256

export const WORKLOADS = {
  put: (db, options) => {
    const next = source(options)
    const plan = { name: `put, ${options.inFlight} in flight`, ms: options.ms, loops: options.inFlight }
    return measure(plan, () => db.put(next.key(), next.value()))
  },
  get: (db, options) => {
    const next = source(options)
    const plan = { name: `get, ${options.inFlight} in flight`, ms: options.ms, loops: options.inFlight }
    return measure(plan, () => db.get(next.key()))
  },
  getMany: (db, options) => {
    const next = source(options)
    const loops = Math.max(1, Math.floor(options.inFlight / BATCH_KEYS))
    const name = `getMany of ${BATCH_KEYS}, ${loops} in flight (keys)`
    return measure({ name, ms: options.ms, loops, weight: BATCH_KEYS }, () =>
      db.getMany(next.keys(BATCH_KEYS)),
    )
  },
  putOne: (db, options) => {
    const next = source(options)
    return measure({ name: 'put, one at a time', ms: options.ms, loops: 1 }, () =>
      db.put(next.key(), next.value()),
    )
  },
  getOne: (db, options) => {
    const next = source(options)
    return measure({ name: 'get, one at a time', ms: options.ms, loops: 1 }, () => db.get(next.key()))
  },
} satisfies Record<string, (db: Keyspace, options: WorkloadOptions) => Promise<Measured>>

export interface Source {
  key(): string
  keys(count: number): string[]
  value(): Buffer
}

/** Keys of 20 bytes, each of the set once before any comes again, in no order; values out of random bytes, made beforehand. */
export function source({ keys, valueBytes }: Pick<WorkloadOptions, 'keys' | 'valueBytes'>): Source {
  const random = randomBytes(valueBytes + 4096)
  const stride = strideFor(keys)
  let at = Math.floor(Math.random() * keys)
  const key = (): string => {
    at = (at + stride) % keys
    return `bench:${String(at).padStart(14, '0')}`
  }
  return {
    key,
    keys: (count: number): string[] => Array.from({ length: count }, key),
    value: (): Buffer => random.subarray(at % 4096, (at % 4096) + valueBytes),
  }
}

/** Shares no factor with the number of keys, so that steps of it visit each of them once in a round, far apart. */
function strideFor(keys: number): number {
  const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
  let stride = Math.max(1, Math.floor(keys * 0.618))
  while (gcd(stride, keys) !== 1) stride += 1
  return stride
}

export interface Plan {
  readonly name: string
  /** Milliseconds after which no further call is started. */
  readonly ms: number
  /** Callers that each await one call after the other. */
  readonly loops: number
  /** Operations that one call counts for. Default: 1. */
  readonly weight?: number
  /** At most so many calls. Default: no bound. */
  readonly calls?: number
}

export async function measure(plan: Plan, call: () => Promise<unknown>): Promise<Measured> {
  const { name, ms, loops, weight = 1, calls = Infinity } = plan
  const latency = createHistogram()
  const began = performance.now()
  const until = began + ms
  let started = 0
  const loop = async (): Promise<void> => {
    for (let before = performance.now(); before < until && started < calls;) {
      started += 1
      await call()
      const now = performance.now()
      latency.record(Math.max(1, Math.round((now - before) * 1e6)))
      before = now
    }
  }
  await Promise.all(Array.from({ length: loops }, loop))
  return summary(name, started * weight, performance.now() - began, latency)
}

function summary(name: string, operations: number, ms: number, latency: RecordableHistogram): Measured {
  return {
    name,
    operations,
    perSecond: (operations * 1000) / ms,
    p50Ms: latency.percentile(50) / 1e6,
    p99Ms: latency.percentile(99) / 1e6,
    maxMs: latency.max / 1e6,
  }
}
