/**
 * What a client asks for next, by seed: every kind of call, over few keys, so that calls meet. Each client prefers some kinds, another mix in
 * each run. What depends on what was seen before (versions, offsets) comes from what this client has seen.
 */
import { encodeMutation } from '../core/encode.ts'
import { bytesToText } from '../core/bytes.ts'
import { partitionOf } from '../core/partitioner.ts'
import { spoil } from '../core/testing/mutate.ts'
import type { Prng } from '../core/testing/prng.ts'
import type { NewRecord } from '../core/types.ts'
import type { At, Call, ForeignCall, OperationKind, Range, RowSeen, WriteCall } from './history.ts'
import { toMutation } from './perform.ts'

const KEYS = 10
const COUNTERS = 4

export interface Facts {
  readonly partitions: number
  /** Request ids that nobody used. */
  readonly requestId: () => string
  /** What the client has seen: its session. */
  readonly seen: ReadonlyMap<number, number>
  readonly rows: ReadonlyMap<string, RowSeen>
  /** Places of mutations that were acknowledged to it. */
  readonly written: readonly At[]
}

export const OPERATIONS: readonly OperationKind[] = [
  'put',
  'cas',
  'ttl',
  'delete',
  'increment',
  'txn',
  'get-linearizable',
  'get-session',
  'get-eventual',
  'get-at',
  'getMany',
  'scan',
  'watch',
  'history',
  'outcome',
  'foreign',
  'rubbish',
  'cut',
]

/** How often which kind comes: some of them, with weights of their own. */
export function mixOf(random: Prng): readonly OperationKind[] {
  const kinds = OPERATIONS.filter(() => random.chance(70))
  const mix = kinds.flatMap((kind) => Array.from({ length: 1 + random.below(4) }, () => kind))
  return mix.length === 0 ? OPERATIONS : mix
}

export function nextCall(random: Prng, mix: readonly OperationKind[], facts: Facts): Call {
  const kind = mix[random.below(mix.length)] ?? 'put'
  const key = `k${random.below(KEYS)}`
  const counter = `n${random.below(COUNTERS)}`
  const requestId = facts.requestId()
  const token: readonly At[] = [...facts.seen].map(([partition, offset]) => ({ partition, offset }))
  const own = random.chance(50) ? token : []
  const consistency = random.pick(['linearizable', 'session', 'eventual'])
  const version = facts.rows.get(key)?.version ?? 0
  const ttlMs = random.pick([1, 50, 500, 3000])
  const value = `${requestId} ${'x'.repeat(random.pick([0, 3, 300]))}`
  const durability = random.chance(15) ? ({ durability: 'logged' } as const) : {}
  const condition = random.chance(20) ? { ifVersion: version } : {}
  switch (kind) {
    case 'put':
      return { kind: 'put', key, value, requestId, ...durability }
    case 'cas':
      return { kind: 'put', key, value, requestId, ifVersion: random.chance(80) ? version : 0 }
    case 'ttl':
      return { kind: 'put', key, value, requestId, ttlMs, ...condition }
    case 'delete':
      return { kind: 'delete', key, requestId, ...condition }
    case 'increment':
      return {
        kind: 'increment',
        key: random.chance(90) ? counter : key,
        delta: String(1 + random.below(9)),
        requestId,
        ...(random.chance(10) ? { ttlMs } : {}),
        ...durability,
      }
    case 'txn':
      return transaction(random, facts, requestId, value)
    case 'get-at': {
      const row = [...facts.rows.values()][random.below(Math.max(1, facts.rows.size))]
      if (row === undefined) return { kind: 'get', key, consistency, token: own }
      const at = Math.max(0, row.version - random.below(3))
      return { kind: 'get', key: row.key, consistency: 'session', token: own, at }
    }
    case 'get-linearizable':
    case 'get-session':
    case 'get-eventual': {
      const which = random.chance(50) ? key : counter
      const sent = kind === 'get-session' ? token : own
      return { kind: 'get', key: which, consistency: kind.slice(4) as 'session', token: sent }
    }
    case 'getMany':
      return { kind: 'getMany', keys: [key, counter, key, `k${random.below(KEYS)}`], consistency, token: own }
    case 'scan':
      return {
        kind: 'scan',
        ...range(random),
        consistency,
        token: own,
        ...(random.chance(30) ? { reverse: true } : {}),
        ...(random.chance(20) ? { keysOnly: true } : {}),
        ...(random.chance(30) ? { limit: 1 + random.below(5) } : {}),
      }
    case 'watch': {
      const resume = random.chance(40) ? token : []
      return {
        kind: 'watch',
        ...range(random),
        resume,
        initialRows: resume.length === 0 && random.chance(50),
        exact: random.chance(30),
        previousRows: random.chance(50),
      }
    }
    case 'history':
      return { kind: 'history', key, limit: random.below(4), consistency, token: own }
    case 'outcome': {
      const { partition, offset } = facts.written[random.below(Math.max(1, facts.written.length))] ?? {
        partition: random.below(facts.partitions),
        offset: random.below(10),
      }
      return { kind: 'outcome', partition, offset }
    }
    case 'foreign':
    case 'rubbish':
      return foreign(kind, random, facts, { kind: 'put', key, value, requestId, ...condition })
    case 'cut':
      return { kind: 'cut' }
    default:
      return kind satisfies never
  }
}

