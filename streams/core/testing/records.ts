/** Records for tests, written as a stranger would write them: key, value and headers as text. */
import { crc32 } from 'node:zlib'
import type { LogRecord, LogTime, NewRecord, Offset } from '../types.ts'

const bytesOf = (content: string | Uint8Array): Uint8Array =>
  typeof content === 'string' ? Buffer.from(content, 'utf8') : content

export function draft(
  key: string | Uint8Array | null,
  value: string | Uint8Array | null,
  headers: Readonly<Record<string, string | Uint8Array>> = {},
): NewRecord {
  return {
    key: key === null ? null : bytesOf(key),
    value: value === null ? null : bytesOf(value),
    headers: new Map(Object.entries(headers).map(([name, content]) => [name, bytesOf(content)])),
  }
}

export const logged = (offset: number, time: number, record: NewRecord): LogRecord => ({
  offset: offset as Offset,
  time: time as LogTime,
  ...record,
})

/** Puts the checksum that fits before the mutations of a pack. */
export function sealPack(mutations: Uint8Array): Buffer {
  const head = Buffer.alloc(5)
  head[0] = 0x0d
  head.writeUInt32LE(crc32(mutations), 1)
  return Buffer.concat([head, mutations])
}
