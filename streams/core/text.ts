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

export interface RequestId {
  readonly session: string
  readonly sequence: number
}

/** The last one taken apart: apply asks for the same id several times, and the ids of a pack are of one session. */
let lastId: string | undefined
let lastSplit: RequestId = { session: '', sequence: 0 }
/** The last session with its slash, as ids begin with it, and as it is named. */
let lastSession = { start: '', name: '' }

/** `<session>/<sequence>` taken apart; any other id is a session of its own with the one sequence 0. The first letter keeps both apart. */
export function splitRequestId(id: string): RequestId {
  if (lastId === id) return lastSplit
  lastSplit = splitAnew(id)
  lastId = id
  return lastSplit
}

function splitAnew(id: string): RequestId {
  const slash = id.lastIndexOf('/')
  const sequence = slash > 0 && id.length - slash <= 17 ? unsignedFrom(id, slash + 1) : undefined
  if (sequence === undefined) return { session: `i${id}`, sequence: 0 }
  const { start, name } = lastSession
  if (start.length === slash + 1 && id.startsWith(start)) return { session: name, sequence }
  lastSession = { start: id.slice(0, slash + 1), name: `s${id.slice(0, slash)}` }
  return { session: lastSession.name, sequence }
}

/** readUnsigned of the rest of a text. */
function unsignedFrom(text: string, from: number): number | undefined {
  const { length } = text
  if (from >= length || (text.charCodeAt(from) === 0x30 && from + 1 < length)) return undefined
  let value = 0
  for (let at = from; at < length; at++) {
    const digit = text.charCodeAt(at) - 0x30
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return Number.isSafeInteger(value) ? value : undefined
}
