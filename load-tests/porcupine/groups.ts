/**
 * The operations of a history as the search takes them: by key, or by the keys that transactions tie together. Writes and linearizable reads
 * only; reads of several keys count as one read of each. What was refused did nothing, what is unknown has no end.
 */
import type {
  Call,
  Change,
  History,
  OutcomeSeen,
  Result,
  RowSeen,
  WriteCall,
} from '../../streams/sim/history.ts'
import { isWrite } from '../../streams/sim/history.ts'
import { gather, placeOf, wantedOfCall } from '../../streams/sim/check/evidence.ts'
import type { Evidence, Operation } from '../../streams/sim/check/evidence.ts'

export interface Group {
  readonly keys: readonly string[]
  readonly operations: readonly SearchOperation[]
}

interface SearchChange {
  readonly kind: Change['kind']
  readonly key: number
  readonly value: string
  readonly mayExpire: boolean
}

interface SearchInput {
  readonly sign: number
  readonly kind: 'get' | 'write' | 'txn'
  readonly key?: number
  readonly change?: SearchChange
  readonly ifVersion?: number | undefined
  readonly compares?: readonly object[]
  readonly then?: readonly SearchChange[]
  readonly else?: readonly SearchChange[]
}

interface SearchOutput {
  readonly told: boolean
  readonly row?: { readonly value: string; readonly version: number } | null
  readonly applied?: boolean
  readonly reason?: string | undefined
  readonly version?: number | undefined
  readonly number?: string | undefined
  readonly succeeded?: boolean | undefined
}

export interface SearchOperation {
  /** `seq` of its call. */
  readonly entry: number
  readonly call: number
  readonly return: number
  readonly input: SearchInput
  readonly output: SearchOutput
}

/** One that takes part, before its keys have numbers. */
interface Part {
  readonly operation: Operation
  readonly end: number
  readonly write: WriteCall | undefined
  readonly read: { readonly key: string; readonly row: RowSeen | null } | undefined
  readonly output: SearchOutput
}

export function groupsOf(history: History): readonly Group[] {
  const evidence = gather(history)
  const parts = partsOf(evidence)
  const roots = rootsOf(parts)
  const byRoot = new Map<string, { readonly keys: string[]; readonly parts: Part[] }>()
  for (const part of parts)
    for (const [at, key] of keysOf(part).entries()) {
      const root = rootOf(roots, key)
      let group = byRoot.get(root)
      if (group === undefined) byRoot.set(root, (group = { keys: [], parts: [] }))
      if (!group.keys.includes(key)) group.keys.push(key)
      if (at === 0) group.parts.push(part)
    }
  return [...byRoot.values()].map((group) => ({
    keys: group.keys,
    operations: group.parts.map((part) => toSearch(part, group.keys, evidence)),
  }))
}

function partsOf(evidence: Evidence): readonly Part[] {
  const never = (evidence.history.entries.at(-1)?.seq ?? 0) + 1
  const parts: Part[] = []
  const sent = new Map<string, number>()
  const applied = appliedContents(evidence)
  for (const operation of evidence.operations) {
    const { call } = operation.call
    const result = operation.answered?.result
    const end = result?.status === 'ok' ? (operation.answered?.seq ?? never) : never
    if (result?.status === 'failed') continue
    if (!isWrite(call)) {
      const output: SearchOutput = { told: false }
      for (const write of foreignWrites(operation, evidence, applied))
        parts.push({ operation, end, write, read: undefined, output })
      for (const read of readsOf(call, result)) {
        const { row } = read
        const shown = row === null ? null : { value: row.value, version: row.version }
        parts.push({ operation, end, write: undefined, read, output: { told: true, row: shown } })
      }
      continue
    }
    const part: Part = { operation, end, write: call, read: undefined, output: outputOf(call, result) }
    const { requestId } = call
    const before = requestId === undefined ? undefined : sent.get(requestId)
    if (before === undefined) {
      if (requestId !== undefined) sent.set(requestId, parts.length)
      parts.push(part)
    } else {
      // One request, sent again: it took place between the first call and the first answer.
      const first = parts[before]
      if (first !== undefined && part.end < first.end) parts[before] = { ...part, operation: first.operation }
    }
  }
  return parts
}

/** Linearizable ones. */
function readsOf(
  call: Call,
  result: Result | undefined,
): readonly { readonly key: string; readonly row: RowSeen | null }[] {
  const answer = result?.status === 'ok' ? result.answer : undefined
  if (answer?.kind !== 'rows' || !('consistency' in call) || call.consistency !== 'linearizable') return []
  const { rows } = answer
  switch (call.kind) {
    case 'get':
      return call.at === undefined ? [{ key: call.key, row: rows[0] ?? null }] : []
    case 'getMany':
      return call.keys.map((key, at) => ({ key, row: rows[at] ?? null }))
    case 'scan':
      return call.keysOnly === true
        ? []
        : rows.flatMap((row) => (row === null ? [] : [{ key: row.key, row }]))
    default:
      return []
  }
}

