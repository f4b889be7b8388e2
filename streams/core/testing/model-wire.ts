/**
 * For the model: a record's value as its message, read by generated code. Numbers that JavaScript cannot hold become WIDE, which no
 * rule allows, and are written back as they were: that one number is wrong, not what stands around it.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'

export const WIDE = -1

interface Codec<T> {
  decode(reader: BinaryReader): T
  encode(value: T, writer: BinaryWriter): { finish(): Uint8Array }
}

class WideReader extends BinaryReader {
  readonly wide: bigint[] = []

  override uint64(): bigint | string {
    return this.#narrow(2n ** 53n)
  }
  /** The kind of a mutation: an enum goes over the wire as a signed number, but 2^31 is as unknown as -1. */
  override int32(): number {
    return Number(this.#narrow(2n ** 31n))
  }
  #narrow(bound: bigint): bigint {
    const value = BigInt(super.uint64())
    if (value < bound) return value
    this.wide.push(value)
    return BigInt(WIDE)
  }
}

class WideWriter extends BinaryWriter {
  readonly #wide: bigint[]

  constructor(wide: readonly bigint[]) {
    super()
    this.#wide = [...wide]
  }
  override uint64(value: string | number | bigint): this {
    return super.uint64(value === WIDE ? (this.#wide.shift() ?? 0n) : value)
  }
  override int32(value: number): this {
    return value === WIDE ? this.uint64(value) : super.int32(value)
  }
}

/** The message, or undefined where the bytes are not just what a protobuf serializer writes. */
export function message<T>(codec: Codec<T>, bytes: Uint8Array): T | undefined {
  try {
    const reader = new WideReader(bytes)
    const value = codec.decode(reader)
    return Buffer.from(codec.encode(value, new WideWriter(reader.wide)).finish()).equals(bytes)
      ? value
      : undefined
  } catch {
    return undefined
  }
}
