/**
 * Protobuf's wire format for hand-written codecs: a writer whose exact size is known before (no copies, no lists of chunks)
 * and a reader that gives views. Numbers are unsigned safe integers; a larger one is refused, never rounded. What breaks
 * the format is MESSAGE_MALFORMED.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import { asBuffer } from '../streams/core/bytes.ts'
import { TidemarkError } from '../streams/core/errors.ts'

const malformed = (what: string, cause?: unknown): TidemarkError =>
  new TidemarkError('MESSAGE_MALFORMED', `the message is not valid protobuf of its type: ${what}`, { cause })

const UNSAFE = 'a number is over 2^53 - 1'

/** Decodes with generated code, whose errors are plain ones. @throws MESSAGE_MALFORMED */
export function decodeGenerated<Message>(
  decoder: { decode(input: BinaryReader): Message },
  bytes: Uint8Array,
): Message {
  const reader = new BinaryReader(bytes)
  let message: Message
  try {
    message = decoder.decode(reader)
  } catch (caught) {
    const message = caught instanceof Error ? caught.message : String(caught)
    throw malformed(/SAFE_INTEGER/.test(message) ? UNSAFE : message, caught)
  }
  // The generated code stops at the end of a group that never began, and would drop the rest.
  if (reader.pos !== bytes.length) throw malformed('it does not end where its fields end')
  return message
}

const TWO_32 = 0x1_0000_0000
/** Below this, copying byte by byte is cheaper than the call of a bulk copy. */
const SHORT_BYTES = 24

/** Bytes of an unsigned number as a varint. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x4000) return 2
  if (value < 0x20_0000) return 3
  if (value < 0x1000_0000) return 4
  if (value < 2 ** 35) return 5
  if (value < 2 ** 42) return 6
  if (value < 2 ** 49) return 7
  return 8
}

/** Bytes of a field of bytes whose tag takes one byte. */
export const bytesSize = (bytes: Uint8Array): number => 1 + varintSize(bytes.length) + bytes.length

/** Bytes of a field of text whose tag takes one byte; 0 for empty text, which is left out. */
export function textSize(text: string): number {
  if (text.length === 0) return 0
  const length = Buffer.byteLength(text)
  return 1 + varintSize(length) + length
}

/** The writer of the generated code, without its way through bigint for numbers that need none. */
class NumberWriter extends BinaryWriter {
  override uint64(value: string | number | bigint): this {
    return typeof value === 'number' && value >= 0 && value < TWO_32
      ? this.uint32(value)
      : super.uint64(value)
  }
}

/** Bytes of a message up to which its writer, and the memory that it has grown to, is used again. */
const WRITER_KEPT_BYTES = 1024 * 1024
let writer = new NumberWriter()

/** Encodes with generated code, twice as fast as by itself: one writer for all, and one copy fewer. */
export function encodeGenerated<Message>(
  encoder: { encode(message: Message, writer: BinaryWriter): BinaryWriter },
  message: Message,
): Buffer {
  let bytes: Uint8Array | undefined
  try {
    bytes = encoder.encode(message, writer).finish()
    return asBuffer(bytes)
  } finally {
    // What throws leaves the writer half full.
    if (bytes === undefined || bytes.length > WRITER_KEPT_BYTES) writer = new NumberWriter()
  }
}

export class WireWriter {
  readonly #buffer: Buffer
  #at = 0

