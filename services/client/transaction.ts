/**
 * A transaction as callers (and `tidemark txn`) write it, and its way into the message:
 *
 *   { if:   [{ key: 'stock:1', version: 7 }, { key: 'lock', exists: false }, { key: 'mode', value: 'open', is: 'not-equal' }],
 *     then: [{ put: 'stock:1', value: '41', ttlMs: 60_000 }, { increment: 'sold', by: 1 }, { get: 'price' }],
 *     else: [{ get: 'stock:1' }] }
 */
import {
  Compare_Operator,
  type Compare,
  type TransactOperation,
  type TransactRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { toBuffer, type Bytes } from './bytes.ts'
import { checkedCount, checkedDelta, checkedKey, checkedTtl, checkedValue, checkedVersion } from './checks.ts'

export type Is = 'equal' | 'not-equal' | 'greater' | 'less'

/** Without `is`: equal. A missing row has version 0; compared by value it matches `not-equal` only. */
export type Condition =
  | { readonly key: Bytes; readonly version: number; readonly is?: Is }
  | { readonly key: Bytes; readonly value: Bytes; readonly is?: Is }
  | { readonly key: Bytes; readonly exists: boolean }

export type Step =
  | { readonly get: Bytes }
  | { readonly put: Bytes; readonly value: Bytes; readonly ttlMs?: number; readonly contentType?: string }
  | { readonly delete: Bytes }
  | { readonly increment: Bytes; readonly by: bigint | number }

/** All keys must live in one partition. */
export interface Transaction {
  /** All must hold for `then`; none = always. */
  readonly if?: readonly Condition[]
  readonly then?: readonly Step[]
  readonly else?: readonly Step[]
}

export function toTransactRequest(transaction: Transaction): TransactRequest {
  const { if: conditions = [], then: thenSteps = [], else: elseSteps = [] } = transaction
  for (const part of [conditions, thenSteps, elseSteps]) checkedCount(part.length)
  return {
    keyspace: '',
    compares: conditions.map(toCompare),
    thenOperations: thenSteps.map(toOperation),
    elseOperations: elseSteps.map(toOperation),
    requestId: '',
    durability: 0,
  }
}

/** A key of the transaction: all of them share its partition. */
export function anyKeyOf(request: TransactRequest): Buffer {
  const compared = request.compares[0]
  if (compared !== undefined) return compared.key
  const step = request.thenOperations[0] ?? request.elseOperations[0]
  if (step?.operation === undefined) {
    throw new TidemarkError('FIELD_INVALID', 'the transaction is empty: give it a condition or a step')
  }
  return step.operation.value.key
}

const OPERATORS: Readonly<Record<Is, Compare_Operator>> = {
  equal: Compare_Operator.OPERATOR_EQUAL,
  'not-equal': Compare_Operator.OPERATOR_NOT_EQUAL,
  greater: Compare_Operator.OPERATOR_GREATER,
  less: Compare_Operator.OPERATOR_LESS,
}

function toCompare(condition: Condition): Compare {
  const key = checkedKey(condition.key)
  if ('exists' in condition) {
    const operator = condition.exists ? Compare_Operator.OPERATOR_NOT_EQUAL : Compare_Operator.OPERATOR_EQUAL
    return { key, operator, target: { $case: 'version', value: 0 } }
  }
  const operator = OPERATORS[condition.is ?? 'equal']
  if ('version' in condition) {
    return { key, operator, target: { $case: 'version', value: checkedVersion(condition.version) } }
  }
  return { key, operator, target: { $case: 'value', value: toBuffer(condition.value, 'value') } }
}

function toOperation(step: Step): TransactOperation {
  if ('get' in step) return { operation: { $case: 'get', value: { key: checkedKey(step.get) } } }
  if ('delete' in step) return { operation: { $case: 'delete', value: { key: checkedKey(step.delete) } } }
  if ('increment' in step) {
    const value = { key: checkedKey(step.increment), delta: checkedDelta(step.by) }
    return { operation: { $case: 'increment', value } }
  }
  const value = {
    key: checkedKey(step.put),
    value: checkedValue(step.value),
    ttlMs: checkedTtl(step.ttlMs),
    contentType: step.contentType ?? '',
  }
  return { operation: { $case: 'put', value } }
}
