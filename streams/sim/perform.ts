/** Carries out calls of a history on a keyspace of a node, and writes down what came back. */
import { assert, must, unreachable } from '../core/assert.ts'
import { bytesToText, textToBytes } from '../core/bytes.ts'
import { CATALOGUE, TidemarkError } from '../core/errors.ts'
import type { Reason } from '../core/errors.ts'
import { REJECTIONS } from '../core/mutation.ts'
import type { Compare, Mutation, Outcome, Row, TransactionChange } from '../core/mutation.ts'
import type { Offset, Partition } from '../core/types.ts'
import type { Keyspace, KeyRange, Provenance, Token, TransactionReads, WatchEvent } from '../face.ts'
import type {
  Answer,
  At,
  Call,
  Change,
  CompareSaid,
  EventSeen,
  OutcomeSeen,
  Range,
  ReadCall,
  HistoryCall,
  OutcomeCall,
  Result,
  RowSeen,
  Shown,
  TransactionCall,
  WatchCall,
  WriteCall,
} from './history.ts'
import type { Recorder } from './recorder.ts'

export interface Asked {
  readonly client: string
  /** Its id, for the record. */
  readonly node: string
  readonly keyspace: Keyspace
  /** Milliseconds since 1970. */
  readonly deadline: number
}

/** Calls that a keyspace of a node answers once. */
export type NodeCall = WriteCall | ReadCall | HistoryCall | OutcomeCall

export async function perform(recorder: Recorder, asked: Asked, call: NodeCall): Promise<Result> {
  const op = recorder.call(asked.client, asked.node, call)
  let result: Result
  try {
    result = { status: 'ok', answer: await answer(asked, call) }
  } catch (caught) {
    result = failureOnNode(call, TidemarkError.from(caught).reason)
  }
  recorder.return(op, result)
  return result
}

/** A watch that runs until it is left or fails. */
export interface RunningWatch {
  /** The newest positions: what a watch that goes on from here resumes. */
  readonly positions: readonly At[]
  leave(): Promise<void>
  readonly ended: Promise<Result>
}

export function performWatch(recorder: Recorder, asked: Asked, call: WatchCall): RunningWatch {
  const op = recorder.call(asked.client, asked.node, call)
  const reached = new Map(call.resume.map(({ partition, offset }) => [partition, offset]))
  let left = false
  let free: () => Promise<unknown> = () => Promise.resolve()
  const run = async (): Promise<Result> => {
    try {
      const messages = await asked.keyspace.watch({
        range: toRange(call),
        ...(call.resume.length === 0 ? {} : { resume: toToken(asked.keyspace, call.resume) }),
        ...(call.partitions === undefined ? {} : { partitions: call.partitions as Partition[] }),
        initialRows: call.initialRows,
        exact: call.exact,
        previousRows: call.previousRows,
      })
      free = () => messages.return?.() ?? Promise.resolve()
      if (left) await free()
      for await (const { mark, events, positions } of messages) {
        if (left) break
        const at = positions.map(({ partition, offset }): At => ({ partition, offset }))
        recorder.seen(op, { mark, events: events.map(toEventSeen), positions: at })
        for (const { partition, offset } of at) reached.set(partition, offset)
      }
      return { status: 'ok', answer: { kind: 'ended' } }
    } catch (caught) {
      return { status: 'failed', reason: TidemarkError.from(caught).reason }
    }
  }
  const ended = run().then((result) => {
    recorder.return(op, result)
    return result
  })
  return {
    get positions() {
      return [...reached].map(([partition, offset]) => ({ partition, offset }))
    },
    async leave() {
      left = true
      await free()
      await ended
    },
    ended,
  }
}

const NOTHING_WAS_APPENDED: readonly Reason[] = [
  'OVERLOADED',
  'NODE_DRAINING',
  'PARTITION_ELSEWHERE',
  'PARTITION_RESTORING',
  'KEYSPACE_NOT_FOUND',
]

/** Whether the input itself was refused, or the log has said no: true whoever was asked, and however often. */
export const isFinal = (reason: Reason): boolean =>
  Object.hasOwn(REJECTIONS, reason) || CATALOGUE[reason].grpc === 'INVALID_ARGUMENT'

/** What an error of a node means for the one call: a read that failed has failed, a write may have been appended. */
function failureOnNode(call: Call, reason: Reason): Result {
  const isWrite = call.kind !== 'history' && call.kind !== 'outcome' && !('consistency' in call)
  if (!isWrite || isFinal(reason) || NOTHING_WAS_APPENDED.includes(reason))
    return { status: 'failed', reason }
  return { status: 'unknown', reason }
}

