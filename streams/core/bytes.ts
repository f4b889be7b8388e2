/**
 * Bytes in and out: protobuf's wire format (varints, length-delimited) and big-endian 64-bit numbers for keys that sort.
 * Numbers are unsigned safe integers unless a name says otherwise. Readers are strict: what does not fit throws MALFORMED.
 */

class Malformed extends Error {
  override readonly name = 'Malformed'
}

/** The one exception of all readers; caught where bytes of strangers are decoded, never seen outside the core. */
export const MALFORMED = new Malformed('malformed bytes')

export const EMPTY = new Uint8Array(0)

const TWO_32 = 0x1_0000_0000

/** The same memory as a Buffer, which has the fast text and search methods. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** One character for each byte: makes bytes usable as the key of a Map. */
export const bytesToText = (bytes: Uint8Array): string => asBuffer(bytes).toString('latin1')
export const textToBytes = (text: string): Buffer => Buffer.from(text, 'latin1')

export function writeUint64(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / TWO_32)
  const low = value >>> 0
  target[at] = high >>> 24
  target[at + 1] = high >>> 16
  target[at + 2] = high >>> 8
  target[at + 3] = high
  target[at + 4] = low >>> 24
  target[at + 5] = low >>> 16
  target[at + 6] = low >>> 8
  target[at + 7] = low
}

export function readUint64(source: Uint8Array, at: number): number {
  if (at + 8 > source.length) throw MALFORMED
  const buffer = asBuffer(source)
  const value = buffer.readUInt32BE(at) * TWO_32 + buffer.readUInt32BE(at + 4)
  if (!Number.isSafeInteger(value)) throw MALFORMED
  return value
}

/** A buffer that grows; `bytes()` gives what was written and starts anew with fresh memory. */
export class ByteWriter {
  #buffer: Buffer
  #length = 0

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  get length(): number {
    return this.#length
  }

  #room(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }

  byte(value: number): void {
    this.#room(1)
    this.#buffer[this.#length++] = value
  }

  varint(value: number): void {
    this.#room(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80
      rest = rest < 0x8000_0000 ? rest >>> 7 : Math.floor(rest / 0x80)
    }
    this.#buffer[this.#length++] = rest
  }

  uint32le(value: number): void {
    this.#room(4)
    this.#length = this.#buffer.writeUInt32LE(value >>> 0, this.#length)
  }

  uint64(value: number): void {
    this.#room(8)
    writeUint64(this.#buffer, this.#length, value)
    this.#length += 8
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** Length, then the bytes. */
  sized(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  /** Length, then the text as UTF-8. */
  text(value: string): void {
    if (value.length === 0) {
      this.varint(0)
      return
    }
    const bytes = Buffer.byteLength(value)
    this.varint(bytes)
    this.#room(bytes)
    this.#length += this.#buffer.write(value, this.#length, 'utf8')
  }

  /** Overwrites four bytes that were written before. */
  patchUint32le(at: number, value: number): void {
    this.#buffer.writeUInt32LE(value >>> 0, at)
  }

  /** What stands from `from` on, as a view that is valid until the next write. */
  view(from = 0): Buffer {
    return this.#buffer.subarray(from, this.#length)
  }

  bytes(): Buffer {
    const written = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafe(Math.max(256, Math.min(this.#length, 64 * 1024)))
    this.#length = 0
    return written
  }

  /** Forgets what was written and keeps the memory. */
  reset(): void {
    this.#length = 0
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array
  #end: number
  at: number

  constructor(bytes: Uint8Array, from = 0, end = bytes.length) {
    this.#bytes = bytes
    this.at = from
    this.#end = end
  }

  get done(): boolean {
    return this.at >= this.#end
  }

  /** Ends reading after the next `length` bytes, until `close` gets what this returns. */
  open(length: number): number {
    const end = this.at + length
    if (end > this.#end) throw MALFORMED
    const outer = this.#end
    this.#end = end
    return outer
  }

  close(outer: number): void {
    this.#end = outer
  }

  byte(): number {
    const value = this.at < this.#end ? this.#bytes[this.at] : undefined
    if (value === undefined) throw MALFORMED
    this.at += 1
    return value
  }

  varint(): number {
    let value = this.byte()
    if (value < 0x80) return value
    value &= 0x7f
    let scale = 0x80
    for (let bytes = 1; bytes < 8; bytes++) {
      const next = this.byte()
      value += (next & 0x7f) * scale
      if (next < 0x80) {
        // Over 2^53, or a padded form of a smaller number: one number, one spelling.
        if (!Number.isSafeInteger(value) || next === 0) throw MALFORMED
        return value
      }
      scale *= 0x80
    }
    throw MALFORMED
  }

  /** A varint of up to 64 bits; Infinity where it is 2^53 or more, so that the reader can refuse that one number alone. */
  varint64(): number {
    let value = this.byte()
    if (value < 0x80) return value
    value &= 0x7f
    let scale = 0x80
    for (let bytes = 1; bytes < 10; bytes++) {
      const next = this.byte()
      value += (next & 0x7f) * scale
      if (next < 0x80) {
        // A padded form of a smaller number, or over 64 bits.
        if (next === 0 || (bytes === 9 && next > 1)) throw MALFORMED
        return Number.isSafeInteger(value) ? value : Infinity
      }
      scale *= 0x80
    }
    throw MALFORMED
  }

  uint32le(): number {
    const bytes = this.raw(4)
    return asBuffer(bytes).readUInt32LE(0)
  }

  uint64(): number {
    const value = readUint64(this.#bytes.subarray(0, this.#end), this.at)
    this.at += 8
    return value
  }

  /** A view of the next `length` bytes. */
  raw(length: number): Uint8Array {
    const end = this.at + length
    if (end > this.#end) throw MALFORMED
    const bytes = this.#bytes.subarray(this.at, end)
    this.at = end
    return bytes
  }

  sized(): Uint8Array {
    return this.raw(this.varint())
  }

  text(): string {
    const length = this.varint()
    return length === 0 ? '' : asBuffer(this.raw(length)).toString('utf8')
  }
}

/** Orders as unsigned bytes; negative, 0 or positive. */
export const compareBytes = (left: Uint8Array, right: Uint8Array): number => Buffer.compare(left, right)

/** The first key after all keys that start with `prefix`; undefined when there is none (all 0xff). */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1
  if (length === 0) return undefined
  const end = Uint8Array.prototype.slice.call(prefix, 0, length)
  end[length - 1] = (prefix[length - 1] ?? 0) + 1
  return end
}

/** The key when the range, from `start` to before `end`, holds just one. */
export function keyOfRange(range: {
  readonly start: Uint8Array
  readonly end: Uint8Array | undefined
}): Uint8Array | undefined {
  const { start, end } = range
  if (start.length === 0 || end?.length !== start.length + 1 || end[start.length] !== 0) return undefined
  return compareBytes(end.subarray(0, start.length), start) === 0 ? start : undefined
}
