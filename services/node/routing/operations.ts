/** Reads and writes of single rows as operations of a Pipeline, and their results back at the face. Bytes are not copied. */
import {
  Compare_Operator,
  type Compare as CompareMessage,
  type PipelineOperation,
  PipelineOperationKind as Kind,
  type PipelineResult,
  type TransactOperation,
} from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import { asBuffer } from '../../../streams/core/bytes.ts'
import { isReason } from '../../../streams/core/errors.ts'
import {
  type Compare,
  type CompareOperator,
  type Mutation,
  type Outcome,
  REJECTIONS,
  type Rejection,
  type Row,
  type TransactionChange,
  type TransactionMutation,
} from '../../../streams/core/mutation.ts'
import { type Offset, offset, partition } from '../../../streams/core/types.ts'
import type {
  ReadResult,
  TransactionRead,
  TransactionReads,
  WriteOptions,
  WriteResult,
} from '../../../streams/face.ts'
import { failureFor } from '../../failure.ts'
import { newOperation } from '../../pipeline-codec.ts'
import { consistencyOf, rowOf, strange } from './answers.ts'

const EMPTY = Buffer.alloc(0)

export const readOperation = (key: Uint8Array): PipelineOperation =>
  newOperation(0, Kind.PIPELINE_OPERATION_KIND_GET, asBuffer(key))

/** An operation, and how the rows that it read come out of its result: in the order of the reads asked for. */
export interface Write {
  readonly operation: PipelineOperation
  readonly readsOf: (result: PipelineResult) => readonly (Row | undefined)[]
}

const NO_READS: Write['readsOf'] = () => []

export function writeOperation(mutation: Mutation, reads: TransactionReads | undefined): Write {
  const write = mutation.kind === 'txn' ? transaction(mutation, reads) : rowWrite(mutation)
  write.operation.requestId = mutation.requestId ?? ''
  write.operation.traceparent = mutation.traceparent ?? ''
  return write
}

function rowWrite(mutation: Exclude<Mutation, TransactionMutation>): Write {
  const operation = newOperation(0, KINDS[mutation.kind], asBuffer(mutation.key))
  operation.ifVersion = mutation.ifVersion
  if (mutation.kind !== 'delete') operation.ttlMs = mutation.ttlMs
  if (mutation.kind === 'increment') operation.delta = String(mutation.delta)
  if (mutation.kind === 'put') {
    operation.value = asBuffer(mutation.value)
    operation.contentType = mutation.contentType ?? ''
  }
  return { operation, readsOf: NO_READS }
}

const KINDS = {
  put: Kind.PIPELINE_OPERATION_KIND_PUT,
  delete: Kind.PIPELINE_OPERATION_KIND_DELETE,
  increment: Kind.PIPELINE_OPERATION_KIND_INCREMENT,
} as const satisfies Record<Exclude<Mutation['kind'], 'txn'>, Kind>

// ---- transactions ----

function transaction(mutation: TransactionMutation, reads: TransactionReads | undefined): Write {
  const then = branch(mutation.thenChanges, reads?.thenReads ?? [])
  const otherwise = branch(mutation.elseChanges, reads?.elseReads ?? [])
  const operation = newOperation(0, Kind.PIPELINE_OPERATION_KIND_TRANSACT, EMPTY)
  operation.transaction = {
    keyspace: '',
    compares: mutation.compares.map(compareMessage),
    thenOperations: then.operations,
    elseOperations: otherwise.operations,
    requestId: '',
    durability: 0,
  }
  return {
    operation,
    readsOf({ succeeded, results }) {
      if (results.length === 0) return []
      return (succeeded === true ? then : otherwise).places.map((at) => {
        const row = results[at]?.row
        return row === undefined ? undefined : rowOf(row)
      })
    },
  }
}

const OPERATORS: Readonly<Record<CompareOperator, Compare_Operator>> = {
  equal: Compare_Operator.OPERATOR_EQUAL,
  'not-equal': Compare_Operator.OPERATOR_NOT_EQUAL,
  greater: Compare_Operator.OPERATOR_GREATER,
  less: Compare_Operator.OPERATOR_LESS,
}

