/** From the words of the face to requests for a peer. Bytes are not copied. The way back is answers.ts. */
import { asBuffer } from '../../../streams/core/bytes.ts'
import type {
  Compare,
  CompareOperator,
  RowMutation,
  TransactionChange,
  TransactionMutation,
} from '../../../streams/core/mutation.ts'
import type {
  Freshness,
  KeyRange,
  ScanOptions,
  Token,
  TransactionRead,
  TransactionReads,
  WatchOptions,
  WriteOptions,
} from '../../../streams/face.ts'
import {
  Compare_Operator,
  type Compare as CompareMessage,
  type DeleteRequest,
  type IncrementRequest,
  type PutRequest,
  type ScanRequest,
  type TransactOperation,
  type TransactRequest,
  type WatchRequest,
} from '../../../proto/generated/tidemark/v1/key_value_service.ts'
import {
  Consistency as ConsistencyNumber,
  Durability as DurabilityNumber,
  type Token as TokenMessage,
} from '../../../proto/generated/tidemark/v1/types.ts'
import { consistencyMessage, tokenMessage } from '../messages.ts'

const EMPTY = Buffer.alloc(0)

const tokenOf = (token: Token | undefined): TokenMessage | undefined =>
  token === undefined ? undefined : tokenMessage(token.logIdentity, token.positions)

export interface FreshnessFields {
  readonly consistency: ConsistencyNumber
  readonly token: TokenMessage | undefined
}

export const freshnessFields = ({ consistency, token }: Freshness): FreshnessFields => ({
  consistency:
    consistency === undefined ? ConsistencyNumber.CONSISTENCY_UNSPECIFIED : consistencyMessage(consistency),
  token: tokenOf(token),
})

const durabilityOf = ({ durability }: WriteOptions): DurabilityNumber =>
  durability === 'logged' ? DurabilityNumber.DURABILITY_LOGGED : DurabilityNumber.DURABILITY_APPLIED

/** What a write of one row is called, with its request. */
export type RowRequest =
  | { readonly method: 'put'; readonly request: PutRequest }
  | { readonly method: 'delete'; readonly request: DeleteRequest }
  | { readonly method: 'increment'; readonly request: IncrementRequest }

export function rowRequest(keyspace: string, mutation: RowMutation, options: WriteOptions): RowRequest {
  const common = {
    keyspace,
    key: asBuffer(mutation.key),
    ifVersion: mutation.ifVersion,
    requestId: mutation.requestId ?? '',
    durability: durabilityOf(options),
  }
  switch (mutation.kind) {
    case 'put': {
      const { value, ttlMs, contentType = '' } = mutation
      return { method: 'put', request: { ...common, value: asBuffer(value), ttlMs, contentType } }
    }
    case 'delete':
      return { method: 'delete', request: common }
    case 'increment': {
      const { delta, ttlMs } = mutation
      return { method: 'increment', request: { ...common, delta: String(delta), ttlMs } }
    }
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

/** A branch as a list of operations, and the place in it of each read. */
export interface BranchRequest {
  readonly operations: TransactOperation[]
  readonly places: readonly number[]
}

/** A read from before the transaction stands before the changes, which is how the API says that; the others stand behind. */
export function branchRequest(
  changes: readonly TransactionChange[],
  reads: readonly TransactionRead[],
): BranchRequest {
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

export interface TransactionRequest {
  readonly request: TransactRequest
  readonly then: BranchRequest
  readonly otherwise: BranchRequest
}

export function transactionRequest(
  keyspace: string,
  mutation: TransactionMutation,
  reads: TransactionReads | undefined,
  options: WriteOptions,
): TransactionRequest {
  const then = branchRequest(mutation.thenChanges, reads?.thenReads ?? [])
  const otherwise = branchRequest(mutation.elseChanges, reads?.elseReads ?? [])
  return {
    request: {
      keyspace,
      compares: mutation.compares.map(compareMessage),
      thenOperations: then.operations,
      elseOperations: otherwise.operations,
      requestId: mutation.requestId ?? '',
      durability: durabilityOf(options),
    },
    then,
    otherwise,
  }
}

/** To the API an empty end is no end: a range without keys is said with two bounds that are the same. */
function rangeFields({ start, end }: KeyRange): { start: Buffer; end: Buffer } {
  if (end === undefined) return { start: asBuffer(start), end: EMPTY }
  return end.length === 0
    ? { start: Buffer.of(0), end: Buffer.of(0) }
    : { start: asBuffer(start), end: asBuffer(end) }
}

export const scanRequest = (keyspace: string, options: ScanOptions): ScanRequest => ({
  keyspace,
  prefix: EMPTY,
  ...rangeFields(options.range),
  limit: options.limit ?? 0,
  reverse: options.reverse ?? false,
  keysOnly: options.keysOnly ?? false,
  partitions: [...(options.partitions ?? [])],
  ...freshnessFields(options),
})

export const watchRequest = (keyspace: string, options: WatchOptions): WatchRequest => ({
  keyspace,
  selector: { $case: 'range', value: rangeFields(options.range) },
  resume: tokenOf(options.resume),
  initialRows: options.initialRows ?? false,
  partitions: [...(options.partitions ?? [])],
  progressIntervalMs: options.progressIntervalMs ?? 0,
  exact: options.exact ?? false,
  previousRows: options.previousRows ?? false,
})
