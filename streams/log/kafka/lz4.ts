/**
 * LZ4 frames, as Kafka's clients write them (lz4_Frame_format.md and lz4_Block_format.md of the LZ4 project). No package
 * that decodes frames is both kept and free of native code; the format is small. Checksums are not looked at: the
 * record batch around the frame has its own.
 */
import { BoundedOutput } from './bounded-output.ts'

const MAGIC = 0x184d2204
const UNCOMPRESSED = 0x80000000
const BLOCK_CHECKSUM = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const DICTIONARY_ID = 0x01
const MATCH_LEAST = 4

export function decompressLz4Frame(input: Buffer, bytesMax: number): Buffer {
  const output = new BoundedOutput(bytesMax, 4 * input.length)
  let at = 0
  while (at < input.length) at = decodeFrame(input, at, output)
  return output.written
}

function decodeFrame(input: Buffer, start: number, output: BoundedOutput): number {
  if (input.readUInt32LE(start) !== MAGIC) throw new RangeError('the batch is no LZ4 frame')
  const flags = input.readUInt8(start + 4)
  if (flags >> 6 !== 1) throw new RangeError(`the version ${flags >> 6} of the LZ4 frame is unknown`)
  let at = start + 7
  if ((flags & CONTENT_SIZE) !== 0) at += 8
  if ((flags & DICTIONARY_ID) !== 0) at += 4
  for (;;) {
    const word = input.readUInt32LE(at)
    at += 4
    if (word === 0) break
    const end = at + (word % UNCOMPRESSED)
    if (end > input.length) throw new RangeError('an LZ4 block runs past its batch')
    if (word >= UNCOMPRESSED) output.literal(input, at, end)
    else decodeBlock(input.subarray(at, end), output)
    at = (flags & BLOCK_CHECKSUM) === 0 ? end : end + 4
  }
  return (flags & CONTENT_CHECKSUM) === 0 ? at : at + 4
}

/** Sequences of a literal and a match; matches look back over the borders of blocks. */
function decodeBlock(block: Buffer, output: BoundedOutput): void {
  let at = 0
  const longer = (nibble: number): number => {
    let length = nibble
    if (nibble < 15) return length
    let byte: number
    do {
      byte = block.readUInt8(at++)
      length += byte
    } while (byte === 255)
    return length
  }
  while (at < block.length) {
    const token = block.readUInt8(at++)
    const literals = longer(token >> 4)
    output.literal(block, at, at + literals)
    at += literals
    if (at >= block.length) return // the last sequence has no match
    const distance = block.readUInt16LE(at)
    at += 2
    output.match(distance, longer(token & 15) + MATCH_LEAST)
  }
}
