/**
 * apply: (state, record) → (changes, outcome). Pure in the sense that counts: it reads the log and the state alone, no clock, no
 * random number, no locale, no setting of the node (invariant I1); it is total (I2) and its work is bounded by the size of the
 * record. Every replica runs it on every record and comes to the same effects, for ever: all rules here are FROZEN.
 *
 * Order within a record: partition time, rows that are due expire, then the request id, then the mutation.
 */
import { unreachable } from './assert.ts'
import { ByteWriter } from './bytes.ts'
import { differs, passCheckpoint } from './checkpoints.ts'
import { hasVersion, holds, sum } from './conditions.ts'
import type { Command, Step } from './command.ts'
import { chainHash } from './effects.ts'
import type { Change, RecordEffects } from './effects.ts'
import { changeFormat, mayChangeFormat } from './format.ts'
import { DEDUPE_IDS_MAX, DEDUPE_RENEW_IDS, EXPIRIES_PER_RECORD_MAX, LOG_TIME_MAX } from './limits.ts'
import type {
  ChangeKind,
  Outcome,
  Rejection,
  RowMutation,
  TransactionChange,
  TransactionMutation,
} from './mutation.ts'
import { partitionOf } from './partitioner.ts'
import { encodeRow, tombstone } from './row.ts'
import type { StoredRow } from './row.ts'
import { newSession, recall, remember } from './session.ts'
import type { PartitionState } from './state.ts'
import { splitRequestId } from './text.ts'
import type { Epoch, LogRecord, LogTime, Offset } from './types.ts'
import type { WorkingSet } from './working-set.ts'

/** The record asks for a format that this build does not know; nothing was changed (invariant I9). */
export interface Stop {
  readonly stop: 'FORMAT_TOO_NEW'
  readonly version: number
}

interface Context {
  readonly state: PartitionState
  readonly work: WorkingSet
  readonly offset: Offset
  readonly time: LogTime
  readonly changes: Change[]
  readonly outcomes: Outcome[]
  duplicateOf: Offset | undefined
  /** What became of each put of the record: one object for all, as sessions keep it for long. */
  put: Outcome | undefined
  diverged: Offset | undefined
}

const scratch = new ByteWriter(64 * 1024)

/** Changes `state` and `work` in place; on Stop neither. */
export function applyRecord(
  state: PartitionState,
  work: WorkingSet,
  record: LogRecord,
  command: Command,
): RecordEffects | Stop {
  if (command.kind === 'too-new' && mayChangeFormat(state, command.epoch))
    return { stop: 'FORMAT_TOO_NEW', version: command.version }
  passCheckpoint(state, record.offset)
  state.time = partitionTime(state.time, record.time)
  const context: Context = {
    state,
    work,
    offset: record.offset,
    time: state.time,
    changes: [],
    outcomes: [],
    duplicateOf: undefined,
    put: undefined,
    diverged: undefined,
  }
  expireDue(context)
  perform(context, command)
  const { offset, time, changes, outcomes, duplicateOf } = context
  for (const outcome of outcomes) if (outcome.status === 'rejected' && !outcome.duplicate) state.rejected += 1
  const effects: RecordEffects = { offset, time, outcomes, changes, duplicateOf }
  state.chain = chainHash(scratch, state.chain, effects)
  state.next = (offset + 1) as Offset
  return context.diverged === undefined ? effects : { ...effects, diverged: context.diverged }
}

function perform(context: Context, command: Command): void {
  const { state, outcomes } = context
  switch (command.kind) {
    case 'row':
      outcomes.push(performStep(context, command.step))
      return
    case 'txn':
      outcomes.push(performTransaction(context, command.mutation))
      return
    case 'pack':
      performPack(context, command.steps, command.requestId)
      return
    case 'rejected':
      outcomes.push(rejection(context, command.reason))
      return
    case 'lead':
      state.epoch = context.offset as number as Epoch
      state.leader = command.nodeId
      state.incarnation = command.incarnation
      return
    case 'tick':
      if (command.epoch !== state.epoch) outcomes.push(rejection(context, 'STALE_EPOCH'))
      return
    case 'mark':
      // Epoch 0 is that of no leader.
      if (state.epoch === 0 || command.epoch !== state.epoch) outcomes.push(rejection(context, 'STALE_EPOCH'))
      else context.diverged = differs(state, command.checkpoint) ? command.checkpoint.at : undefined
      return
    case 'format': {
      const refused = changeFormat(state, command)
      if (refused !== undefined) outcomes.push(rejection(context, refused))
      return
    }
    case 'too-new':
      outcomes.push(rejection(context, 'STALE_EPOCH'))
      return
    case 'barrier':
      return
    default:
      unreachable(command)
  }
}