async function answer(asked: Asked, call: NodeCall): Promise<Answer> {
  const { keyspace, deadline } = asked
  switch (call.kind) {
    case 'put':
    case 'delete':
    case 'increment':
    case 'txn': {
      const { durability } = call
      const options = { deadline, ...(durability === undefined ? {} : { durability }) }
      const reads = call.kind === 'txn' ? toReads(call) : undefined
      const {
        partition,
        offset,
        outcome,
        reads: rows,
      } = await keyspace.write(toMutation(call), options, reads)
      const seen = outcome === undefined ? undefined : toOutcomeSeen(outcome)
      return { kind: 'written', partition, offset, outcome: seen, reads: rows.map(toRowOrNull) }
    }
    case 'get': {
      const key = textToBytes(call.key)
      const freshness = freshnessOf(asked, call)
      const found =
        call.at === undefined
          ? await keyspace.get(key, freshness)
          : await keyspace.getAt(key, call.at as Offset, freshness)
      return { kind: 'rows', rows: [toRowOrNull(found.row)], shown: [toShown(found)] }
    }
    case 'getMany': {
      const found = await keyspace.getMany(call.keys.map(textToBytes), freshnessOf(asked, call))
      return { kind: 'rows', rows: found.rows.map(toRowOrNull), shown: found.provenance.map(toShown) }
    }
    case 'scan': {
      const { partitions: only, reverse, keysOnly, limit } = call
      const scan = await keyspace.scan({
        ...freshnessOf(asked, call),
        range: toRange(call),
        ...(reverse === undefined ? {} : { reverse }),
        ...(keysOnly === undefined ? {} : { keysOnly }),
        limit,
        partitions: only as Partition[] | undefined,
      })
      const rows: RowSeen[] = []
      for await (const some of scan.rows) rows.push(...some.map(toRowSeen))
      const partitions = only ?? Array.from({ length: keyspace.info.partitions }, (_, at) => at)
      const shown = partitions.map((partition): Shown => {
        const position = scan.token.positions.find((one) => (one.partition as number) === partition)
        return { partition, applied: position?.offset ?? -1 }
      })
      return { kind: 'rows', rows, shown }
    }
    case 'history': {
      const found = await keyspace.history(textToBytes(call.key), call.limit, freshnessOf(asked, call))
      const versions = found.versions.map(toEventSeen)
      return { kind: 'versions', versions, earliest: found.earliest, shown: [toShown(found)] }
    }
    case 'outcome': {
      const { partition, offset } = call
      const found = await keyspace.outcome(partition as Partition, offset as Offset, deadline)
      return { kind: 'outcomes', outcomes: found.outcomes.map(toOutcomeSeen), time: found.time }
    }
    default:
      return unreachable(call)
  }
}

// ---- to the node ----

const toRange = ({ start, end }: Range): KeyRange => ({
  start: textToBytes(start),
  end: end === undefined ? undefined : textToBytes(end),
})

const toToken = (keyspace: Keyspace, seen: readonly At[]): Token => ({
  logIdentity: '',
  positions: seen.map(({ partition, offset }) => ({
    keyspace: keyspace.info.name,
    partition: partition as Partition,
    offset: offset as Offset,
  })),
})

function freshnessOf(
  { keyspace, deadline }: Asked,
  { consistency, token }: ReadCall | HistoryCall,
): {
  readonly consistency: ReadCall['consistency']
  readonly token: Token
  readonly deadline: number
} {
  assert(token !== 'own', 'a node keeps no token for its callers')
  return { consistency, token: toToken(keyspace, token), deadline }
}

export function toMutation(call: WriteCall): Mutation {
  const requestId = call.requestId === undefined ? {} : { requestId: call.requestId }
  if (call.kind === 'txn')
    return {
      kind: 'txn',
      compares: call.compares.map(toCompare),
      thenChanges: call.thenChanges.map(toChange),
      elseChanges: call.elseChanges.map(toChange),
      ...requestId,
    }
  const condition = call.ifVersion === undefined ? {} : { ifVersion: call.ifVersion as Offset }
  return { ...toChange(call), ...condition, ...requestId }
}

const toCompare = ({ key, operator, version, value }: CompareSaid): Compare =>
  value === undefined
    ? {
        key: textToBytes(key),
        operator,
        target: 'version',
        version: must(version, 'a version or a value') as Offset,
      }
    : { key: textToBytes(key), operator, target: 'value', value: textToBytes(value) }

function toChange(change: Change): TransactionChange {
  const key = textToBytes(change.key)
  if (change.kind === 'delete') return { kind: 'delete', key }
  const ttl = change.ttlMs === undefined ? {} : { ttlMs: change.ttlMs }
  if (change.kind === 'increment') return { kind: 'increment', key, delta: BigInt(change.delta), ...ttl }
  const type = change.contentType === undefined ? {} : { contentType: change.contentType }
  return { kind: 'put', key, value: textToBytes(change.value), ...ttl, ...type }
}

function toReads({ thenReads, elseReads }: TransactionCall): TransactionReads | undefined {
  if (thenReads.length === 0 && elseReads.length === 0) return undefined
  const toBytes = ({ key, when }: TransactionCall['thenReads'][number]) => ({ key: textToBytes(key), when })
  return { thenReads: thenReads.map(toBytes), elseReads: elseReads.map(toBytes) }
}

// ---- from the node ----

const toShown = ({ partition, applied }: Provenance): Shown => ({ partition, applied: applied ?? -1 })

export const toRowSeen = ({ key, value, version, expiresAt, contentType }: Row): RowSeen => ({
  key: bytesToText(key),
  value: bytesToText(value),
  version,
  expiresAt,
  contentType,
})

const toRowOrNull = (row: Row | undefined): RowSeen | null => (row === undefined ? null : toRowSeen(row))

const toEventSeen = ({ kind, partition, row, time, previous }: WatchEvent): EventSeen => ({
  kind,
  partition,
  row: toRowSeen(row),
  time,
  ...(previous === undefined ? {} : { previous: toRowSeen(previous) }),
})

export function toOutcomeSeen(outcome: Outcome): OutcomeSeen {
  const { offset, version, duplicate } = outcome
  const at = { offset, ...(version === undefined ? {} : { version }), duplicate }
  if (outcome.status === 'rejected') return { applied: false, reason: outcome.reason, ...at }
  const { number, succeeded } = outcome
  return {
    applied: true,
    ...at,
    ...(number === undefined ? {} : { number: String(number) }),
    ...(succeeded === undefined ? {} : { succeeded }),
  }
}
