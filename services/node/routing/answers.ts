/** From a peer's answers to the words of the face. Bytes are not copied. The way there is requests.ts. */
import { TidemarkError, isReason } from '../../../streams/core/errors.ts'
import {
  type ChangeKind,
  type Outcome,
  REJECTIONS,
  type Rejection,
  type Row,
} from '../../../streams/core/mutation.ts'
import { type Partition, type Position, offset, partition } from '../../../streams/core/types.ts'
import type {
  Barrier,
  Consistency,
  Provenance,
  Token,
  WatchEvent,
  WatchMark,
  WatchMessage,
} from '../../../streams/face.ts'
import {
  type BarrierResponse,
  type WatchEvent as WatchEventMessage,
  WatchEvent_Kind as Kind,
  WatchMark as Mark,
  type WatchResponse,
} from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import {
  Consistency as ConsistencyNumber,
  type Header,
  type Outcome as OutcomeMessage,
  type Row as RowMessage,
  type Token as TokenMessage,
} from '../../../proto/generated/tidemark/v1/types.ts'

/** What a peer should never send: it is of another version, or has a bug. */
export const strange = (what: string): TidemarkError =>
  new TidemarkError('INTERNAL', `a peer's answer cannot be read: ${what}`)

const CONSISTENCIES: Readonly<Partial<Record<ConsistencyNumber, Consistency>>> = {
  [ConsistencyNumber.CONSISTENCY_EVENTUAL]: 'eventual',
  [ConsistencyNumber.CONSISTENCY_SESSION]: 'session',
  [ConsistencyNumber.CONSISTENCY_LINEARIZABLE]: 'linearizable',
}

export const consistencyOf = (number: ConsistencyNumber): Consistency => CONSISTENCIES[number] ?? 'eventual'

/** @param asked - the partition of the request: the header has none while it is empty */
export function provenanceOf(header: Header | undefined, asked: Partition): Provenance {
  if (header === undefined) throw strange('it has no header')
  return {
    partition: asked,
    applied: header.applied === undefined ? undefined : offset(header.applied.offset),
    logEnd: offset(header.logEnd),
    logEndAgeMs: header.logEndAgeMs,
    consistency: consistencyOf(header.consistency),
  }
}

export const rowOf = (row: RowMessage): Row => ({
  key: row.key,
  value: row.value,
  version: offset(row.version),
  expiresAt: row.expiresAtMs,
  contentType: row.contentType,
})

export function tokenOf(token: TokenMessage | undefined): Token {
  if (token === undefined) throw strange('it has no token')
  return { logIdentity: token.logIdentity, positions: positionsOf(token) }
}

const positionsOf = (token: TokenMessage | undefined): Position[] =>
  (token?.positions ?? []).map((position) => ({
    keyspace: position.keyspace,
    partition: partition(position.partition),
    offset: offset(position.offset),
  }))

export function outcomeOf(message: OutcomeMessage): Outcome {
  const { applied, reason, position, version, number, succeeded, duplicate } = message
  if (position === undefined) throw strange('an outcome has no position')
  const at = offset(position.offset)
  const versioned = version === undefined ? {} : { version: offset(version) }
  if (!applied) {
    if (!isRejection(reason)) throw strange(`it rejects with ${reason}`)
    return { status: 'rejected', offset: at, reason, ...versioned, duplicate }
  }
  return {
    status: 'applied',
    offset: at,
    ...versioned,
    ...(number === undefined ? {} : { number: BigInt(number) }),
    ...(succeeded === undefined ? {} : { succeeded }),
    duplicate,
  }
}

const isRejection = (reason: string): reason is Rejection => isReason(reason) && reason in REJECTIONS

/** Undefined: the peer remembers none. */
export function barrierOf({ header, outcome, timeMs }: BarrierResponse): Barrier | undefined {
  if (outcome === undefined) return undefined
  if (header?.applied === undefined || outcome.position === undefined)
    throw strange('a barrier has no position')
  return {
    partition: partition(outcome.position.partition),
    offset: offset(outcome.position.offset),
    at: offset(header.applied.offset),
    time: timeMs === 0 ? undefined : timeMs,
    repeated: outcome.duplicate,
  }
}

const KINDS: Readonly<Partial<Record<Kind, ChangeKind>>> = {
  [Kind.KIND_PUT]: 'put',
  [Kind.KIND_DELETED]: 'deleted',
  [Kind.KIND_EXPIRED]: 'expired',
}

export function watchEventOf(event: WatchEventMessage): WatchEvent {
  const kind = KINDS[event.kind]
  if (kind === undefined || event.row === undefined) throw strange(`it has an event of kind ${event.kind}`)
  return {
    kind,
    partition: partition(event.row.partition),
    row: rowOf(event.row),
    time: event.timeMs,
    ...(event.previous === undefined ? {} : { previous: rowOf(event.previous) }),
    ...(event.traceparent === '' ? {} : { traceparent: event.traceparent }),
  }
}

const MARKS: Readonly<Partial<Record<Mark, WatchMark>>> = {
  [Mark.WATCH_MARK_UNSPECIFIED]: 'events',
  [Mark.WATCH_MARK_INITIAL_END]: 'initial-end',
  [Mark.WATCH_MARK_PROGRESS]: 'progress',
  [Mark.WATCH_MARK_DELTA_BEGIN]: 'delta-begin',
}

export function watchMessageOf({ events, token, mark }: WatchResponse): WatchMessage {
  const known = MARKS[mark]
  if (known === undefined) throw strange(`a watch has the mark ${mark}`)
  return { mark: known, events: events.map(watchEventOf), positions: positionsOf(token) }
}