/** Everything that some record of the log did. */
function appliedContents({ truth }: Evidence): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { records } of truth.partitions)
    for (const { wanted, outcomes } of records)
      for (const [at, outcome] of outcomes.entries())
        if (outcome.status === 'applied') found.add(wanted[at]?.content ?? '')
  return found
}

/**
 * Of a record produced past the nodes: what it asks for, unless the log refused it for what it is. Where nobody was told its place, rubbish
 * counts only if the log holds it.
 */
function foreignWrites(
  operation: Operation,
  { truth }: Evidence,
  applied: ReadonlySet<string>,
): readonly WriteCall[] {
  const placed = placeOf(operation)
  const told = placed === undefined ? undefined : truth.of(placed.partition).record(placed.offset)
  return (wantedOfCall(operation.call.call) ?? []).flatMap(({ content }, at) => {
    const outcome = told?.outcomes[at]
    const depends = ['VERSION_MISMATCH', 'NOT_A_NUMBER', 'NUMBER_OVERFLOW']
    if (outcome?.status === 'rejected' && !depends.includes(outcome.reason)) return []
    if (told === undefined ? !applied.has(content) : outcome === undefined) return []
    const write = writeOf(content)
    return write === undefined ? [] : [write]
  })
}

/** The counterpart of `contentOf` for rows; no client produces transactions past the nodes. */
export function writeOf(content: string): WriteCall | undefined {
  const [kind, key = '', value = '', ...rest] = JSON.parse(content) as (string | number | null)[]
  const [ttl, ifVersion] = [rest[0] ?? undefined, rest.at(-1) ?? undefined]
  const condition = typeof ifVersion === 'number' ? { ifVersion } : {}
  const ttlMs = typeof ttl === 'number' ? { ttlMs: ttl } : {}
  if (kind === 'put') return { kind, key: String(key), value: String(value), ...ttlMs, ...condition }
  if (kind === 'increment') return { kind, key: String(key), delta: String(value), ...ttlMs, ...condition }
  if (kind !== 'delete') return undefined
  return { kind, key: String(key), ...(typeof value === 'number' ? { ifVersion: value } : {}) }
}

function outputOf(call: WriteCall, result: Result | undefined): SearchOutput {
  const answer = result?.status === 'ok' ? result.answer : undefined
  const outcome: OutcomeSeen | undefined = answer?.kind === 'written' ? answer.outcome : undefined
  if (answer?.kind !== 'written' || outcome === undefined) return { told: false }
  const { applied, reason, number, succeeded } = outcome
  // The rows that a transaction writes have its own place as version.
  const version = call.kind === 'txn' ? (outcome.offset ?? answer.offset) : outcome.version
  return { told: true, applied, reason, version, number, succeeded }
}

// ---- keys that belong together ----

function keysOf({ write, read }: Part): readonly string[] {
  if (read !== undefined) return [read.key]
  if (write === undefined) return []
  if (write.kind !== 'txn') return [write.key]
  const { compares, thenChanges, elseChanges } = write
  return [...new Set([...compares, ...thenChanges, ...elseChanges].map(({ key }) => key))]
}

function rootsOf(parts: readonly Part[]): Map<string, string> {
  const roots = new Map<string, string>()
  for (const part of parts) {
    const [first = '', ...others] = keysOf(part)
    for (const key of others) roots.set(rootOf(roots, key), rootOf(roots, first))
  }
  return roots
}

function rootOf(roots: Map<string, string>, key: string): string {
  let root = key
  for (let next = roots.get(root); next !== undefined && next !== root; next = roots.get(root)) root = next
  return root
}

function toSearch(
  { operation, end, write, read, output }: Part,
  keys: readonly string[],
  { truth }: Evidence,
): SearchOperation {
  const { seq } = operation.call
  const times = { entry: seq, call: seq, return: end }
  const place = (key: string): number => keys.indexOf(key)
  const sign = -2 - seq
  if (read !== undefined) return { ...times, input: { sign, kind: 'get', key: place(read.key) }, output }
  const toChange = (change: Change): SearchChange => ({
    kind: change.kind,
    key: place(change.key),
    value: change.kind === 'put' ? change.value : change.kind === 'increment' ? change.delta : '',
    mayExpire: truth
      .of(truth.partitionOf(change.key))
      .versions(change.key)
      .some(({ kind }) => kind === 'expired'),
  })
  if (write === undefined) throw new Error(`entry ${seq} neither reads nor writes`)
  if (write.kind !== 'txn') {
    const { ifVersion } = write
    return {
      ...times,
      input: { sign, kind: 'write', key: place(write.key), change: toChange(write), ifVersion },
      output,
    }
  }
  const compares = write.compares.map(({ key, ...compare }) => ({ key: place(key), ...compare }))
  const branches = { then: write.thenChanges.map(toChange), else: write.elseChanges.map(toChange) }
  return { ...times, input: { sign, kind: 'txn', compares, ...branches }, output }
}
