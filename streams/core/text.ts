/** Text of records, read strictly: one value has one spelling, so that all replicas and all languages agree. */
import { isUtf8 } from 'node:buffer'
import { asBuffer } from './bytes.ts'

const INT64_MAX = 2n ** 63n - 1n
const INT64_MIN = -(2n ** 63n)

/** The text, or undefined when the bytes are not UTF-8. */
export const readText = (bytes: Uint8Array): string | undefined =>
  isUtf8(bytes) ? asBuffer(bytes).toString('utf8') : undefined

/** Decimal text of an unsigned safe integer without leading zeros; undefined when it is anything else. */
export function readUnsigned(bytes: Uint8Array): number | undefined {
  if (bytes.length === 0 || bytes.length > 16) return undefined
  if (bytes.length > 1 && bytes[0] === 0x30) return undefined
  let value = 0
  for (const byte of bytes) {
    if (byte < 0x30 || byte > 0x39) return undefined
    value = value * 10 + (byte - 0x30)
  }
  return Number.isSafeInteger(value) ? value : undefined
}

/** Decimal text of a signed 64-bit number, no leading zeros, no plus, no -0; undefined when it is anything else. */
export function readInt64(bytes: Uint8Array): bigint | undefined {
  if (bytes.length === 0 || bytes.length > 20) return undefined
  const text = asBuffer(bytes).toString('latin1')
  if (!/^(?:0|-?[1-9][0-9]{0,18})$/.test(text)) return undefined
  const value = BigInt(text)
  return fitsInt64(value) ? value : undefined
}

export const fitsInt64 = (value: bigint): boolean => value >= INT64_MIN && value <= INT64_MAX

/** `<session>/<sequence>` taken apart; any other id is a session of its own with the one sequence 0. The first letter keeps both apart. */
export function splitRequestId(id: string): { readonly session: string; readonly sequence: number } {
  const slash = id.lastIndexOf('/')
  if (slash > 0 && slash < id.length - 1 && id.length - slash <= 17) {
    const sequence = readUnsigned(Buffer.from(id.slice(slash + 1), 'utf8'))
    if (sequence !== undefined) return { session: `s${id.slice(0, slash)}`, sequence }
  }
  return { session: `i${id}`, sequence: 0 }
}
