/** A batch of changes in RocksDB's own form; and the pool of those that were written, whose memory the next ones use. */
import { assert } from '../core/assert.ts'
import { isReserved } from './continuity.ts'
import { rocksdb, type BatchHandle } from './rocksdb-binding.ts'
import type { Batch } from './store.ts'

/** Batches of at most this many bytes keep their memory. */
const REUSE_BYTES_MAX = 4 * 1024 * 1024
const KEPT_MAX = 4

const WRITTEN = 'a batch was used after it was written'

export class RocksBatch implements Batch {
  size = 0
  bytes = 0
  private current: BatchHandle | undefined

  constructor(handle: BatchHandle) {
    this.current = handle
  }

  get handle(): BatchHandle {
    assert(this.current !== undefined, WRITTEN)
    return this.current
  }

  put(key: Uint8Array, value: Uint8Array): void {
    assert(!isReserved(key), 'a key reaches into the keys that the store keeps for itself')
    rocksdb.batch_put(this.handle, key, value, undefined)
    this.size += 1
    this.bytes += key.length + value.length
  }

  delete(key: Uint8Array): void {
    rocksdb.batch_del(this.handle, key, undefined)
    this.size += 1
    this.bytes += key.length
  }

  /** After it was written: it is of no more use. */
  release(): void {
    this.current = undefined
  }
}

export class BatchPool {
  private readonly spare: BatchHandle[] = []

  take(): RocksBatch {
    return new RocksBatch(this.spare.pop() ?? rocksdb.batch_init())
  }

  /** Takes back a batch that was written. */
  giveBack(batch: RocksBatch): void {
    const { handle, bytes } = batch
    batch.release()
    if (this.spare.length >= KEPT_MAX || bytes > REUSE_BYTES_MAX) return
    rocksdb.batch_clear(handle)
    this.spare.push(handle)
  }
}
