/**
 * What a codec has decompressed so far: grows as it is written, up to its bound, and can be looked back into, as the matches
 * of the LZ77 family do.
 */
export class BoundedOutput {
  readonly #bytesMax: number
  #bytes: Buffer
  #length = 0

  constructor(bytesMax: number, bytesExpected: number) {
    this.#bytesMax = bytesMax
    this.#bytes = Buffer.allocUnsafe(Math.min(bytesMax, bytesExpected))
  }

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #room(count: number): void {
    const needed = this.#length + count
    if (needed > this.#bytesMax)
      throw new RangeError(`the batch decompresses to over ${this.#bytesMax} bytes`)
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, Math.max(needed, 2 * this.#bytes.length)))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }

  /** Bytes [start, end) of the input. */
  literal(input: Uint8Array, start: number, end: number): void {
    if (end > input.length) throw new RangeError('a literal runs past its batch')
    this.#room(end - start)
    this.#bytes.set(input.subarray(start, end), this.#length)
    this.#length += end - start
  }

  /** `count` bytes that stand `distance` back; the two may overlap, and then what was just written is read again. */
  match(distance: number, count: number): void {
    if (distance === 0 || distance > this.#length) throw new RangeError('a match begins before the output')
    this.#room(count)
    const bytes = this.#bytes
    const start = this.#length
    this.#length += count
    if (distance >= count) {
      bytes.copyWithin(start, start - distance, start - distance + count)
      return
    }
    for (let to = start; to < this.#length; to++) bytes[to] = bytes[to - distance] ?? 0
  }
}
