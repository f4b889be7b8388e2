/**
 * Record → Command. Total: every byte string gives a command, at worst a rejection with its reason (invariant I2).
 * The rules are those of proto/record.md and FROZEN.
 */
import { EMPTY, MALFORMED, compareBytes } from './bytes.ts'
import type { Command, Step } from './command.ts'
import {
  CONTENT_TYPE_BYTES_MAX,
  KEY_BYTES_MAX,
  REPLICATION_MAX,
  REQUEST_ID_BYTES_MAX,
  TTL_MS_MAX,
  VALUE_BYTES_CEILING,
  VALUE_BYTES_MAX,
} from './limits.ts'
import { PROOF, readFormat, readFormatVersion, readLead, readMark } from './control-messages.ts'
import { readPack, readTransaction } from './messages.ts'
import type { RawMutation } from './messages.ts'
import type { Rejection, TransactionChange } from './mutation.ts'
import { bytesToText } from './bytes.ts'
import { readInt64, readText, readUnsigned } from './text.ts'
import type { Epoch, Headers, LogRecord, Offset } from './types.ts'

/** The newest record format that this build knows. */
export const FORMAT_VERSION = 1

const TRACEPARENT_BYTES_MAX = 128
/** Stands for a header that is there and empty, which is wrong; in a pack an empty id is none. */
const EMPTY_ID = new Uint8Array(REQUEST_ID_BYTES_MAX + 1)
const KNOWN_HEADERS = new Set(['tm-op', 'tm-if-version', 'tm-ttl-ms', 'tm-request-id', 'tm-epoch'])

const rejected = (reason: Rejection): { readonly kind: 'rejected'; readonly reason: Rejection } => ({
  kind: 'rejected',
  reason,
})

export function decodeRecord(record: LogRecord): Command {
  const { headers } = record
  if (headers.size === 0) return { kind: 'row', step: plainStep(record) }
  try {
    return decodeWithHeaders(record)
  } catch (caught) {
    if (caught === MALFORMED) return rejected('RECORD_MALFORMED')
    throw caught
  }
}

/** A record without headers: what kcat or a Connect sink would write. */
function plainStep(record: LogRecord): Step {
  const key = record.key ?? EMPTY
  if (key.length === 0) return rejected('KEY_EMPTY')
  if (key.length > KEY_BYTES_MAX) return rejected('KEY_TOO_LONG')
  if (record.value === null) return { kind: 'delete', key }
  return { kind: 'put', key, value: record.value }
}

function decodeWithHeaders(record: LogRecord): Command {
  const { headers } = record
  for (const name of headers.keys())
    if (name.startsWith('tm-') && !KNOWN_HEADERS.has(name)) return rejected('RECORD_MALFORMED')
  const operation = headerText(headers, 'tm-op') ?? (record.value === null ? 'delete' : 'put')
  switch (operation) {
    case 'put':
    case 'delete':
    case 'increment':
      return decodeRow(record, operation)
    case 'txn':
      return decodeTransaction(record)
    case 'pack':
      return decodePack(record)
    case 'format':
      return decodeFormat(record)
    case 'lead':
      return { kind: 'lead', ...readLead(record.value ?? EMPTY) }
    case 'tick': {
      const epoch = headerUnsigned(headers, 'tm-epoch')
      return epoch === undefined ? rejected('RECORD_MALFORMED') : { kind: 'tick', epoch: epoch as Epoch }
    }
    case 'mark': {
      const epoch = headerUnsigned(headers, 'tm-epoch')
      if (epoch === undefined) return rejected('RECORD_MALFORMED')
      return { kind: 'mark', epoch: epoch as Epoch, checkpoint: readMark(record.value ?? EMPTY) }
    }
    case 'barrier':
      return isProof(record.value) ? { kind: 'barrier', proof: true } : { kind: 'barrier' }
    default:
      return rejected('UNKNOWN_OPERATION')
  }
}

