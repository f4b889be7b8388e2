/**
 * Tells a write-ahead log that was cut off from one that is damaged.
 *
 * RocksDB ends its recovery at the first record that fails its check and deletes what follows: right for the torn end that a
 * crash leaves, and a silent loss where a bit flipped among records that were synced. Where every write is synced before the
 * next one, nothing whole can stand behind a torn end; so this looks, before RocksDB does, for a whole record behind a broken one.
 *
 * ```
 * file    = block*                                     blocks of 32 KiB, the last may be short
 * block   = record* zero{0..6}
 * record  = crc:u32le length:u16le type:u8 payload     crc: masked CRC-32C of type and payload
 * type    = 1 whole | 2 first, 3 middle, 4 last part of a batch
 * ```
 */
import { crc32c } from '@node-rs/crc32'

const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7
const WHOLE = 1
const FIRST = 2
const LAST = 4

/** The place of the first broken record that has a whole one behind it; undefined where there is none. */
export function damageInside(file: Uint8Array): number | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  let broken: number | undefined
  for (let start = 0; start < bytes.length; start += BLOCK_BYTES) {
    const end = Math.min(start + BLOCK_BYTES, bytes.length)
    let at = start
    while (at + HEADER_BYTES <= end) {
      const next = recordEnd(bytes, at, end)
      if (next !== undefined) {
        if (broken !== undefined && beginsBatch(bytes, at)) return broken
        at = next
      } else if (broken === undefined) {
        broken = at
        // The length of a broken record is not to be trusted: the next one may begin anywhere in its block.
        at += 1
        while (
          at + HEADER_BYTES <= end &&
          !(beginsBatch(bytes, at) && recordEnd(bytes, at, end) !== undefined)
        )
          at += 1
      } else {
        break
      }
    }
  }
  return undefined
}

function beginsBatch(bytes: Buffer, at: number): boolean {
  const type = bytes[at + HEADER_BYTES - 1]
  return type === WHOLE || type === FIRST
}

/** Where the record at `at` ends; undefined where there is no whole record. */
function recordEnd(bytes: Buffer, at: number, end: number): number | undefined {
  const length = bytes.readUInt16LE(at + 4)
  const type = bytes[at + HEADER_BYTES - 1] ?? 0
  const next = at + HEADER_BYTES + length
  if (next > end || type < WHOLE || type > LAST) return undefined
  return unmask(bytes.readUInt32LE(at)) === crc32c(bytes.subarray(at + HEADER_BYTES - 1, next))
    ? next
    : undefined
}

/** RocksDB stores checksums rotated and moved, so that the checksum of bytes with checksums in them is none of chance. */
function unmask(masked: number): number {
  const rotated = (masked - 0xa282_ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}
