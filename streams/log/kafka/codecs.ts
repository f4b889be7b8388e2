/**
 * Decompression of what direct producers compress: gzip, snappy, lz4 and zstd. Tidemark itself does not compress.
 * The size of the output is bounded, because a few bytes can ask for gigabytes.
 */
import { gunzipSync } from 'node:zlib'
import { decompressLz4Frame } from './lz4.ts'
import { decompressSnappy } from './snappy.ts'
import { decompressZstd } from './zstd.ts'

/** `codec` is Kafka's number. @throws whatever the codec throws on damaged or oversized input. */
export function decompress(codec: number, input: Buffer, bytesMax: number): Buffer {
  switch (codec) {
    case 0:
      return input
    case 1:
      return gunzipSync(input, { maxOutputLength: bytesMax })
    case 2:
      return decompressSnappy(input, bytesMax)
    case 3:
      return decompressLz4Frame(input, bytesMax)
    case 4:
      return decompressZstd(input, bytesMax)
    default:
      throw new RangeError(`the compression codec ${codec} is unknown`)
  }
}
