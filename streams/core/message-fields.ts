/**
 * Fields of protobuf messages, read strictly and written as every serializer writes them: what messages.ts and
 * control-messages.ts are made of.
 */
import { MALFORMED } from './bytes.ts'
import type { ByteReader, ByteWriter } from './bytes.ts'

export const VARINT = 0
export const SIZED = 2
export const FIXED32 = 5

/** Reads the tag of the next field and holds fields to rising order. */
export function nextField(
  reader: ByteReader,
  previous: number,
  repeatable: number,
): { field: number; type: number } {
  const tag = reader.varint()
  const field = Math.floor(tag / 8)
  if (field === 0 || field < previous || (field === previous && field !== repeatable)) throw MALFORMED
  return { field, type: tag % 8 }
}

export function expectType(type: number, wanted: number): void {
  if (type !== wanted) throw MALFORMED
}

export function bytesField(writer: ByteWriter, field: number, bytes: Uint8Array): void {
  if (bytes.length === 0) return
  writer.byte((field << 3) | SIZED)
  writer.sized(bytes)
}
export function textField(writer: ByteWriter, field: number, text: string): void {
  if (text.length === 0) return
  writer.byte((field << 3) | SIZED)
  writer.text(text)
}
export function optionalNumber(writer: ByteWriter, field: number, value: number | undefined): void {
  if (value === undefined) return
  writer.byte((field << 3) | VARINT)
  writer.varint(value)
}
