/**
 * What can be seen to be wrong before it is sent: it fails at once and for its own caller only. The node checks the same
 * again, and what only it knows (the value bound of the keyspace).
 */
import { TidemarkError } from '../../streams/core/errors.ts'
import {
  CLIENT_DEADLINE_MS,
  KEY_BYTES_MAX,
  TTL_MS_MAX,
  TXN_OPERATIONS_MAX,
  VALUE_BYTES_CEILING,
} from '../../streams/core/limits.ts'
import { toBuffer, type Bytes } from './bytes.ts'

export function checkedKey(key: Bytes): Buffer {
  const bytes = toBuffer(key, 'key')
  if (bytes.length === 0) throw new TidemarkError('KEY_EMPTY', 'the key has no byte')
  if (bytes.length > KEY_BYTES_MAX) {
    throw new TidemarkError(
      'KEY_TOO_LONG',
      `the key has ${bytes.length} bytes, the limit is ${KEY_BYTES_MAX}`,
      {
        metadata: { bytes: String(bytes.length), limit: String(KEY_BYTES_MAX) },
      },
    )
  }
  return bytes
}

export function checkedValue(value: Bytes): Buffer {
  const bytes = toBuffer(value, 'value')
  if (bytes.length > VALUE_BYTES_CEILING) {
    const message = `the value has ${bytes.length} bytes, the limit of any keyspace is ${VALUE_BYTES_CEILING}`
    throw new TidemarkError('VALUE_TOO_LARGE', message, {
      metadata: { bytes: String(bytes.length), limit: String(VALUE_BYTES_CEILING) },
    })
  }
  return bytes
}

export function checkedTtl(ttlMs: number | undefined): number | undefined {
  if (ttlMs === undefined) return undefined
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > TTL_MS_MAX) {
    throw new TidemarkError(
      'TTL_INVALID',
      `a ttl of ${ttlMs} ms: it must be a whole number from 1 to ${TTL_MS_MAX}`,
      {
        metadata: { limit: String(TTL_MS_MAX) },
      },
    )
  }
  return ttlMs
}

export const checkedVersion = (version: number): number => checkedWhole(version, 'version')

export function checkedWhole(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new TidemarkError('FIELD_INVALID', `${field} is ${value}: it must be a whole number from 0`, {
      metadata: { field },
    })
  }
  return value
}

export function checkedDelta(delta: bigint | number): string {
  const whole = typeof delta === 'bigint' || Number.isSafeInteger(delta)
  if (!whole || BigInt.asIntN(64, BigInt(delta)) !== BigInt(delta)) {
    throw new TidemarkError('FIELD_INVALID', `a delta of ${delta}: it must be a signed 64-bit integer`, {
      metadata: { field: 'delta' },
    })
  }
  return String(delta)
}

export function checkedDeadline(deadlineMs: number | undefined): number {
  if (deadlineMs === undefined) return CLIENT_DEADLINE_MS
  if (!(deadlineMs > 0)) {
    throw new TidemarkError('FIELD_INVALID', `deadlineMs is ${deadlineMs}: it must be over 0`, {
      metadata: { field: 'deadlineMs' },
    })
  }
  return deadlineMs
}

export function checkedCount(operations: number): void {
  if (operations > TXN_OPERATIONS_MAX) {
    const message = `a part of the transaction has ${operations} entries, the limit is ${TXN_OPERATIONS_MAX}`
    throw new TidemarkError('BATCH_TOO_LARGE', message, { metadata: { limit: String(TXN_OPERATIONS_MAX) } })
  }
}
