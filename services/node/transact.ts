/** A transaction of the proto as a mutation of the face and the reads beside it, and its results back. */
import { bytesToText } from '../../streams/core/bytes.ts'
import { unreachable } from '../../streams/core/assert.ts'
import { TXN_OPERATIONS_MAX } from '../../streams/core/limits.ts'
import type {
  Compare,
  CompareOperator,
  Row,
  TransactionChange,
  TransactionMutation,
} from '../../streams/core/mutation.ts'
import { type Partition, offset } from '../../streams/core/types.ts'
import type { Keyspace, TransactionRead, TransactionReads } from '../../streams/face.ts'
import type {
  Compare as CompareMessage,
  TransactOperation,
  TransactRequest,
  TransactResult,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { rowMessage } from './messages.ts'
import { checkKey, refuse, refuseField, showKey } from './validate.ts'

export interface Transaction {
  readonly mutation: TransactionMutation
  readonly reads: TransactionReads
}

/** @param requestId - empty = none, as is `traceparent` */
export function toTransaction(
  keyspace: Keyspace,
  request: TransactRequest,
  requestId: string,
  traceparent: string,
): Transaction {
  checkCount(request.compares.length, 'compares')
  checkCount(request.thenOperations.length, 'then_operations')
  checkCount(request.elseOperations.length, 'else_operations')
  const place = new OnePartition(keyspace)
  const compares = request.compares.map((compare, index) => toCompare(compare, `compares[${index}]`, place))
  const then = toBranch(request.thenOperations, 'then_operations', place)
  const otherwise = toBranch(request.elseOperations, 'else_operations', place)
  return {
    mutation: {
      kind: 'txn',
      compares,
      thenChanges: then.changes,
      elseChanges: otherwise.changes,
      ...(requestId === '' ? {} : { requestId }),
      ...(traceparent === '' ? {} : { traceparent }),
    },
    reads: { thenReads: then.reads, elseReads: otherwise.reads },
  }
}

/** One for each operation of the branch that was taken, in its order. */
export function transactResults(
  request: TransactRequest,
  succeeded: boolean,
  reads: readonly (Row | undefined)[],
  partition: Partition,
): TransactResult[] {
  let read = 0
  return (succeeded ? request.thenOperations : request.elseOperations).map(({ operation }) => {
    const row = operation?.$case === 'get' ? reads[read++] : undefined
    return { row: row === undefined ? undefined : rowMessage(row, partition) }
  })
}

function checkCount(count: number, field: string): void {
  if (count <= TXN_OPERATIONS_MAX) return
  throw refuse(
    'BATCH_TOO_LARGE',
    `${field} has ${count} entries, the limit is ${TXN_OPERATIONS_MAX}`,
    field,
    {
      limit: String(TXN_OPERATIONS_MAX),
      actual: String(count),
    },
  )
}

/** Holds all keys against the partition of the first. */
class OnePartition {
  readonly #keyspace: Keyspace
  #first: { readonly key: Uint8Array; readonly partition: Partition } | undefined

  constructor(keyspace: Keyspace) {
    this.#keyspace = keyspace
  }

  check(key: Uint8Array, field: string): void {
    checkKey(key, field)
    const partition = this.#keyspace.partitionOf(key)
    this.#first ??= { key, partition }
    const first = this.#first
    if (partition === first.partition) return
    throw refuse(
      'TXN_SPANS_PARTITIONS',
      `the key ${showKey(first.key)} is of partition ${first.partition}, ${showKey(key)} of partition ${partition}: ` +
        'a transaction needs keys of one partition, as a keyspace that is partitioned by prefix gives them',
      field,
      { partition: String(first.partition), other: String(partition) },
    )
  }
}

const OPERATORS: readonly CompareOperator[] = ['equal', 'equal', 'not-equal', 'greater', 'less']

function toCompare(compare: CompareMessage, field: string, place: OnePartition): Compare {
  place.check(compare.key, `${field}.key`)
  const operator = OPERATORS[compare.operator]
  if (operator === undefined) {
    throw refuseField(`${field}.operator`, `there is no Operator with the number ${compare.operator}`)
  }
  const target = compare.target
  switch (target?.$case) {
    case undefined:
      throw refuseField(`${field}.target`, 'it must be a version or a value')
    case 'version':
      return { key: compare.key, operator, target: 'version', version: offset(target.value) }
    case 'value':
      return { key: compare.key, operator, target: 'value', value: target.value }
    default:
      return unreachable(target)
  }
}

interface Branch {
  readonly changes: readonly TransactionChange[]
  readonly reads: readonly TransactionRead[]
}

function toBranch(operations: readonly TransactOperation[], name: string, place: OnePartition): Branch {
  const changes: TransactionChange[] = []
  const reads: { key: Uint8Array; at: number }[] = []
  /** Where each key is changed. */
  const changed = new Map<string, number>()
  operations.forEach(({ operation }, at) => {
    const field = `${name}[${at}]`
    if (operation === undefined) throw refuseField(field, 'it must be a get, put, delete or increment')
    const key = operation.value.key
    place.check(key, `${field}.key`)
    if (operation.$case === 'get') {
      reads.push({ key, at })
      return
    }
    const text = bytesToText(key)
    const earlier = changed.get(text)
    if (earlier !== undefined) {
      throw refuse('DUPLICATE_KEY', `${field} changes the key that ${name}[${earlier}] changes`, field)
    }
    changed.set(text, at)
    changes.push(toChange(operation))
  })
  return {
    changes,
    reads: reads.map(({ key, at }) => {
      const changedAt = changed.get(bytesToText(key))
      return { key, when: changedAt !== undefined && at < changedAt ? 'before' : 'after' }
    }),
  }
}

type Change = Exclude<NonNullable<TransactOperation['operation']>, { $case: 'get' }>

function toChange(operation: Change): TransactionChange {
  switch (operation.$case) {
    case 'put': {
      const { key, value, ttlMs, contentType } = operation.value
      return {
        kind: 'put',
        key,
        value,
        ...(ttlMs === undefined ? {} : { ttlMs }),
        ...(contentType === '' ? {} : { contentType }),
      }
    }
    case 'delete':
      return { kind: 'delete', key: operation.value.key }
    case 'increment':
      return { kind: 'increment', key: operation.value.key, delta: BigInt(operation.value.delta) }
    default:
      return unreachable(operation)
  }
}