/** The greatest log time so far. A time that no clock shows (a topic that is not stamped by its broker) does not count. */
export const partitionTime = (before: LogTime, time: LogTime): LogTime =>
  time > before && time <= LOG_TIME_MAX ? time : before

// ---- expiry ----

/** A row is gone for readers from the moment it is due; here its end becomes a change, at most so many for one record. */
function expireDue(context: Context): void {
  for (let expired = 0; expired < EXPIRIES_PER_RECORD_MAX; expired++) {
    const due = context.work.takeDue(context.time)
    if (due === undefined) return
    change(context, 'expired', due.key, tombstone('expired', context.offset), undefined)
  }
}

/** The living row. One that is due and had not its turn yet expires now, so that no change ever rests on a dead row. */
function liveRow(context: Context, key: Uint8Array): StoredRow | undefined {
  const row = context.work.row(key)
  if (row?.tombstone !== 'none') return undefined
  if (row.expiresAt === 0 || row.expiresAt > context.time) return row
  change(context, 'expired', key, tombstone('expired', context.offset), undefined)
  return undefined
}

// ---- request ids ----

/** What became of the first record with this request id; undefined when there was none. */
function recalled(context: Context, requestId: string): Outcome | undefined {
  const seen = lookUp(context, requestId)
  if (seen === 'forgotten') return rejection(context, 'REQUEST_ID_FORGOTTEN')
  if (seen !== 'new') return { ...seen, duplicate: true }
  return undefined
}

function lookUp(context: Context, requestId: string): Outcome | 'forgotten' | 'new' {
  const { session, sequence } = splitRequestId(requestId)
  const known = context.work.session(session)
  return known === undefined ? 'new' : recall(known, sequence)
}

/** @returns the outcome */
function rememberOutcome(context: Context, requestId: string, outcome: Outcome): Outcome {
  const { state, work } = context
  const { session: id, sequence } = splitRequestId(requestId)
  state.ids += 1
  work.forgetSessions(state.ids - DEDUPE_IDS_MAX)
  const known = work.session(id)
  const session = known ?? newSession(state.ids)
  const isNew = known === undefined
  const before = session.arrival
  if (state.ids - session.arrival > DEDUPE_RENEW_IDS) session.arrival = state.ids
  remember(session, sequence, outcome)
  work.setSession(id, session, isNew ? undefined : before)
  return outcome
}

// ---- mutations ----

function performPack(context: Context, steps: readonly Step[], requestId: string | undefined): void {
  if (requestId !== undefined) {
    const seen = lookUp(context, requestId)
    if (seen === 'forgotten') {
      context.outcomes.push(rejection(context, 'REQUEST_ID_FORGOTTEN'))
      return
    }
    if (seen !== 'new') {
      context.duplicateOf = seen.offset
      context.outcomes.push({ ...seen, duplicate: true })
      return
    }
  }
  for (const step of steps) context.outcomes.push(performStep(context, step))
  if (requestId !== undefined)
    rememberOutcome(context, requestId, { status: 'applied', offset: context.offset, duplicate: false })
}

function performStep(context: Context, step: Step): Outcome {
  if (step.kind === 'rejected') return rejection(context, step.reason)
  if (isMisplaced(context, step.key)) return rejection(context, 'MISPLACED_KEY')
  if (step.kind === 'put' && step.value.length > context.state.valueBytesMax)
    return rejection(context, 'VALUE_TOO_LARGE')
  const { requestId } = step
  if (requestId === undefined) return performRow(context, step)
  return recalled(context, requestId) ?? rememberOutcome(context, requestId, performRow(context, step))
}

function performRow(context: Context, mutation: RowMutation): Outcome {
  const row = liveRow(context, mutation.key)
  if (mutation.ifVersion !== undefined && !hasVersion(row, mutation.ifVersion)) {
    const found = row === undefined ? {} : { version: row.version }
    return { ...rejection(context, 'VERSION_MISMATCH'), ...found }
  }
  switch (mutation.kind) {
    case 'put': {
      put(
        context,
        mutation.key,
        mutation.value,
        mutation.ttlMs,
        mutation.contentType ?? '',
        mutation.traceparent,
      )
      return (context.put ??= applied(context, context.offset))
    }
    case 'delete': {
      if (row !== undefined)
        change(context, 'deleted', mutation.key, tombstone('deleted', context.offset), mutation.traceparent)
      return applied(context, undefined)
    }
    case 'increment': {
      const number = sum(row, mutation.delta)
      if (typeof number === 'string') return rejection(context, number)
      increment(context, row, mutation.key, number, mutation.ttlMs, mutation.traceparent)
      return { ...applied(context, context.offset), number }
    }
    default:
      return unreachable(mutation)
  }
}

