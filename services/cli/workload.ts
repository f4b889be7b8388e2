/** The workloads of `tidemark bench`; load-tests/ runs the same ones beside the ceilings of the machine. */
import { randomBytes } from 'node:crypto'
import type { ConsistencyName, Keyspace } from '../client/index.ts'
import type { WorkloadName } from './bench-options.ts'
import { type Measured, type Plan, measure } from './measure.ts'
import { zipf } from './zipf.ts'

export interface WorkloadOptions {
  /** Milliseconds that each workload runs. */
  readonly ms: number
  readonly keys: number
  readonly valueBytes: number
  /** Callers, each with one operation on its way; they share frames. */
  readonly clients: number
  /** Operations that begin in a second, whatever the answers do. Default: each caller goes on when it has its answer. */
  readonly rate?: number | undefined
  /** Few keys are asked for often: the exponent, below 1. Default: all alike. */
  readonly zipf?: number | undefined
  /** Per cent of `mix` that read. Default: 95. */
  readonly reads?: number
  readonly consistency?: ConsistencyName | undefined
}

/** Keys of one getMany. */
const BATCH_KEYS = 256

interface Work {
  readonly plan?: Partial<Plan>
  readonly call: () => Promise<unknown>
}

type Hooks = Pick<Plan, 'onProgress' | 'onFailure'>

/** @param onMissing - hears of rows that were read and are not there */
export function runWorkload(
  name: WorkloadName,
  db: Keyspace,
  options: WorkloadOptions,
  { onMissing = () => undefined, ...hooks }: Hooks & { onMissing?: (rows: number) => void } = {},
): Promise<Measured> {
  const { ms, clients, rate } = options
  const next = source(options)
  const read = options.consistency === undefined ? {} : { consistency: options.consistency }
  const put = (): Promise<unknown> => db.put(next.key(), next.value())
  const get = async (): Promise<void> => {
    if ((await db.get(next.key(), read)) === undefined) onMissing(1)
  }
  const many = async (): Promise<void> => {
    const found = await db.getMany(next.keys(BATCH_KEYS), read)
    onMissing(found.filter((row) => row === undefined).length)
  }
  const share = (options.reads ?? 95) / 100
  const works: Record<WorkloadName, () => Work> = {
    load: () => {
      const each = source({ ...options, zipf: undefined })
      return {
        plan: { ms: Infinity, calls: options.keys, perSecond: undefined },
        call: () => db.put(each.key(), each.value()),
      }
    },
    put: () => ({ call: put }),
    get: () => ({ call: get }),
    mix: () => ({ call: () => (Math.random() < share ? get() : put()) }),
    many: () => ({
      plan: {
        loops: Math.max(1, Math.floor(clients / BATCH_KEYS)),
        perSecond: rate === undefined ? undefined : rate / BATCH_KEYS,
        weight: BATCH_KEYS,
      },
      call: many,
    }),
    'put-one': () => ({ plan: { loops: 1 }, call: put }),
    'get-one': () => ({ plan: { loops: 1 }, call: get }),
  }
  const { plan, call } = works[name]()
  return measure({ name, ms, loops: clients, perSecond: rate, ...hooks, ...plan }, call)
}

export interface Source {
  key(): string
  keys(count: number): string[]
  value(): Buffer
}

/** Keys of 20 bytes, each of the set once before any comes again, in no order, or by Zipf; values out of random bytes, made beforehand. */
export function source({
  keys,
  valueBytes,
  zipf: exponent,
}: Pick<WorkloadOptions, 'keys' | 'valueBytes' | 'zipf'>): Source {
  const random = randomBytes(valueBytes + 4096)
  const stride = strideFor(keys)
  const draw = exponent === undefined ? undefined : zipf(keys, exponent)
  let at = Math.floor(Math.random() * keys)
  const key = (): string => {
    at = draw === undefined ? (at + stride) % keys : draw()
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