  /** @param size - at least what will be written */
  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size)
  }

  #varint(value: number): void {
    const buffer = this.#buffer
    let at = this.#at
    let rest = value
    while (rest >= TWO_32) {
      buffer[at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    while (rest >= 0x80) {
      buffer[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[at++] = rest
    this.#at = at
  }

  number(tag: number, value: number): void {
    this.#buffer[this.#at++] = tag
    this.#varint(value)
  }

  sized(tag: number, bytes: Uint8Array): void {
    this.number(tag, bytes.length)
    const length = bytes.length
    if (length <= SHORT_BYTES) {
      const buffer = this.#buffer
      const at = this.#at
      for (let index = 0; index < length; index++) buffer[at + index] = bytes[index] ?? 0
    } else this.#buffer.set(bytes, this.#at)
    this.#at += length
  }

  /** Leaves empty text out. */
  text(tag: number, text: string): void {
    if (text.length === 0) return
    this.number(tag, Buffer.byteLength(text))
    this.#at += this.#buffer.write(text, this.#at, 'utf8')
  }

  /** @param text - decimal, signed 64 bit */
  int64(tag: number, text: string): void {
    this.#buffer[this.#at++] = tag
    let rest = BigInt.asUintN(64, BigInt(text))
    while (rest >= 0x80n) {
      this.#buffer[this.#at++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#buffer[this.#at++] = Number(rest)
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }
}

export class WireReader {
  readonly #buffer: Buffer
  at = 0
  /** Where the message that is open ends. */
  end: number

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.end = bytes.length
  }

  /** Opens a message inside; `close` takes what this returns. */
  open(): number {
    const length = this.#length()
    const outer = this.end
    this.end = this.at + length
    return outer
  }

  close(outer: number): void {
    this.end = outer
  }

  tag(): number {
    const tag = this.uint32()
    if (tag >>> 3 === 0) throw malformed('a field has the number 0')
    return tag
  }

  /** An unsigned number of up to 64 bits. */
  uint(): number {
    const buffer = this.#buffer
    let value = 0
    let scale = 1
    for (let index = 0; index < 10; index++) {
      const byte = this.at < this.end ? buffer[this.at] : undefined
      if (byte === undefined) throw malformed('it ends inside a number')
      this.at += 1
      if (byte < 0x80) {
        value += byte * scale
        if (value > Number.MAX_SAFE_INTEGER) throw malformed(UNSAFE)
        return value
      }
      value += (byte & 0x7f) * scale
      scale *= 0x80
    }
    throw malformed('a number has more than 10 bytes')
  }

  uint32(): number {
    const byte = this.at < this.end ? this.#buffer[this.at] : undefined
    if (byte !== undefined && byte < 0x80) {
      this.at += 1
      return byte
    }
    return this.#low() >>> 0
  }

  /** As protobuf reads an enum: the low 32 bits, signed. */
  int32(): number {
    return this.#low() | 0
  }

  bool(): boolean {
    return this.#int64() !== 0n
  }

  /** Decimal text of a signed 64-bit number. */
  int64(): string {
    return String(BigInt.asIntN(64, this.#int64()))
  }

  #int64(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.at < this.end ? this.#buffer[this.at] : undefined
      if (byte === undefined) throw malformed('it ends inside a number')
      this.at += 1
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw malformed('a number has more than 10 bytes')
  }

  #low(): number {
    let low = 0
    for (let index = 0; index < 10; index++) {
      const byte = this.at < this.end ? this.#buffer[this.at] : undefined
      if (byte === undefined) throw malformed('it ends inside a number')
      this.at += 1
      if (index < 5) low |= (byte & 0x7f) << (7 * index)
      if (byte < 0x80) return low
    }
    throw malformed('a number has more than 10 bytes')
  }

  #length(): number {
    const length = this.uint32()
    if (length > this.end - this.at) throw malformed('it ends inside a field')
    return length
  }

  bytes(): Buffer {
    const length = this.#length()
    const start = this.at
    this.at += length
    return this.#buffer.subarray(start, this.at)
  }

  text(): string {
    const length = this.#length()
    const start = this.at
    this.at += length
    return length === 0 ? '' : this.#buffer.toString('utf8', start, this.at)
  }

  /** Steps over a field that is not known, or has another wire type than it should. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0:
        this.#low()
        return
      case 1:
        this.#forward(8)
        return
      case 2:
        this.#forward(this.#length())
        return
      case 5:
        this.#forward(4)
        return
      default:
        throw malformed(`a field has the wire type ${tag & 7}`)
    }
  }

  #forward(length: number): void {
    if (length > this.end - this.at) throw malformed('it ends inside a field')
    this.at += length
  }
}