const compareMessage = (compare: Compare): CompareMessage => ({
  key: asBuffer(compare.key),
  operator: OPERATORS[compare.operator],
  target:
    compare.target === 'version'
      ? { $case: 'version', value: compare.version }
      : { $case: 'value', value: asBuffer(compare.value) },
})

/** A branch as a list of operations, and the place in it of each read. */
interface Branch {
  readonly operations: TransactOperation[]
  readonly places: readonly number[]
}

/** A read from before the transaction stands before the changes, which is how the API says that; the others stand behind. */
function branch(changes: readonly TransactionChange[], reads: readonly TransactionRead[]): Branch {
  const operations: TransactOperation[] = []
  const places = new Array<number>(reads.length)
  const addReads = (wanted: TransactionRead['when']): void => {
    reads.forEach(({ key, when }, at) => {
      if (when !== wanted) return
      places[at] = operations.length
      operations.push({ operation: { $case: 'get', value: { key: asBuffer(key) } } })
    })
  }
  addReads('before')
  for (const change of changes) operations.push(changeMessage(change))
  addReads('after')
  return { operations, places }
}

function changeMessage(change: TransactionChange): TransactOperation {
  const key = asBuffer(change.key)
  switch (change.kind) {
    case 'put': {
      const { value, ttlMs, contentType = '' } = change
      return { operation: { $case: 'put', value: { key, value: asBuffer(value), ttlMs, contentType } } }
    }
    case 'delete':
      return { operation: { $case: 'delete', value: { key } } }
    case 'increment':
      return { operation: { $case: 'increment', value: { key, delta: String(change.delta) } } }
  }
}

// ---- results ----

/** @throws what the peer refused it with */
export function readResultOf(result: PipelineResult, key: Uint8Array): ReadResult {
  if (result.reason !== '') throw refusalOf(result)
  const { applied, version, value, expiresAtMs: expiresAt, contentType, details } = result
  if (details === undefined) throw strange('a result has no details')
  return {
    partition: partition(result.partition),
    applied: applied === undefined ? undefined : offset(applied),
    logEnd: offset(details.logEnd),
    logEndAgeMs: details.logEndAgeMs,
    consistency: consistencyOf(details.consistency),
    row: version === undefined ? undefined : { key, value, version: offset(version), expiresAt, contentType },
  }
}

/** @throws what the peer refused it with; a rejection by apply is an outcome */
export function writeResultOf(
  result: PipelineResult,
  options: WriteOptions,
  reads: Write['readsOf'],
): WriteResult {
  const { applied, details, reason } = result
  if (applied === undefined || (reason !== '' && !isRejection(reason))) throw refusalOf(result)
  if (details === undefined) throw strange('a result has no details')
  const decided = offset(details.decided ?? applied)
  return {
    partition: partition(result.partition),
    offset: offset(applied),
    outcome: options.durability === 'logged' ? undefined : outcomeOf(result, decided),
    reads: reads(result),
    logEnd: offset(details.logEnd),
    logEndAgeMs: details.logEndAgeMs,
  }
}

function outcomeOf(
  { reason, version, number, succeeded, duplicate }: PipelineResult,
  decided: Offset,
): Outcome {
  const versioned = version === undefined ? {} : { version: offset(version) }
  if (isRejection(reason)) return { status: 'rejected', offset: decided, reason, ...versioned, duplicate }
  return {
    status: 'applied',
    offset: decided,
    ...versioned,
    ...(number === undefined ? {} : { number: BigInt(number) }),
    ...(succeeded === undefined ? {} : { succeeded }),
    duplicate,
  }
}

const isRejection = (reason: string): reason is Rejection => isReason(reason) && reason in REJECTIONS

const refusalOf = ({ reason, message, details }: PipelineResult): Error =>
  reason === '' ? strange('a write has no position') : failureFor(reason, message, details?.metadata)
