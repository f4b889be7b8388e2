/**
 * One partition of the embedded log: its offsets, its runs in the store, and the tail that readers at the end are fed from.
 *
 * `end` counts what is durable. The tail holds runs that were appended while someone reads, until all readers have them
 * or LOG_TAIL_BYTES_MAX is reached; whoever lags behind it reads from the store.
 */
import { MALFORMED } from '../../core/bytes.ts'
import { must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { FETCH_PARTITION_BYTES, LOG_TAIL_BYTES_MAX, SCAN_CHUNK_ROWS } from '../../core/limits.ts'
import {
  logTime,
  offset,
  type LogRecord,
  type LogTime,
  type Offset,
  type Partition,
} from '../../core/types.ts'
import type { Store } from '../../store/store.ts'
import type { Offsets } from '../log.ts'
import { recordBytes } from './refusals.ts'
import { decodeMark, markKey, offsetOfRun, runKey, runsOf } from './rows.ts'
import { decodeRun } from './run-codec.ts'
import type { TailReader } from './tail-reader.ts'

interface TailRun {
  readonly records: readonly LogRecord[]
  readonly bytes: number
}

export class EmbeddedPartition {
  readonly name: string
  readonly partition: Partition
  readonly listeners = new Set<() => void>()
  readonly readers = new Set<TailReader>()
  start: Offset
  end: Offset
  /** Of the newest record: log time never steps back. */
  lastTime: LogTime
  private readonly store: Store
  private readonly number: number
  private tail: TailRun[] = []
  private tailBytes = 0

  /** Finds start, end and time in the store. @throws STORE_CORRUPT */
  constructor(store: Store, topic: string, number: number, partition: Partition) {
    this.store = store
    this.number = number
    this.partition = partition
    this.name = `partition ${partition} of ${topic}`
    const [bytes] = store.getMany([markKey(number, partition)])
    const mark =
      bytes === undefined ? { start: 0, time: 0 } : this.checked('its mark', () => decodeMark(bytes))
    this.start = offset(mark.start)
    this.end = this.start
    this.lastTime = logTime(mark.time)
    const cursor = store.cursor({ ...runsOf(number, partition), reverse: true })
    const [last] = cursor.next(1)
    cursor.close()
    if (last === undefined) return
    const { time, records } = this.decode(last.key, last.value)
    this.end = offset(Math.max(this.end, offsetOfRun(last.key) + records.length))
    this.lastTime = logTime(Math.max(this.lastTime, time))
  }

  get offsets(): Offsets {
    return { start: this.start, end: this.end }
  }

  /** After records were made durable: they can be read from now on. */
  appended(records: readonly LogRecord[], bytes: number): void {
    const last = must(records.at(-1), 'a record that was appended')
    this.end = offset(last.offset + 1)
    this.lastTime = last.time
    if (this.readers.size > 0) {
      this.tail.push({ records, bytes })
      this.tailBytes += bytes
      while (this.tailBytes > LOG_TAIL_BYTES_MAX && this.tail.length > 1) this.dropOldest()
    }
    this.tell()
  }

  tell(): void {
    for (const listener of [...this.listeners]) listener()
  }

  /** Forgets what all readers have read. */
  forget(): void {
    let least: number = this.end
    for (const reader of this.readers) least = Math.min(least, reader.position)
    for (;;) {
      const last = this.tail[0]?.records.at(-1)
      if (last === undefined || last.offset >= least) return
      this.dropOldest()
    }
  }

  slice(from: Offset): { readonly records: readonly LogRecord[]; readonly bytes: number } {
    const oldest = this.tail[0]?.records[0]
    return oldest !== undefined && oldest.offset <= from ? this.sliceTail(from) : this.sliceStore(from)
  }

  /** The offset of the run that holds `at`, or the end. */
  runAt(at: Offset): Offset {
    if (at >= this.end) return this.end
    const cursor = this.store.cursor({
      gte: runsOf(this.number, this.partition).gte,
      lt: runKey(this.number, this.partition, offset(at + 1)),
      reverse: true,
      values: false,
    })
    const [row] = cursor.next(1)
    cursor.close()
    if (row === undefined) throw this.corrupt(`the record at offset ${at} is missing`)
    return offsetOfRun(row.key)
  }

  private sliceTail(from: Offset): TailRun {
    const found = this.tail.findIndex((run) => must(run.records.at(-1), 'a record of a run').offset >= from)
    const first = must(this.tail[found], 'the run of an offset inside the tail')
    const skipped = from - must(first.records[0], 'a record of a run').offset
    if (skipped === 0 && (found === this.tail.length - 1 || first.bytes >= FETCH_PARTITION_BYTES))
      return first
    const records = first.records.slice(skipped)
    let bytes = skipped === 0 ? first.bytes : sum(records)
    for (let at = found + 1; at < this.tail.length && bytes < FETCH_PARTITION_BYTES; at += 1) {
      const run = must(this.tail[at], 'a run of the tail')
      for (const record of run.records) records.push(record)
      bytes += run.bytes
    }
    return { records, bytes }
  }

  private sliceStore(from: Offset): TailRun {
    const cursor = this.store.cursor({
      gte: runKey(this.number, this.partition, this.runAt(from)),
      lt: runKey(this.number, this.partition, this.end),
    })
    const records: LogRecord[] = []
    let bytes = 0
    let next: number = from
    try {
      for (const row of cursor.next(SCAN_CHUNK_ROWS)) {
        const run = this.decode(row.key, row.value)
        for (const record of run.records) {
          if (record.offset < from) continue
          if (record.offset !== next) throw this.corrupt(`the record at offset ${next} is missing`)
          next += 1
          records.push(record)
          bytes += recordBytes(record)
        }
        if (bytes >= FETCH_PARTITION_BYTES) break
      }
    } finally {
      cursor.close()
    }
    if (records.length === 0) throw this.corrupt(`the record at offset ${from} is missing`)
    return { records, bytes }
  }

  private dropOldest(): void {
    this.tailBytes -= this.tail.shift()?.bytes ?? 0
  }

  private decode(key: Uint8Array, value: Uint8Array): ReturnType<typeof decodeRun> {
    return this.checked(`the run at offset ${offsetOfRun(key)}`, () =>
      decodeRun(key, offsetOfRun(key), value),
    )
  }

  private checked<T>(what: string, decode: () => T): T {
    try {
      return decode()
    } catch (caught) {
      if (caught !== MALFORMED) throw caught
      throw this.corrupt(`${what} fails its check`)
    }
  }

  private corrupt(what: string): TidemarkError {
    return new TidemarkError('STORE_CORRUPT', `the embedded log is damaged in ${this.name}: ${what}`, {
      metadata: { partition: this.name },
    })
  }
}

function sum(records: readonly LogRecord[]): number {
  let bytes = 0
  for (const record of records) bytes += recordBytes(record)
  return bytes
}
