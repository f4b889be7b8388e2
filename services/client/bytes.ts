/** Keys and values as callers give them: bytes, or text that stands for its UTF-8 bytes. */
import { TidemarkError } from '../../streams/core/errors.ts'

export type Bytes = Uint8Array | string

/** A view of the caller's bytes (not a copy: they must not be changed until the call has ended), or the UTF-8 of the text. */
export function toBuffer(bytes: Bytes, field: string): Buffer {
  if (typeof bytes === 'string') return Buffer.from(bytes, 'utf8')
  if (Buffer.isBuffer(bytes)) return bytes
  if (bytes instanceof Uint8Array) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  throw new TidemarkError('FIELD_INVALID', `${field} is a ${typeof bytes}; give a string or a Uint8Array`, {
    metadata: { field },
  })
}

export const EMPTY = Buffer.alloc(0)

/** First key after all keys with this prefix; empty where there is none (the prefix is empty or all 0xff). */
export function prefixEnd(prefix: Uint8Array): Buffer {
  const last = prefix.findLastIndex((byte) => byte !== 0xff)
  if (last < 0) return EMPTY
  const end = Buffer.from(prefix.subarray(0, last + 1))
  end[last] = (end[last] ?? 0) + 1
  return end
}