function performTransaction(context: Context, mutation: TransactionMutation): Outcome {
  const { requestId } = mutation
  if (requestId === undefined) return transact(context, mutation)
  return recalled(context, requestId) ?? rememberOutcome(context, requestId, transact(context, mutation))
}

function transact(context: Context, mutation: TransactionMutation): Outcome {
  const { state } = context
  for (const list of [mutation.compares, mutation.thenChanges, mutation.elseChanges])
    for (const { key } of list) if (isMisplaced(context, key)) return rejection(context, 'MISPLACED_KEY')
  for (const list of [mutation.thenChanges, mutation.elseChanges])
    for (const item of list)
      if (item.kind === 'put' && item.value.length > state.valueBytesMax)
        return rejection(context, 'VALUE_TOO_LARGE')
  const succeeded = mutation.compares.every((compare) => holds(liveRow(context, compare.key), compare))
  const branch = succeeded ? mutation.thenChanges : mutation.elseChanges
  const sums: (bigint | undefined)[] = []
  for (const item of branch) {
    const number = item.kind === 'increment' ? sum(liveRow(context, item.key), item.delta) : undefined
    if (typeof number === 'string') return rejection(context, number)
    sums.push(number)
  }
  branch.forEach((item, at) => performChange(context, item, sums[at], mutation.traceparent))
  return { status: 'applied', offset: context.offset, succeeded, duplicate: false }
}

function performChange(
  context: Context,
  item: TransactionChange,
  number: bigint | undefined,
  traceparent: string | undefined,
): void {
  const row = liveRow(context, item.key)
  switch (item.kind) {
    case 'put':
      put(context, item.key, item.value, item.ttlMs, item.contentType ?? '', traceparent)
      return
    case 'delete':
      if (row !== undefined)
        change(context, 'deleted', item.key, tombstone('deleted', context.offset), traceparent)
      return
    case 'increment':
      increment(context, row, item.key, number ?? 0n, item.ttlMs, traceparent)
      return
    default:
      unreachable(item)
  }
}

function put(
  context: Context,
  key: Uint8Array,
  value: Uint8Array,
  ttlMs: number | undefined,
  contentType: string,
  traceparent: string | undefined,
): void {
  const expiresAt = expiryOf(context, ttlMs)
  const row = { tombstone: 'none', version: context.offset, expiresAt, contentType, value } as const
  change(context, 'put', key, row, traceparent)
}

/** When a row that is written anew expires: by its own time to live, else by that of the keyspace; 0 = never. */
function expiryOf({ state, time }: Context, ttlMs: number | undefined): number {
  const livesMs = ttlMs ?? state.defaultTtlMs
  return livesMs === 0 ? 0 : time + livesMs
}

/** A new time to live replaces the row's expiry; without one the row keeps what it has. */
function increment(
  context: Context,
  row: StoredRow | undefined,
  key: Uint8Array,
  number: bigint,
  ttlMs: number | undefined,
  traceparent: string | undefined,
): void {
  const expiresAt = row !== undefined && ttlMs === undefined ? row.expiresAt : expiryOf(context, ttlMs)
  const value = Buffer.from(number.toString(), 'latin1')
  const contentType = row?.contentType ?? ''
  change(
    context,
    'put',
    key,
    { tombstone: 'none', version: context.offset, expiresAt, contentType, value },
    traceparent,
  )
}

/** The only place that changes a row. */
function change(
  context: Context,
  kind: ChangeKind,
  key: Uint8Array,
  row: StoredRow,
  traceparent: string | undefined,
): void {
  const { state, work, changes } = context
  const previous = work.row(key)
  const encoded = encodeRow(row)
  if (previous?.tombstone === 'none') state.rows -= 1
  if (row.tombstone === 'none') state.rows += 1
  // Where this row lies is settled by the placement of keys as it is now.
  state.configured = true
  work.setRow(key, row, encoded)
  changes.push({ kind, key, row, encoded, previous, traceparent })
}

function isMisplaced({ state }: Context, key: Uint8Array): boolean {
  return partitionOf(key, state.partitions, state.partitionBy) !== state.partition
}

// ---- outcomes ----

const applied = (context: Context, version: Offset | undefined): Outcome & { readonly status: 'applied' } =>
  version === undefined
    ? { status: 'applied', offset: context.offset, duplicate: false }
    : { status: 'applied', offset: context.offset, version, duplicate: false }

const rejection = (context: Context, reason: Rejection): Outcome => ({
  status: 'rejected',
  offset: context.offset,
  reason,
  duplicate: false,
})
