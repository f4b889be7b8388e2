/**
 * Snappy as Kafka's clients write it: the Java client (xerial's snappy-java) cuts the input into blocks behind a header of
 * its own, librdkafka writes one bare block. The format is small (format_description.txt of the Snappy project), and
 * the package snappyjs does not end on some damaged inputs.
 *
 *   82 'SNAPPY' 00 │ version i32 │ compatible i32 │ blocks: (length i32 │ bare block)…
 *   bare block: length varint │ elements: a tag byte, whose lowest two bits say literal or match, and what belongs to it
 */
import { BoundedOutput } from './bounded-output.ts'

const MAGIC = Buffer.from('82534e4150505900', 'hex')
const HEADER_BYTES = 16
/** A literal of up to 60 bytes has its length in the tag; longer ones in as many bytes as are past this. */
const LITERAL_LENGTH_IN_TAG = 60

export function decompressSnappy(input: Buffer, bytesMax: number): Buffer {
  const output = new BoundedOutput(bytesMax, 4 * input.length)
  if (!input.subarray(0, MAGIC.length).equals(MAGIC)) {
    decodeBlock(input, output)
    return output.written
  }
  let at = HEADER_BYTES
  while (at < input.length) {
    const end = at + 4 + input.readUInt32BE(at)
    if (end > input.length) throw new RangeError('a snappy block runs past its batch')
    decodeBlock(input.subarray(at + 4, end), output)
    at = end
  }
  return output.written
}

function decodeBlock(block: Buffer, output: BoundedOutput): void {
  // The length of the output is not needed, since the output grows; at most five bytes.
  let at = 0
  while (block.readUInt8(at++) >= 0x80) if (at === 5) throw new RangeError('a snappy length is too long')
  while (at < block.length) {
    const tag = block.readUInt8(at++)
    const high = tag >> 2
    switch (tag & 3) {
      case 0: {
        let length = high + 1
        if (high >= LITERAL_LENGTH_IN_TAG) {
          const lengthBytes = high - LITERAL_LENGTH_IN_TAG + 1
          length = block.readUIntLE(at, lengthBytes) + 1
          at += lengthBytes
        }
        output.literal(block, at, at + length)
        at += length
        break
      }
      case 1:
        output.match(((tag >> 5) << 8) | block.readUInt8(at), 4 + (high & 7))
        at += 1
        break
      case 2:
        output.match(block.readUInt16LE(at), high + 1)
        at += 2
        break
      default:
        output.match(block.readUInt32LE(at), high + 1)
        at += 4
    }
  }
}
