import { gzipSync } from 'node:zlib'
import { expect } from 'chai'
import fc from 'fast-check'
import { decompress } from './codecs.ts'

const BYTES_MAX = 1 << 20
const GZIP = 1
const SNAPPY = 2
const LZ4 = 3
const ZSTD = 4

const lz4Frame = (...blocks: Buffer[]): Buffer => {
  const head = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x40, 0x40, 0])
  const parts = blocks.flatMap((block) => {
    const size = Buffer.alloc(4)
    size.writeUInt32LE(block.length)
    return [size, block]
  })
  return Buffer.concat([head, ...parts, Buffer.alloc(4)])
}

/** One literal, then a match of distance 1 that repeats it. */
const lz4Repeat = (byte: number, longer: number): Buffer =>
  Buffer.from([0x1f, byte, 1, 0, ...Array.from({ length: longer }, () => 255), 0])

/** A frame of blocks of 128 KiB, each of one repeated byte (zstd_compression_format.md). */
const zstdRepeat = (blocks: number): Buffer =>
  Buffer.concat([
    Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38]),
    ...Array.from({ length: blocks }, (_, n) => {
      const block = (131_072 << 3) | (1 << 1) | (n === blocks - 1 ? 1 : 0)
      return Buffer.from([block & 0xff, (block >> 8) & 0xff, (block >> 16) & 0xff, 7])
    }),
  ])

describe('codecs', () => {
  it('follow the matches of LZ4 over the borders of blocks', () => {
    const literal = Buffer.from([0x50, ...Buffer.from('tides')])
    // A match of 5 bytes (4 + 1) that begins 5 bytes back, in the block before; then one literal to end the block.
    const match = Buffer.from([0x01, 5, 0, 0x10, 33])
    expect(decompress(LZ4, lz4Frame(literal, match), BYTES_MAX).toString()).to.equal('tidestides!')
  })

  it('read bare snappy blocks, as librdkafka writes them', () => {
    expect(
      decompress(SNAPPY, Buffer.from([5, 4 << 2, ...Buffer.from('tides')]), BYTES_MAX).toString(),
    ).to.equal('tides')
  })

  it('stop at the bound: gzip', () => {
    expect(decompress(GZIP, gzipSync(Buffer.alloc(BYTES_MAX)), BYTES_MAX)).to.have.length(BYTES_MAX)
    expect(() => decompress(GZIP, gzipSync(Buffer.alloc(BYTES_MAX + 1)), BYTES_MAX)).to.throw()
  })

  it('stop at the bound: snappy', () => {
    // One literal byte, then matches of 64 bytes that repeat it: three bytes each.
    const matches = Array.from({ length: (1 << 14) + 1 }, () => [(63 << 2) | 2, 1, 0])
    const claims = Buffer.from([1, 0, 7, ...matches.flat()])
    expect(() => decompress(SNAPPY, claims, BYTES_MAX)).to.throw(RangeError, 'over 1048576 bytes')
  })

  it('stop at the bound: lz4', () => {
    expect(decompress(LZ4, lz4Frame(lz4Repeat(7, 4000)), BYTES_MAX)).to.have.length(1 + 4 + 15 + 4000 * 255)
    expect(() => decompress(LZ4, lz4Frame(lz4Repeat(7, 5000)), BYTES_MAX)).to.throw(
      RangeError,
      'over 1048576 bytes',
    )
  })

  it('stop at the bound: zstd', () => {
    expect(decompress(ZSTD, zstdRepeat(8), BYTES_MAX)).to.have.length(BYTES_MAX)
    expect(() => decompress(ZSTD, zstdRepeat(9), BYTES_MAX)).to.throw(RangeError, 'over 1048576 bytes')
    // 40 kB that ask for 1.3 GB.
    expect(() => decompress(ZSTD, zstdRepeat(10_000), BYTES_MAX)).to.throw(RangeError)
  })

  it('make no room for a zstd window that no broker would let through', () => {
    const frame = Buffer.from(zstdRepeat(1))
    frame[5] = 18 << 3 // 256 MiB
    expect(() => decompress(ZSTD, frame, BYTES_MAX)).to.throw(RangeError, 'window')
  })

  it('end on any input, with an error or with bounded output', () => {
    const seeds = [
      gzipSync('tide'),
      lz4Frame(lz4Repeat(1, 2)),
      zstdRepeat(1),
      Buffer.from('82534e4150505900', 'hex'),
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(GZIP, SNAPPY, LZ4, ZSTD, 5),
        fc.constantFrom(...seeds),
        fc.uint8Array({ maxLength: 64 }),
        fc.nat(40),
        (codec, seed, noise, at) => {
          const input = Buffer.concat([seed.subarray(0, at), noise, seed.subarray(at)])
          try {
            expect(decompress(codec, input, 4096).length).to.be.at.most(4096)
          } catch (caught) {
            expect(caught).to.be.instanceOf(Error)
          }
        },
      ),
      { numRuns: 2000 },
    )
  })
})
