/**
 * Zstandard through fzstd. Node's own zstd came only with 22.15, and two decoders could differ on what they refuse. fzstd
 * makes room for the window that a frame asks for before it has decoded a byte, so that is looked at first.
 *
 *   28 b5 2f fd │ descriptor: size of the content size (2 bits), single segment (1), …, size of the dictionary id (2)
 *   │ window descriptor, if not a single segment │ dictionary id │ content size │ blocks…
 */
import { Decompress } from 'fzstd'
import { BoundedOutput } from './bounded-output.ts'

/** What zstd's own decoder accepts by default, and so the most that a broker lets through. */
const WINDOW_BYTES_MAX = 1 << 27

export function decompressZstd(input: Buffer, bytesMax: number): Buffer {
  if (windowBytes(input) > WINDOW_BYTES_MAX) throw new RangeError('a zstd frame asks for too large a window')
  const output = new BoundedOutput(bytesMax, 4 * input.length)
  new Decompress((chunk) => {
    output.literal(chunk, 0, chunk.length)
  }).push(input, true)
  return output.written
}

function windowBytes(frame: Buffer): number {
  const descriptor = frame.readUInt8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  if (!singleSegment) {
    const window = frame.readUInt8(5)
    const base = 2 ** (10 + (window >> 3))
    return base + (base / 8) * (window & 7)
  }
  const at = 5 + ([0, 1, 2, 4][descriptor & 3] ?? 0)
  switch (descriptor >> 6) {
    case 0:
      return frame.readUInt8(at)
    case 1:
      return frame.readUInt16LE(at) + 256
    case 2:
      return frame.readUInt32LE(at)
    default:
      return Number(frame.readBigUInt64LE(at))
  }
}
