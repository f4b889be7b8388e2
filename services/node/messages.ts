/** From the words of the face to those of the proto. Bytes are not copied. */
import { asBuffer } from '../../streams/core/bytes.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import type { Outcome, Row } from '../../streams/core/mutation.ts'
import type { Offset, Partition, Position } from '../../streams/core/types.ts'
import type { Barrier, Consistency, Provenance, WatchEvent, WriteResult } from '../../streams/face.ts'
import type {
  Header,
  Outcome as OutcomeMessage,
  Position as PositionMessage,
  Row as RowMessage,
  Token as TokenMessage,
} from '../../proto/generated/tidemark/v1/types.ts'
import { Consistency as ConsistencyNumber } from '../../proto/generated/tidemark/v1/types.ts'
import {
  type BarrierResponse,
  type WatchEvent as WatchEventMessage,
  WatchEvent_Kind,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'

const CONSISTENCY_NUMBERS = {
  eventual: ConsistencyNumber.CONSISTENCY_EVENTUAL,
  session: ConsistencyNumber.CONSISTENCY_SESSION,
  linearizable: ConsistencyNumber.CONSISTENCY_LINEARIZABLE,
} as const satisfies Record<Consistency, ConsistencyNumber>

export const consistencyMessage = (consistency: Consistency): ConsistencyNumber =>
  CONSISTENCY_NUMBERS[consistency]

export const positionMessage = (keyspace: string, partition: Partition, offset: Offset): PositionMessage => ({
  keyspace,
  partition,
  offset,
})

export const tokenMessage = (logIdentity: string, positions: readonly Position[]): TokenMessage => ({
  logIdentity,
  positions: positions.map(({ keyspace, partition, offset }) => ({ keyspace, partition, offset })),
})

export const headerMessage = (nodeId: string, keyspace: string, provenance: Provenance): Header => ({
  nodeId: provenance.answeredBy ?? nodeId,
  applied:
    provenance.applied === undefined
      ? undefined
      : positionMessage(keyspace, provenance.partition, provenance.applied),
  logEnd: provenance.logEnd,
  logEndAgeMs: provenance.logEndAgeMs,
  consistency: CONSISTENCY_NUMBERS[provenance.consistency],
})

/** A write's answer is a read of the applied stream at its own record; with LOGGED nothing was read, the position is the record's. */
export const writeHeaderMessage = (nodeId: string, keyspace: string, written: WriteResult): Header => ({
  nodeId: written.answeredBy ?? nodeId,
  applied: positionMessage(keyspace, written.partition, written.offset),
  logEnd: written.logEnd,
  logEndAgeMs: written.logEndAgeMs,
  consistency:
    written.outcome === undefined
      ? ConsistencyNumber.CONSISTENCY_UNSPECIFIED
      : ConsistencyNumber.CONSISTENCY_LINEARIZABLE,
})

export const rowMessage = (row: Row, partition: Partition): RowMessage => ({
  key: asBuffer(row.key),
  value: asBuffer(row.value),
  version: row.version,
  partition,
  expiresAtMs: row.expiresAt,
  contentType: row.contentType,
})

export const outcomeMessage = (keyspace: string, partition: Partition, outcome: Outcome): OutcomeMessage => ({
  applied: outcome.status === 'applied',
  reason: outcome.status === 'applied' ? '' : outcome.reason,
  position: positionMessage(keyspace, partition, outcome.offset),
  version: outcome.version,
  number: outcome.status === 'applied' ? outcome.number?.toString() : undefined,
  succeeded: outcome.status === 'applied' ? outcome.succeeded : undefined,
  duplicate: outcome.duplicate,
})

/** @param barrier - undefined: none is remembered */
export const barrierMessage = (
  nodeId: string,
  keyspace: string,
  barrier: Barrier | undefined,
): BarrierResponse => ({
  header:
    barrier === undefined
      ? undefined
      : {
          nodeId: barrier.answeredBy ?? nodeId,
          applied: positionMessage(keyspace, barrier.partition, barrier.at),
          logEnd: barrier.at + 1,
          logEndAgeMs: 0,
          consistency: ConsistencyNumber.CONSISTENCY_LINEARIZABLE,
        },
  outcome:
    barrier === undefined
      ? undefined
      : outcomeMessage(keyspace, barrier.partition, {
          status: 'applied',
          offset: barrier.offset,
          succeeded: true,
          duplicate: barrier.repeated,
        }),
  timeMs: barrier?.time ?? 0,
})

type Rejected = Extract<Outcome, { status: 'rejected' }>

/** A rejection as the error of a unary write: the record stands in the log and changed nothing. */
export const rejectionError = (keyspace: string, partition: Partition, rejected: Rejected): TidemarkError =>
  new TidemarkError(rejected.reason, rejectionText(rejected), {
    metadata: {
      keyspace,
      partition: String(partition),
      offset: String(rejected.offset),
      ...(rejected.reason === 'VERSION_MISMATCH' ? { version: String(rejected.version ?? 0) } : {}),
      ...(rejected.duplicate ? { duplicate: 'true' } : {}),
    },
  })

export function rejectionText(rejected: Rejected): string {
  switch (rejected.reason) {
    case 'VERSION_MISMATCH':
      return rejected.version === undefined
        ? 'the condition does not hold: there is no such row (version 0)'
        : `the condition does not hold: the row has version ${rejected.version}`
    case 'NOT_A_NUMBER':
      return 'the row does not hold the decimal text of a signed 64-bit number'
    case 'NUMBER_OVERFLOW':
      return 'the sum does not fit into a signed 64-bit number'
    default:
      return `the mutation was rejected: ${rejected.reason}`
  }
}

export const KIND_NUMBERS = {
  put: WatchEvent_Kind.KIND_PUT,
  deleted: WatchEvent_Kind.KIND_DELETED,
  expired: WatchEvent_Kind.KIND_EXPIRED,
} as const satisfies Record<WatchEvent['kind'], WatchEvent_Kind>

export const watchEventMessage = (event: WatchEvent): WatchEventMessage => ({
  kind: KIND_NUMBERS[event.kind],
  row: rowMessage(event.row, event.partition),
  timeMs: event.time,
  previous: event.previous === undefined ? undefined : rowMessage(event.previous, event.partition),
  traceparent: event.traceparent ?? '',
})