/** The barrier asks the replicas to hash what they hold; apply does not look at it. */
const isProof = (value: Uint8Array | null): boolean => value !== null && compareBytes(value, PROOF) === 0

function decodeRow(record: LogRecord, operation: 'put' | 'delete' | 'increment'): Command {
  const { headers } = record
  if (operation !== 'delete' && record.value === null) throw MALFORMED
  const ttl = headers.get('tm-ttl-ms')
  const id = headers.get('tm-request-id')
  // A number that cannot be read is a ttl out of range, whatever its spelling: -5 and 1e9 say so more clearly.
  const ttlMs = ttl === undefined ? undefined : (readUnsigned(ttl) ?? -1)
  const step = checkStep({
    kind: operation === 'put' ? 1 : operation === 'delete' ? 2 : 3,
    key: record.key ?? EMPTY,
    value: record.value ?? EMPTY,
    ifVersion: headerUnsigned(headers, 'tm-if-version'),
    ttlMs,
    requestId: id?.length === 0 ? EMPTY_ID : (id ?? EMPTY),
    contentType: headers.get('content-type') ?? EMPTY,
    traceparent: headers.get('traceparent') ?? EMPTY,
  })
  return { kind: 'row', step }
}

/** What stands in a pack or transaction has conditions and times to live of its own: beside it they would be a mistake. */
function refuseRowHeaders(headers: Headers): void {
  if (headers.has('tm-if-version') || headers.has('tm-ttl-ms')) throw MALFORMED
}

function decodePack(record: LogRecord): Command {
  refuseRowHeaders(record.headers)
  const requestId = readRequestId(record.headers.get('tm-request-id'))
  if (requestId === false) return rejected('REQUEST_ID_INVALID')
  const seen = new Set<string>()
  const steps = readPack(record.value ?? EMPTY).map((raw) => {
    const step = checkStep(raw)
    if (step.kind === 'rejected') return step
    const key = bytesToText(step.key)
    if (seen.has(key)) return rejected('DUPLICATE_KEY')
    seen.add(key)
    return step
  })
  return { kind: 'pack', steps, requestId }
}

