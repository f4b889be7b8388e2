/**
 * Turns fetched runs of record batches into records, a bounded piece at a time: decompresses, drops aborted transactions,
 * steps over control records. Total (I2): a batch that cannot be read, or that decompresses past BATCH_BYTES_MAX,
 * becomes one record without key and value for each of its offsets, which apply rejects, on every replica alike.
 */
import { BATCH_BYTES_MAX } from '../../core/limits.ts'
import { NO_HEADERS, logTime, offset, type Headers, type LogRecord, type LogTime } from '../../core/types.ts'
import { createAbortFilter, type AbortFilter } from './aborted.ts'
import { decompress } from './codecs.ts'
import type { AbortedTransaction } from './fetch-protocol.ts'
import { RECORDS_AT, readBatchHeader, type BatchHeader } from './record-batch.ts'

const NO_BYTES = Buffer.alloc(0)

/** One run, from the record at `from`; the batches of a run are whole and their checksums hold (walkBatches). */
export class RunReader {
  readonly #run: Buffer
  readonly #from: number
  readonly #filter: AbortFilter
  #at = 0
  #nextOffset: number
  // The batch that is being read, its records decompressed.
  #batch: BatchHeader | undefined
  #bytes: Buffer = NO_BYTES
  #position = 0
  /** Records of the batch that were read. */
  #read = 0
  /** Least place in the batch that the next record can have. */
  #place = 0
  #readable = true

  constructor(run: Buffer, from: number, aborted: readonly AbortedTransaction[]) {
    this.#run = run
    this.#from = from
    this.#nextOffset = from
    this.#filter = createAbortFilter(aborted)
  }

  get done(): boolean {
    return this.#batch === undefined && this.#at >= this.#run.length
  }

  /** Adds the next records to `records`, which holds at most `recordsMax` and about `bytesMax` then. @returns the bytes added. */
  take(records: LogRecord[], recordsMax: number, bytesMax: number): number {
    let bytes = 0
    while (!this.done && records.length < recordsMax && bytes < bytesMax) {
      const batch = this.#batch ?? this.#open()
      if (batch === undefined) continue
      if (this.#spent(batch)) {
        this.#close(batch)
        continue
      }
      const record = this.#next(batch)
      if (record.offset < this.#from) continue
      this.#nextOffset = record.offset + 1
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      for (const value of record.headers.values()) bytes += value.length
      records.push(record)
    }
    if (this.#batch !== undefined && this.#spent(this.#batch)) this.#close(this.#batch)
    return bytes
  }

  /** The offset after all that was taken, skipped offsets included. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  /** The next batch that has records to show; undefined where it is stepped over. */
  #open(): BatchHeader | undefined {
    const start = this.#at
    const batch = readBatchHeader(this.#run, start)
    this.#at = batch.end
    const stored = this.#run.subarray(start + RECORDS_AT, batch.end)
    const skip = this.#filter.drops(batch, batch.control && isAbortMarker(stored)) || batch.control
    if (skip || batch.nextOffset <= this.#from) {
      this.#close(batch)
      return undefined
    }
    this.#batch = batch
    this.#position = 0
    this.#read = 0
    this.#place = 0
    this.#readable = true
    try {
      this.#bytes = decompress(batch.compression, stored, BATCH_BYTES_MAX)
    } catch {
      this.#readable = false
    }
    return batch
  }

  #spent(batch: BatchHeader): boolean {
    return (this.#readable && this.#read >= batch.count) || batch.baseOffset + this.#place >= batch.nextOffset
  }

  #close(batch: BatchHeader): void {
    this.#batch = undefined
    this.#bytes = NO_BYTES
    this.#nextOffset = Math.max(this.#nextOffset, batch.nextOffset)
  }

  #next(batch: BatchHeader): LogRecord {
    if (this.#readable) {
      try {
        const record = this.#decode(batch)
        this.#read++
        this.#place = record.offset - batch.baseOffset + 1
        return record
      } catch (caught) {
        if (!(caught instanceof RangeError)) throw caught
        this.#readable = false
      }
    }
    return {
      offset: offset(batch.baseOffset + this.#place++),
      time: timeOf(batch, 0),
      key: null,
      value: null,
      headers: NO_HEADERS,
    }
  }

  #decode(batch: BatchHeader): LogRecord {
    const length = this.#varint()
    const end = this.#position + length
    if (length < 0 || end > this.#bytes.length) throw new RangeError('a record runs past its batch')
    this.#position++ // attributes, unused
    const time = timeOf(batch, this.#varlong())
    const delta = this.#varint()
    const record = {
      offset: offset(batch.baseOffset + delta),
      time,
      key: this.#field(end),
      value: this.#field(end),
      headers: this.#headers(end),
    }
    if (this.#position !== end) throw new RangeError('a record does not end where it says')
    if (delta < this.#place || record.offset >= batch.nextOffset) {
      throw new RangeError('the offsets of a batch do not rise, or leave it')
    }
    return record
  }

  #headers(end: number): Headers {
    const count = this.#varint()
    if (count === 0) return NO_HEADERS
    if (count < 0) throw new RangeError('a record has less than no headers')
    const headers = new Map<string, Uint8Array>()
    for (let n = 0; n < count; n++) {
      const name = this.#field(end)
      if (name === null) throw new RangeError('a header has no name')
      // A name that stands twice counts with its last value, as in Kafka's lastHeader; null is empty.
      headers.set(name.toString('utf8'), this.#field(end) ?? NO_BYTES)
    }
    return headers
  }

  #field(end: number): Buffer | null {
    const length = this.#varint()
    if (length === -1) return null
    const start = this.#position
    if (length < 0 || start + length > end) throw new RangeError('a field runs past its record')
    this.#position = start + length
    return this.#bytes.subarray(start, this.#position)
  }

  #varint(): number {
    const bytes = this.#bytes
    let byte = bytes[this.#position++]
    if (byte === undefined) throw new RangeError('the batch ends inside a number')
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let value = byte & 0x7f
    for (let shift = 7; shift < 35; shift += 7) {
      byte = bytes[this.#position++]
      if (byte === undefined) throw new RangeError('the batch ends inside a number')
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw new RangeError('a varint is longer than five bytes')
  }

  /** Inexact past 2^53, where no time lies. */
  #varlong(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#position++]
      if (byte === undefined) throw new RangeError('the batch ends inside a number')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2
    }
    throw new RangeError('a varlong is longer than ten bytes')
  }
}

/** A safe integer, whatever a producer wrote into a topic that does not stamp its records itself. */
function timeOf(batch: BatchHeader, delta: number): LogTime {
  const time = batch.appendTime ?? batch.baseTime + delta
  return logTime(Math.max(0, Math.min(time, Number.MAX_SAFE_INTEGER)))
}

/** A control batch holds one record whose key is a version and a type, i16 each; type 0 is the abort marker. */
function isAbortMarker(records: Buffer): boolean {
  // length varint, attributes, time delta (varlong), offset delta, key length: the key begins after five numbers.
  let at = 0
  const skipNumber = (): void => {
    while ((records[at++] ?? 0) >= 0x80);
  }
  skipNumber()
  at++
  skipNumber()
  skipNumber()
  skipNumber()
  return at + 4 <= records.length && records.readInt16BE(at + 2) === 0
}
