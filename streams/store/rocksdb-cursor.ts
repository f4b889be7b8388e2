/** A cursor over a RocksDB iterator, which is a snapshot of the moment when it was made. */
import { assert, must } from '../core/assert.ts'
import { TidemarkError } from '../core/errors.ts'
import { SCAN_CHUNK_BYTES } from '../core/limits.ts'
import { rocksdb, type DatabaseHandle, type IteratorHandle } from './rocksdb-binding.ts'
import { storeError } from './rocksdb-errors.ts'
import type { Cursor, Entry, Range } from './store.ts'

const NO_BYTES = new Uint8Array(0)

export const EMPTY_CURSOR: Cursor = { next: () => [], rewind: () => {}, close: () => {} }

export class RocksCursor implements Cursor {
  private readonly directory: string
  private readonly onClose: (cursor: RocksCursor) => void
  private readonly range: Range
  private handle: IteratorHandle | undefined
  private finished = false

  /** The range is not empty. */
  constructor(
    directory: string,
    database: DatabaseHandle,
    range: Range,
    onClose: (cursor: RocksCursor) => void,
  ) {
    this.directory = directory
    this.onClose = onClose
    this.range = range
    this.handle = rocksdb.iterator_init(database, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      gte: range.gte,
      lt: range.lt,
      reverse: range.reverse === true,
      values: range.values !== false,
      highWaterMarkBytes: SCAN_CHUNK_BYTES,
    })
  }

  next(rows: number): readonly Entry[] {
    assert(rows > 0, 'a cursor was asked for no rows')
    if (this.handle === undefined) throw new TidemarkError('NODE_DRAINING', 'the cursor is closed')
    if (this.finished) return []
    try {
      const read = rocksdb.iterator_nextv_sync(this.handle, rows)
      this.finished = read.finished
      const entries: Entry[] = []
      for (let at = 0; at < read.rows.length; at += 2)
        entries.push({ key: must(read.rows[at], 'a key'), value: read.rows[at + 1] ?? NO_BYTES })
      return entries
    } catch (caught) {
      throw storeError(caught, this.directory)
    }
  }

  rewind(): void {
    assert(this.range.reverse !== true, 'a cursor was wound back that goes in reverse')
    if (this.handle === undefined) throw new TidemarkError('NODE_DRAINING', 'the cursor is closed')
    rocksdb.iterator_seek(this.handle, this.range.gte)
    this.finished = false
  }

  close(): void {
    if (this.handle === undefined) return
    rocksdb.iterator_close(this.handle)
    this.handle = undefined
    this.onClose(this)
  }
}