function decodeTransaction(record: LogRecord): Command {
  refuseRowHeaders(record.headers)
  const requestId = readRequestId(record.headers.get('tm-request-id'))
  if (requestId === false) return rejected('REQUEST_ID_INVALID')
  const raw = readTransaction(record.value ?? EMPTY)
  for (const compare of raw.compares) {
    const fault = keyFault(compare.key)
    if (fault !== undefined) return rejected(fault)
  }
  const thenChanges = checkChanges(raw.thenChanges)
  if (typeof thenChanges === 'string') return rejected(thenChanges)
  const elseChanges = checkChanges(raw.elseChanges)
  if (typeof elseChanges === 'string') return rejected(elseChanges)
  const traceparent = readTraceparent(record.headers.get('traceparent'))
  return {
    kind: 'txn',
    mutation: {
      kind: 'txn',
      compares: raw.compares,
      thenChanges,
      elseChanges,
      ...(requestId === undefined ? {} : { requestId }),
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  }
}

function checkChanges(raws: readonly RawMutation[]): readonly TransactionChange[] | Rejection {
  const seen = new Set<string>()
  const changes: TransactionChange[] = []
  for (const raw of raws) {
    const step = checkStep(raw)
    if (step.kind === 'rejected') return step.reason
    const key = bytesToText(step.key)
    if (seen.has(key)) return 'DUPLICATE_KEY'
    seen.add(key)
    changes.push(step)
  }
  return changes
}

function decodeFormat(record: LogRecord): Command {
  const value = record.value ?? EMPTY
  const version = readFormatVersion(value)
  const epoch = headerUnsigned(record.headers, 'tm-epoch') as Epoch | undefined
  if (version > FORMAT_VERSION) return { kind: 'too-new', version, epoch }
  const raw = readFormat(value)
  if (raw.version === 0 || raw.separator.length > 16 || raw.valueBytesMax > VALUE_BYTES_CEILING)
    throw MALFORMED
  if (raw.defaultTtlMs > TTL_MS_MAX || raw.replication > REPLICATION_MAX) throw MALFORMED
  return {
    kind: 'format',
    version: raw.version,
    partitionBy: raw.separator.length === 0 ? { kind: 'key' } : { kind: 'prefix', separator: raw.separator },
    valueBytesMax: raw.valueBytesMax === 0 ? VALUE_BYTES_MAX : raw.valueBytesMax,
    packing: !raw.packingDisabled,
    defaultTtlMs: raw.defaultTtlMs,
    replication: raw.replication,
    epoch,
  }
}

/** The checks that need no state, the same for plain records, packs and transactions. */
function checkStep(raw: RawMutation): Step {
  if (raw.ifVersion === Infinity || (raw.kind === 2 && raw.value.length > 0))
    return rejected('RECORD_MALFORMED')
  const fault = keyFault(raw.key)
  if (fault !== undefined) return rejected(fault)
  if (raw.ttlMs !== undefined && (raw.ttlMs < 1 || raw.ttlMs > TTL_MS_MAX)) return rejected('TTL_INVALID')
  const requestId = readRequestId(raw.requestId.length === 0 ? undefined : raw.requestId)
  if (requestId === false) return rejected('REQUEST_ID_INVALID')
  const step = stepOf(raw)
  if (step.kind === 'rejected') return step
  if (raw.ifVersion !== undefined) step.ifVersion = raw.ifVersion as Offset
  if (requestId !== undefined) step.requestId = requestId
  const traceparent = readTraceparent(raw.traceparent)
  if (traceparent !== undefined) step.traceparent = traceparent
  if (raw.ttlMs !== undefined && step.kind !== 'delete') step.ttlMs = raw.ttlMs
  return step
}

/** While it is made. Filled field by field: spreading optional ones into it took a tenth of the time of a pack. */
type Filling<T> = T extends unknown ? { -readonly [Name in keyof T]: T[Name] } : never

function stepOf(raw: RawMutation): Filling<Step> {
  switch (raw.kind) {
    case 1: {
      if (raw.contentType.length === 0) return { kind: 'put', key: raw.key, value: raw.value }
      const contentType =
        raw.contentType.length > CONTENT_TYPE_BYTES_MAX ? undefined : readText(raw.contentType)
      if (contentType === undefined) return rejected('RECORD_MALFORMED')
      return { kind: 'put', key: raw.key, value: raw.value, contentType }
    }
    case 2:
      return { kind: 'delete', key: raw.key }
    case 3: {
      const delta = readInt64(raw.value)
      return delta === undefined ? rejected('NOT_A_NUMBER') : { kind: 'increment', key: raw.key, delta }
    }
    default:
      return rejected('UNKNOWN_OPERATION')
  }
}

function keyFault(key: Uint8Array): Rejection | undefined {
  if (key.length === 0) return 'KEY_EMPTY'
  return key.length > KEY_BYTES_MAX ? 'KEY_TOO_LONG' : undefined
}

/** @returns false when it is there and wrong. */
function readRequestId(bytes: Uint8Array | undefined): string | undefined | false {
  if (bytes === undefined) return undefined
  if (bytes.length === 0 || bytes.length > REQUEST_ID_BYTES_MAX) return false
  return readText(bytes) ?? false
}

/** A trace context changes no state, so a bad one is dropped, not rejected. */
function readTraceparent(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined || bytes.length === 0 || bytes.length > TRACEPARENT_BYTES_MAX) return undefined
  return readText(bytes)
}

function headerText(headers: Headers, name: string): string | undefined {
  const bytes = headers.get(name)
  if (bytes === undefined) return undefined
  const text = readText(bytes)
  if (text === undefined) throw MALFORMED
  return text
}

function headerUnsigned(headers: Headers, name: string): number | undefined {
  const bytes = headers.get(name)
  if (bytes === undefined) return undefined
  const value = readUnsigned(bytes)
  if (value === undefined) throw MALFORMED
  return value
}
