/**
 * Outcome ⇄ bytes, for history and the dedupe table. FROZEN: the bytes are part of the chain hash.
 *
 *   outcome := code:u8 flags:u8 [offset:varint] [version:varint] [number:text]
 *   code    := 0 applied | the number of the rejection (mutation.ts)
 *   flags   := 1 duplicate | 2 has version | 4 has number | 8 has succeeded | 16 succeeded | 32 version is the offset
 */
import type { ByteReader, ByteWriter } from './bytes.ts'
import { MALFORMED } from './bytes.ts'
import { REJECTIONS } from './mutation.ts'
import type { Outcome, Rejection } from './mutation.ts'
import type { Offset } from './types.ts'

const DUPLICATE = 1
const VERSION = 2
const NUMBER = 4
const HAS_SUCCEEDED = 8
const SUCCEEDED = 16
const VERSION_IS_OFFSET = 32

const CODES = new Map<number, Rejection>(
  Object.entries(REJECTIONS).map(([reason, code]) => [code, reason as Rejection]),
)

export function writeOutcome(writer: ByteWriter, outcome: Outcome): void {
  const same = outcome.version === outcome.offset
  let flags =
    (outcome.duplicate ? DUPLICATE : 0) |
    (outcome.version === undefined ? 0 : same ? VERSION_IS_OFFSET : VERSION)
  if (outcome.status === 'applied') {
    if (outcome.number !== undefined) flags |= NUMBER
    if (outcome.succeeded !== undefined) flags |= HAS_SUCCEEDED | (outcome.succeeded ? SUCCEEDED : 0)
  }
  writer.byte(outcome.status === 'applied' ? 0 : REJECTIONS[outcome.reason])
  writer.byte(flags)
  writer.varint(outcome.offset)
  if ((flags & VERSION) !== 0 && outcome.version !== undefined) writer.varint(outcome.version)
  if (outcome.status === 'applied' && outcome.number !== undefined) writer.text(outcome.number.toString())
}

/** @throws MALFORMED */
export function readOutcome(reader: ByteReader): Outcome {
  const code = reader.byte()
  const flags = reader.byte()
  const offset = reader.varint() as Offset
  const version =
    (flags & VERSION_IS_OFFSET) !== 0
      ? offset
      : (flags & VERSION) !== 0
        ? (reader.varint() as Offset)
        : undefined
  const found = version === undefined ? {} : { version }
  const duplicate = (flags & DUPLICATE) !== 0
  if (code !== 0) {
    const reason = CODES.get(code)
    if (reason === undefined) throw MALFORMED
    return { status: 'rejected', offset, reason, ...found, duplicate }
  }
  const number = (flags & NUMBER) === 0 ? {} : { number: BigInt(reader.text()) }
  const succeeded = (flags & HAS_SUCCEEDED) === 0 ? {} : { succeeded: (flags & SUCCEEDED) !== 0 }
  return { status: 'applied', offset, ...found, ...number, ...succeeded, duplicate }
}