function range(random: Prng): Range {
  const [one, other] = [`k${random.below(KEYS)}`, `n${random.below(COUNTERS)}`]
  return random.pick([
    { start: '' },
    { start: one },
    { start: one, end: other },
    { start: one, end: `${one}\0` },
  ])
}

function transaction(random: Prng, { partitions, rows }: Facts, requestId: string, value: string): Call {
  // The keys of one transaction must share a partition.
  const first = `k${random.below(KEYS)}`
  const placed = (key: string): number => partitionOf(Buffer.from(key, 'latin1'), partitions, { kind: 'key' })
  const near = [...Array(KEYS).keys()]
    .map((at) => `k${at}`)
    .filter((key) => key !== first && placed(key) === placed(first))
  const second = near[random.below(Math.max(1, near.length))]
  const known = rows.get(first)
  const compare = random.chance(50)
    ? ({ key: first, operator: 'equal', version: known?.version ?? 0 } as const)
    : ({ key: first, operator: 'not-equal', value: known?.value ?? value } as const)
  return {
    kind: 'txn',
    requestId,
    compares: random.chance(80) ? [compare] : [],
    thenChanges: [
      { kind: 'put', key: first, value },
      ...(second === undefined ? [] : [{ kind: 'delete', key: second } as const]),
    ],
    elseChanges: random.chance(50) ? [{ kind: 'put', key: second ?? first, value, ttlMs: 400 }] : [],
    thenReads: random.chance(50) ? [{ key: first, when: random.pick(['before', 'after']) }] : [],
    elseReads: [],
  }
}

/** A record of a direct producer; `rubbish` is one in which some bytes are wrong. */
function foreign(
  kind: ForeignCall['kind'],
  random: Prng,
  { partitions }: Facts,
  write: WriteCall & { readonly key: string },
): ForeignCall {
  const plain = encodeMutation(toMutation(write))
  const record: NewRecord = kind === 'foreign' ? plain : spoil(random, plain, [plain])
  const right = partitionOf(Buffer.from(write.key, 'latin1'), partitions, { kind: 'key' })
  return {
    kind,
    partition: kind === 'rubbish' && random.chance(20) ? random.below(partitions) : right,
    key: record.key === null ? null : bytesToText(record.key),
    value: record.value === null ? null : bytesToText(record.value),
    headers: Object.fromEntries([...record.headers].map(([name, bytes]) => [name, bytesToText(bytes)])),
  }
}
