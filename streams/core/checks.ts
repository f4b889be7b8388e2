/** What the front refuses before it reaches the log; apply would reject the same, this only says so earlier and at no cost. */
import { bytesToText } from './bytes.ts'
import { TidemarkError } from './errors.ts'
import {
  CONTENT_TYPE_BYTES_MAX,
  KEY_BYTES_MAX,
  PACK_BYTES_TARGET,
  REQUEST_ID_BYTES_MAX,
  TTL_MS_MAX,
  TXN_OPERATIONS_MAX,
} from './limits.ts'
import type { Mutation, TransactionChange, TransactionMutation } from './mutation.ts'
import { fitsInt64 } from './text.ts'
import type { Partition } from './types.ts'

/** @throws KEY_EMPTY, KEY_TOO_LONG */
export function checkKey(key: Uint8Array): void {
  if (key.length === 0)
    throw new TidemarkError('KEY_EMPTY', `the key is empty: it needs 1 to ${KEY_BYTES_MAX} bytes`)
  if (key.length > KEY_BYTES_MAX)
    throw new TidemarkError(
      'KEY_TOO_LONG',
      `the key has ${key.length} bytes, the limit is ${KEY_BYTES_MAX}`,
      {
        metadata: { limit: String(KEY_BYTES_MAX), actual: String(key.length) },
      },
    )
}

/** @throws the reason for which apply would reject the mutation whatever the state is */
export function checkMutation(mutation: Mutation, valueBytesMax: number): void {
  checkRequestId(mutation.requestId)
  if (mutation.kind === 'txn') {
    for (const list of [mutation.compares, mutation.thenChanges, mutation.elseChanges])
      if (list.length > TXN_OPERATIONS_MAX)
        throw new TidemarkError(
          'BATCH_TOO_LARGE',
          `a transaction takes ${TXN_OPERATIONS_MAX} compares and operations in a branch, not ${list.length}`,
        )
    checkBranch(mutation.thenChanges, valueBytesMax)
    checkBranch(mutation.elseChanges, valueBytesMax)
    checkTransactionBytes(mutation, valueBytesMax)
    return
  }
  checkKey(mutation.key)
  checkChange(mutation, valueBytesMax)
}

/** The partition of all keys of a transaction. @throws FIELD_INVALID for none, TXN_SPANS_PARTITIONS */
export function onePartition(
  keys: readonly Uint8Array[],
  partitionOf: (key: Uint8Array) => Partition,
): Partition {
  const first = keys[0]
  if (first === undefined)
    throw new TidemarkError('FIELD_INVALID', 'the transaction names no key', {
      metadata: { field: 'compares' },
    })
  checkKey(first)
  const partition = partitionOf(first)
  for (const key of keys) {
    checkKey(key)
    const other = partitionOf(key)
    if (other !== partition)
      throw new TidemarkError(
        'TXN_SPANS_PARTITIONS',
        `the keys ${show(first)} (partition ${partition}) and ${show(key)} (partition ${other}) cannot be in one transaction: ` +
          'use keys of one partition, for instance in a keyspace that is partitioned by prefix',
        { metadata: { partition: String(partition), other: String(other) } },
      )
  }
  return partition
}

const show = (key: Uint8Array): string => JSON.stringify(Buffer.from(key).toString('utf8').slice(0, 64))

/** Bytes of tags, lengths, numbers and kinds around one compare or change of a transaction, at most. */
const TXN_FRAMING_BYTES = 24

/** A transaction travels as one record, so all of it shares the bound of one value, or of a pack where values are small. */
function checkTransactionBytes(mutation: TransactionMutation, valueBytesMax: number): void {
  let bytes = 0
  for (const compare of mutation.compares)
    bytes += TXN_FRAMING_BYTES + compare.key.length + (compare.target === 'value' ? compare.value.length : 0)
  for (const changes of [mutation.thenChanges, mutation.elseChanges])
    for (const change of changes) {
      bytes += TXN_FRAMING_BYTES + change.key.length
      if (change.kind === 'put') bytes += change.value.length + Buffer.byteLength(change.contentType ?? '')
    }
  const limit = Math.max(valueBytesMax, PACK_BYTES_TARGET) + 2 * KEY_BYTES_MAX
  if (bytes > limit)
    throw new TidemarkError(
      'BATCH_TOO_LARGE',
      `the transaction has ${bytes} bytes of keys and values, the limit is ${limit}`,
      {
        metadata: { limit: String(limit), actual: String(bytes) },
      },
    )
}

function checkBranch(changes: readonly TransactionChange[], valueBytesMax: number): void {
  const seen = new Set<string>()
  for (const change of changes) {
    checkChange(change, valueBytesMax)
    const key = bytesToText(change.key)
    if (seen.has(key))
      throw new TidemarkError(
        'DUPLICATE_KEY',
        `a branch of the transaction changes the key ${JSON.stringify(key.slice(0, 64))} twice`,
      )
    seen.add(key)
  }
}

function checkChange(change: TransactionChange, valueBytesMax: number): void {
  if (change.kind === 'increment' && !fitsInt64(change.delta))
    throw new TidemarkError(
      'NUMBER_OVERFLOW',
      `the delta ${change.delta} does not fit into a signed 64-bit number`,
    )
  if ('ttlMs' in change && change.ttlMs !== undefined) checkTtl(change.ttlMs)
  if (change.kind !== 'put') return
  if (change.value.length > valueBytesMax)
    throw new TidemarkError(
      'VALUE_TOO_LARGE',
      `the value has ${change.value.length} bytes, the limit of the keyspace is ${valueBytesMax}`,
      { metadata: { limit: String(valueBytesMax), actual: String(change.value.length) } },
    )
  if (change.contentType !== undefined && Buffer.byteLength(change.contentType) > CONTENT_TYPE_BYTES_MAX)
    throw new TidemarkError('FIELD_INVALID', `the content type is over ${CONTENT_TYPE_BYTES_MAX} bytes`, {
      metadata: { field: 'content_type', limit: String(CONTENT_TYPE_BYTES_MAX) },
    })
}

/** @throws TTL_INVALID */
export function checkTtl(ttlMs: number): void {
  if (ttlMs >= 1 && ttlMs <= TTL_MS_MAX) return
  throw new TidemarkError('TTL_INVALID', `the ttl is ${ttlMs} ms: it must be between 1 and ${TTL_MS_MAX}`, {
    metadata: { limit: String(TTL_MS_MAX), actual: String(ttlMs) },
  })
}

/** @throws REQUEST_ID_INVALID */
export function checkRequestId(requestId: string | undefined): void {
  if (requestId === undefined) return
  const bytes = Buffer.byteLength(requestId)
  if (bytes >= 1 && bytes <= REQUEST_ID_BYTES_MAX) return
  throw new TidemarkError(
    'REQUEST_ID_INVALID',
    `the request id has ${bytes} bytes, it needs 1 to ${REQUEST_ID_BYTES_MAX}`,
    {
      metadata: { limit: String(REQUEST_ID_BYTES_MAX), actual: String(bytes) },
    },
  )
}
