/**
 * Finds out at start whether rows in the middle of the past are missing.
 *
 * RocksDB checks the content of each file, but not that no file of its write-ahead log was lost: where one is missing, or
 * the list of files (MANIFEST) lost its end, it opens with a hole, older and newer rows around it. So now and then, and with
 * the first write after each start, a batch carries a numbered mark. Marks stand in a ring of keys past
 * all others; a lost file takes a mark with it, and its number is missing where the next one is there.
 *
 * A lost end is no hole: the store is then as it was at an earlier time, and the replica reads on from there.
 */
import { ByteReader, ByteWriter } from '../core/bytes.ts'

/** Marks kept. */
const MARKS = 256
/**
 * Marks in as many bytes of writes as the memory tables may hold: 16 in each table, and so in each file of the write-ahead
 * log; and the ring covers four times that, where the log never holds twice.
 */
const MARKS_IN_MEMTABLES = 64

/** Keys from here on belong to the marks. */
export const RESERVED = new Uint8Array(16).fill(0xff)

export const MARK_KEYS: readonly Uint8Array[] = Array.from({ length: MARKS }, (_, slot) =>
  Buffer.concat([RESERVED, Uint8Array.of(slot)]),
)

export const isReserved = (key: Uint8Array): boolean => key[0] === 0xff && Buffer.compare(key, RESERVED) >= 0

/**
 * The number of the newest mark among the values of MARK_KEYS, 0 where there is none.
 * @throws MALFORMED; @returns undefined where an older mark is missing.
 */
export function newestMark(values: readonly (Uint8Array | undefined)[]): number | undefined {
  const numbers = values.map((value) => (value === undefined ? 0 : new ByteReader(value).varint()))
  const newest = Math.max(0, ...numbers)
  for (let number = Math.max(1, newest - MARKS + 1); number < newest; number += 1)
    if (numbers[number % MARKS] !== number) return undefined
  return newest
}

export class Marks {
  private next: number
  private readonly every: number
  /** Bytes written since the last mark. */
  private bytes: number

  constructor(newest: number, memtableBytes: number) {
    this.next = newest + 1
    this.every = memtableBytes / MARKS_IN_MEMTABLES
    this.bytes = this.every
  }

  /** The mark that the batch must carry, where one is due. */
  due(): { readonly key: Uint8Array; readonly value: Uint8Array } | undefined {
    if (this.bytes < this.every) return undefined
    const key = MARK_KEYS[this.next % MARKS]
    if (key === undefined) return undefined
    const writer = new ByteWriter(16)
    writer.varint(this.next)
    return { key, value: writer.bytes() }
  }

  /** After a batch was written, with the mark where one was due. */
  written(bytes: number): void {
    if (this.bytes >= this.every) {
      this.next += 1
      this.bytes = 0
    }
    this.bytes += bytes
  }
}
