/**
 * Kafka's primitive types as they stand on the wire: big-endian integers, zigzag varints, and the compact strings and
 * arrays of the flexible versions (KIP-482), which are the only ones that this folder speaks by itself.
 */

/** A cursor over one response. Reads past the end throw RangeError: the broker and we disagree on the format. */
export class WireReader {
  readonly buffer: Buffer
  position: number

  constructor(buffer: Buffer, position = 0) {
    this.buffer = buffer
    this.position = position
  }

  int8(): number {
    const value = this.buffer.readInt8(this.position)
    this.position += 1
    return value
  }

  int16(): number {
    const value = this.buffer.readInt16BE(this.position)
    this.position += 2
    return value
  }

  int32(): number {
    const value = this.buffer.readInt32BE(this.position)
    this.position += 4
    return value
  }

  /** As a number: offsets, times and producer ids stay far below 2^53. */
  int64(): number {
    const value = readInt64(this.buffer, this.position)
    this.position += 8
    return value
  }

  uuid(): string {
    const hex = this.buffer.toString('hex', this.position, this.position + 16)
    if (hex.length !== 32) throw new RangeError('the response ends inside a uuid')
    this.position += 16
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.buffer.readUInt8(this.position++)
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('an unsigned varint is longer than five bytes')
  }

  /** Null where the wire says null. */
  string(): string | null {
    const length = this.unsignedVarint() - 1
    if (length < 0) return null
    const text = this.buffer.toString('utf8', this.position, this.position + length)
    this.position += length
    return text
  }

  /** A slice of the response, not a copy; null and empty are both empty. */
  bytes(): Buffer {
    const length = Math.max(0, this.unsignedVarint() - 1)
    if (this.position + length > this.buffer.length) throw new RangeError('the response ends inside a field')
    const slice = this.buffer.subarray(this.position, this.position + length)
    this.position += length
    return slice
  }

  /** A null array is an empty one. */
  array<T>(element: (reader: WireReader) => T): T[] {
    const count = this.unsignedVarint() - 1
    const items: T[] = []
    for (let n = 0; n < count; n++) items.push(element(this))
    return items
  }

  /** Calls `field` for each tagged field with a cursor over its bytes; without it they are stepped over. */
  tags(field?: (tag: number, reader: WireReader) => void): void {
    const count = this.unsignedVarint()
    for (let n = 0; n < count; n++) {
      const tag = this.unsignedVarint()
      const length = this.unsignedVarint()
      field?.(tag, new WireReader(this.buffer, this.position))
      this.position += length
    }
  }
}

export const readInt64 = (buffer: Buffer, at: number): number =>
  buffer.readInt32BE(at) * 4294967296 + buffer.readUInt32BE(at + 4)

export function writeInt64(buffer: Buffer, value: number, at: number): void {
  buffer.writeInt32BE(Math.floor(value / 4294967296), at)
  buffer.writeUInt32BE(((value % 4294967296) + 4294967296) % 4294967296, at + 4)
}

/** Builds one request body. Grows by doubling. */
export class WireWriter {
  #buffer: Buffer
  #length = 0

  constructor(bytesExpected = 256) {
    this.#buffer = Buffer.allocUnsafe(bytesExpected)
  }

  get written(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  #room(bytes: number): number {
    const at = this.#length
    if (at + bytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(at + bytes, 2 * this.#buffer.length))
      this.#buffer.copy(larger, 0, 0, at)
      this.#buffer = larger
    }
    this.#length = at + bytes
    return at
  }

  #byte(value: number): void {
    // In a statement of its own: making room may put another buffer in place of this one.
    const at = this.#room(1)
    this.#buffer[at] = value
  }

  int8(value: number): this {
    const at = this.#room(1)
    this.#buffer.writeInt8(value, at)
    return this
  }

  int16(value: number): this {
    const at = this.#room(2)
    this.#buffer.writeInt16BE(value, at)
    return this
  }

  int32(value: number): this {
    const at = this.#room(4)
    this.#buffer.writeInt32BE(value, at)
    return this
  }

  int64(value: number): this {
    const at = this.#room(8)
    writeInt64(this.#buffer, value, at)
    return this
  }

  uuid(value: string): this {
    const at = this.#room(16)
    this.#buffer.fill(0, at, at + 16)
    this.#buffer.write(value.replaceAll('-', ''), at, 'hex')
    return this
  }

  unsignedVarint(value: number): this {
    let rest = value
    while (rest >= 0x80) {
      this.#byte((rest % 0x80) | 0x80)
      rest = Math.floor(rest / 0x80)
    }
    this.#byte(rest)
    return this
  }

  string(value: string | null): this {
    if (value === null) return this.unsignedVarint(0)
    const length = Buffer.byteLength(value)
    this.unsignedVarint(length + 1)
    const at = this.#room(length)
    this.#buffer.write(value, at)
    return this
  }

  bytes(value: Uint8Array): this {
    this.unsignedVarint(value.length + 1)
    const at = this.#room(value.length)
    this.#buffer.set(value, at)
    return this
  }

  array<T>(items: readonly T[], element: (item: T) => void): this {
    this.unsignedVarint(items.length + 1)
    for (const item of items) element(item)
    return this
  }

  /** No tagged field. */
  tags(): this {
    return this.unsignedVarint(0)
  }
}
