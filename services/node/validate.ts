/**
 * What the front itself checks: the shape of a request, before the face sees it. What a row, a token or a keyspace may be is
 * the face's to say. Each function throws an error that names the field.
 */
import { asBuffer } from '../../streams/core/bytes.ts'
import { type Reason, TidemarkError } from '../../streams/core/errors.ts'
import { KEY_BYTES_MAX, TOKEN_POSITIONS_MAX } from '../../streams/core/limits.ts'
import { type Position, offset, partition } from '../../streams/core/types.ts'
import type { Consistency, Token } from '../../streams/face.ts'
import type { Token as TokenMessage } from '../../proto/generated/tidemark/v1/types.ts'

const DEFAULT_KEYSPACE = 'default'

export const keyspaceName = (name: string): string => (name === '' ? DEFAULT_KEYSPACE : name)

export const refuse = (
  reason: Reason,
  message: string,
  field: string,
  facts: Readonly<Record<string, string>> = {},
): TidemarkError => new TidemarkError(reason, message, { metadata: { field, ...facts } })

export const refuseField = (field: string, message: string): TidemarkError =>
  refuse('FIELD_INVALID', `${field}: ${message}`, field)

export function checkKey(key: Uint8Array, field: string): void {
  if (key.length === 0) {
    throw refuse('KEY_EMPTY', `${field} is empty: a key has 1 to ${KEY_BYTES_MAX} bytes`, field)
  }
  if (key.length > KEY_BYTES_MAX) throw keyTooLong(key.length, KEY_BYTES_MAX, field)
}

/** The bound of a range: a key, or the first key after one, which is a byte longer. */
export function checkBound(bound: Uint8Array, field: string): void {
  if (bound.length > KEY_BYTES_MAX + 1) throw keyTooLong(bound.length, KEY_BYTES_MAX + 1, field)
}

const keyTooLong = (length: number, limit: number, field: string): TidemarkError =>
  refuse('KEY_TOO_LONG', `${field} has ${length} bytes, the limit is ${limit}`, field, {
    limit: String(limit),
    actual: String(length),
  })

const CONSISTENCIES: readonly (Consistency | undefined)[] = [undefined, 'eventual', 'session', 'linearizable']

export function checkConsistency(value: number): Consistency | undefined {
  if (value in CONSISTENCIES) return CONSISTENCIES[value]
  throw refuseField('consistency', `there is no Consistency with the number ${value}`)
}

export function checkDurability(value: number): 'applied' | 'logged' {
  if (value === 0 || value === 1) return 'applied'
  if (value === 2) return 'logged'
  throw refuseField('durability', `there is no Durability with the number ${value}`)
}

export function checkToken(token: TokenMessage | undefined, field = 'token'): Token | undefined {
  if (token === undefined) return undefined
  if (token.positions.length > TOKEN_POSITIONS_MAX) {
    const count = token.positions.length
    throw refuse(
      'TOKEN_INVALID',
      `${field} has ${count} positions, the limit is ${TOKEN_POSITIONS_MAX}`,
      field,
      {
        limit: String(TOKEN_POSITIONS_MAX),
        actual: String(count),
      },
    )
  }
  const seen = new Set<string>()
  const positions: Position[] = []
  for (const position of token.positions) {
    const keyspace = keyspaceName(position.keyspace)
    const place = `${keyspace}/${position.partition}`
    if (seen.has(place)) {
      throw refuse('TOKEN_INVALID', `${field} has two positions of partition ${place}`, field, {
        partition: place,
      })
    }
    seen.add(place)
    positions.push({ keyspace, partition: partition(position.partition), offset: offset(position.offset) })
  }
  return { logIdentity: token.logIdentity, positions }
}

/** A key for people: as text where it is some, in hexadecimal otherwise, cut where it is long. */
export function showKey(key: Uint8Array): string {
  const bytes = asBuffer(key).subarray(0, 64)
  const text = bytes.toString('utf8')
  const shown = Buffer.from(text).equals(bytes) ? JSON.stringify(text) : `0x${bytes.toString('hex')}`
  return key.length > bytes.length ? `${shown} …` : shown
}
