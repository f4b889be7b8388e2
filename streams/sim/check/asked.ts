/**
 * What a call asks for and what a record in the log asks for, as the same text, so that one can be found in the other: written from
 * proto/record.md with the generated code, not with the code that makes or reads records in the product.
 */
import { Pack, Transaction } from '../../../proto/generated/tidemark/v1/record.ts'
import type { PackMutation, TransactionChange } from '../../../proto/generated/tidemark/v1/record.ts'
import { message } from '../../core/testing/model-wire.ts'
import type { LogRecord } from '../../core/types.ts'
import type { Change, ForeignCall, WriteCall } from '../history.ts'

/** One mutation of a record. */
export interface Wanted {
  readonly requestId: string | undefined
  /** Everything that decides what it does. */
  readonly content: string
}

const OPERATORS = ['', 'equal', 'not-equal', 'greater', 'less']
const KINDS = ['', 'put', 'delete', 'increment']

export function contentOf(call: WriteCall): string {
  if (call.kind !== 'txn') return rowContent(call, call.ifVersion)
  const compares = call.compares.map(({ key, operator, version, value }) =>
    value === undefined ? [key, operator, 'version', version] : [key, operator, 'value', value],
  )
  return transactionContent(compares, call.thenChanges, call.elseChanges)
}

/** The mutations of a record in their order; none in a control record or one that cannot be read. */
export function wantedOf({
  key,
  value,
  headers,
}: Pick<LogRecord, 'key' | 'value' | 'headers'>): readonly Wanted[] {
  const header = (name: string): string | undefined => {
    const bytes = headers.get(name)
    return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8')
  }
  const number = (name: string): number | undefined => {
    const text = header(name)
    return text === undefined ? undefined : Number(text)
  }
  const requestId = header('tm-request-id')
  const kind = header('tm-op') ?? (value === null ? 'delete' : 'put')
  switch (kind) {
    case 'put':
    case 'delete':
    case 'increment': {
      const change = toChange(
        kind,
        key,
        value,
        number('tm-ttl-ms'),
        textOf(headers.get('content-type') ?? null),
      )
      return [{ requestId, content: rowContent(change, number('tm-if-version')) }]
    }
    case 'pack':
      return (message(Pack, value ?? new Uint8Array(0))?.mutations ?? []).map(ofPack)
    case 'txn': {
      const transaction = message(Transaction, value ?? new Uint8Array(0))
      if (transaction === undefined) return []
      const compares = transaction.compares.map(({ key: compared, operator, target }) => [
        textOf(compared),
        OPERATORS[operator] ?? '',
        target?.$case,
        target?.$case === 'value' ? textOf(target.value) : target?.value,
      ])
      const [thenChanges, elseChanges] = [transaction.thenChanges, transaction.elseChanges].map((changes) =>
        changes.map(ofTransaction),
      )
      const content = transactionContent(compares, thenChanges ?? [], elseChanges ?? [])
      return [{ requestId, content }]
    }
    default:
      return []
  }
}

/** What a record produced past the nodes asks for. */
export const wantedOfForeign = ({ key, value, headers }: ForeignCall): readonly Wanted[] =>
  wantedOf({
    key: key === null ? null : Buffer.from(key, 'latin1'),
    value: value === null ? null : Buffer.from(value, 'latin1'),
    headers: new Map(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text, 'latin1')])),
  })

const textOf = (bytes: Uint8Array | null): string =>
  bytes === null ? '' : Buffer.from(bytes).toString('latin1')

function toChange(
  kind: string,
  key: Uint8Array | null,
  value: Uint8Array | null,
  ttlMs: number | undefined,
  contentType: string,
): Change {
  const row = { key: textOf(key) }
  switch (kind) {
    case 'put':
      return { kind, ...row, value: textOf(value), ttlMs, contentType }
    case 'increment':
      return { kind, ...row, delta: textOf(value), ttlMs }
    default:
      return { kind: 'delete', ...row }
  }
}

const ofPack = (mutation: PackMutation): Wanted => {
  const { kind, key, value, ttlMs, contentType, requestId, ifVersion } = mutation
  // Text of the message is UTF-8; everywhere here it is one character for each byte.
  const change = toChange(KINDS[kind] ?? '', key, value, ttlMs, textOf(Buffer.from(contentType)))
  return { requestId: requestId === '' ? undefined : requestId, content: rowContent(change, ifVersion) }
}

const ofTransaction = ({ kind, key, value, ttlMs, contentType }: TransactionChange): Change =>
  toChange(KINDS[kind] ?? '', key, value, ttlMs, textOf(Buffer.from(contentType)))

function rowContent(change: Change, ifVersion: number | undefined): string {
  return JSON.stringify([...changeContent(change), ifVersion ?? null])
}

function changeContent(change: Change): readonly (string | number | null)[] {
  switch (change.kind) {
    case 'put':
      return ['put', change.key, change.value, change.ttlMs ?? null, change.contentType ?? '']
    case 'delete':
      return ['delete', change.key]
    default:
      return ['increment', change.key, change.delta, change.ttlMs ?? null]
  }
}

const transactionContent = (
  compares: readonly unknown[],
  thenChanges: readonly Change[],
  elseChanges: readonly Change[],
): string => JSON.stringify(['txn', compares, thenChanges.map(changeContent), elseChanges.map(changeContent)])
