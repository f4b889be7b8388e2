/** Operations of a frame, to the face and back as results. */
import { asBuffer } from '../../streams/core/bytes.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { PIPELINE_FRAME_BYTES } from '../../streams/core/limits.ts'
import type { Mutation, Row } from '../../streams/core/mutation.ts'
import type { Partition } from '../../streams/core/types.ts'
import type { Keyspace, Provenance, WriteResult } from '../../streams/face.ts'
import {
  PipelineOperationKind as Kind,
  type PipelineDetails,
  type PipelineOperation,
  type PipelineResult,
  type TransactRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { newResult, resultSizeAbout } from '../pipeline-codec.ts'
import { consistencyMessage, rejectionText } from './messages.ts'
import { toDelete, toIncrement, toPut } from './mutations.ts'
import { transactResults } from './transact.ts'
import { refuse, refuseField } from './validate.ts'

/** Bytes of its keys and values. */
export function bytesOf({ key, value, transaction }: PipelineOperation): number {
  let bytes = key.length + value.length
  if (transaction === undefined) return bytes
  for (const compare of transaction.compares) {
    bytes += compare.key.length + (compare.target?.$case === 'value' ? compare.target.value.length : 0)
  }
  for (const { operation } of [...transaction.thenOperations, ...transaction.elseOperations]) {
    bytes += operation?.value.key.length ?? 0
    if (operation?.$case === 'put') bytes += operation.value.value.length
  }
  return bytes
}

/** A write of one row. @throws FIELD_INVALID for a kind that is none */
export function toMutation(operation: PipelineOperation, requestId: string, traceparent: string): Mutation {
  switch (operation.kind) {
    case Kind.PIPELINE_OPERATION_KIND_PUT:
      return toPut(operation, requestId, traceparent)
    case Kind.PIPELINE_OPERATION_KIND_DELETE:
      return toDelete(operation, requestId, traceparent)
    case Kind.PIPELINE_OPERATION_KIND_INCREMENT:
      return toIncrement(operation, requestId, traceparent)
    default:
      throw refuseField('kind', `there is no PipelineOperationKind with the number ${operation.kind}`)
  }
}

/** Empty where the operation has neither a request id of its own nor a sequence. */
export function requestIdOf(session: string, operation: PipelineOperation): string {
  if (operation.requestId !== '') return operation.requestId
  if (operation.sequence === undefined) return ''
  if (session === '') {
    throw refuse('REQUEST_ID_INVALID', 'sequence: a sequence needs the session of the frame', 'session')
  }
  return `${session}/${operation.sequence}`
}

export function readResult(
  id: number,
  partition: Partition,
  provenance: Provenance | undefined,
  row: Row | undefined,
  detailed: boolean,
): PipelineResult {
  const result = newResult(id)
  result.partition = partition
  if (detailed && provenance !== undefined) result.details = readDetails(provenance)
  result.applied = provenance?.applied
  if (row !== undefined) {
    result.version = row.version
    result.value = asBuffer(row.value)
    result.expiresAtMs = row.expiresAt
    result.contentType = row.contentType
  }
  return result
}

/** @param transaction - the request, where the write was one */
export function writeResult(
  id: number,
  written: WriteResult,
  transaction: TransactRequest | undefined,
  detailed: boolean,
): PipelineResult {
  const { outcome, partition } = written
  const result = newResult(id)
  result.partition = partition
  result.applied = written.offset
  if (detailed) result.details = writeDetails(written)
  if (outcome === undefined) return result
  result.version = outcome.version
  result.duplicate = outcome.duplicate
  if (outcome.status === 'rejected') {
    result.reason = outcome.reason
    result.message = rejectionText(outcome)
    return result
  }
  if (outcome.number !== undefined) result.number = outcome.number.toString()
  if (outcome.succeeded !== undefined && transaction !== undefined) {
    result.succeeded = outcome.succeeded
    result.results = transactResults(transaction, outcome.succeeded, written.reads, partition)
  }
  return result
}

/** How many of them, from the first on, fit a frame. */
export function resultsOfFrame(results: readonly PipelineResult[]): number {
  let bytes = 0
  let count = 0
  for (const result of results) {
    if (bytes >= PIPELINE_FRAME_BYTES) break
    bytes += resultSizeAbout(result)
    count += 1
  }
  return count
}

/** @param detailed - with its metadata */
export function failure(id: number, error: TidemarkError, detailed: boolean): PipelineResult {
  const result = newResult(id)
  result.reason = error.reason
  result.message = error.message
  if (detailed) result.details = { ...NO_DETAILS, metadata: { ...error.metadata } }
  return result
}

const NO_DETAILS: PipelineDetails = {
  logEnd: 0,
  logEndAgeMs: 0,
  consistency: 0,
  decided: undefined,
  metadata: {},
}

const readDetails = ({ logEnd, logEndAgeMs, consistency }: Provenance): PipelineDetails => ({
  logEnd,
  logEndAgeMs,
  consistency: consistencyMessage(consistency),
  decided: undefined,
  metadata: {},
})

const writeDetails = ({ logEnd, logEndAgeMs, outcome, offset }: WriteResult): PipelineDetails => ({
  logEnd,
  logEndAgeMs,
  consistency: 0,
  decided: outcome === undefined || outcome.offset === offset ? undefined : outcome.offset,
  metadata: {},
})

/** None where nobody knows how the keyspace is partitioned: its topic was created again, say. */
export function byPartition(
  keyspace: Keyspace,
  operations: readonly PipelineOperation[],
): PipelineOperation[][] {
  const groups = new Map<Partition, PipelineOperation[]>()
  for (const operation of operations) {
    let partition: Partition
    try {
      partition = keyspace.partitionOf(operation.key)
    } catch {
      return []
    }
    const group = groups.get(partition)
    if (group === undefined) groups.set(partition, [operation])
    else group.push(operation)
  }
  return [...groups.values()]
}
