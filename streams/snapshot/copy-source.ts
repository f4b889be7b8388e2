/**
 * Writes a copy of one replica: reads its part of the store from one snapshot of the store and cuts it into chunks. The state of
 * the replica is read in the same turn of the event loop in which the snapshot is taken, so both are of one offset (invariant I3).
 */
import { createHash } from 'node:crypto'
import { ByteWriter } from '../core/bytes.ts'
import { TidemarkError } from '../core/errors.ts'
import { metaKey, replicaSpan } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { COPY_CHUNK_BYTES, COPY_PART_BYTES, SCAN_CHUNK_ROWS } from '../core/limits.ts'
import { decodeState } from '../core/state.ts'
import type { Cursor, Entry, Store } from '../store/store.ts'
import { encodeChunk, encodeHeader, encodeTrailer } from './chunk.ts'
import type { ChunkKind, CopyHeader } from './chunk.ts'

export interface CopySource {
  readonly store: Store
  readonly prefix: Prefix
  readonly cluster: string
  readonly logIdentity: string
  readonly topic: string
}

/** A copy being written. Close it: it pins a snapshot of the store. */
export interface CopyWriter {
  readonly header: CopyHeader
  /** The next chunk; undefined after the trailer. Synchronous: about COPY_CHUNK_BYTES bound the time. @throws STORE_CORRUPT */
  next(): Buffer | undefined
  close(): void
}

/** @throws STORE_CORRUPT where the store holds no such replica */
export function openCopy({ store, prefix, cluster, logIdentity, topic }: CopySource): CopyWriter {
  const meta = store.getMany([metaKey(prefix)])[0]
  if (meta === undefined)
    throw new TidemarkError('PARTITION_RESTORING', `the replica of ${topic} has applied nothing yet`)
  // The same turn: nothing can be written between the two.
  const cursor = store.cursor(replicaSpan(prefix))
  const { topicIdentity, partition, partitions, next, rows, chain } = decodeState(meta)
  const header: CopyHeader = {
    cluster,
    logIdentity,
    topic,
    topicIdentity,
    partition,
    partitions,
    next,
    rows,
    chain,
  }
  return new Copying(header, cursor, prefix.length)
}

class Copying implements CopyWriter {
  readonly header: CopyHeader
  readonly #entries: EntryReader
  readonly #prefixBytes: number
  readonly #hash = createHash('sha256')
  readonly #run = new ByteWriter(COPY_CHUNK_BYTES + COPY_CHUNK_BYTES / 4)
  #sequence = 0
  #count = 0
  #bytes = 0
  /** What is left of a run that is too large for one chunk. */
  #rest: Buffer | undefined
  #done = false

  constructor(header: CopyHeader, cursor: Cursor, prefixBytes: number) {
    this.header = header
    this.#entries = new EntryReader(cursor)
    this.#prefixBytes = prefixBytes
  }

  next(): Buffer | undefined {
    if (this.#done) return undefined
    if (this.#sequence === 0) return this.#chunk('header', encodeHeader(this.header))
    const run = this.#rest ?? this.#fill()
    if (run === undefined) return this.#trailer()
    this.#rest = run.length > COPY_PART_BYTES ? run.subarray(COPY_PART_BYTES) : undefined
    return this.#rest === undefined
      ? this.#chunk('rows', run)
      : this.#chunk('part', run.subarray(0, COPY_PART_BYTES))
  }

  close(): void {
    this.#done = true
    this.#entries.close()
  }

  /** Entries until a chunk is full; undefined at the end. The view is good until the next call. */
  #fill(): Buffer | undefined {
    const run = this.#run
    run.reset()
    while (run.length < COPY_CHUNK_BYTES) {
      const entry = this.#entries.peek()
      if (entry === undefined) break
      // A large one begins a run of its own, so that only it is split.
      if (run.length > 0 && run.length + entry.value.length > COPY_PART_BYTES) break
      this.#entries.take()
      run.sized(entry.key.subarray(this.#prefixBytes))
      run.sized(entry.value)
      this.#count += 1
    }
    return run.length === 0 ? undefined : run.view()
  }

  #chunk(kind: ChunkKind, body: Uint8Array): Buffer {
    const chunk = encodeChunk(kind, this.#sequence, body)
    this.#sequence += 1
    this.#bytes += body.length
    this.#hash.update(chunk)
    return chunk
  }

  #trailer(): Buffer {
    const body = encodeTrailer({ entries: this.#count, bytes: this.#bytes, sha256: this.#hash.digest() })
    const chunk = encodeChunk('trailer', this.#sequence, body)
    this.close()
    return chunk
  }
}

/** The entries of a cursor one by one. */
class EntryReader {
  readonly #cursor: Cursor
  #entries: readonly Entry[] = []
  #at = 0

  constructor(cursor: Cursor) {
    this.#cursor = cursor
  }

  peek(): Entry | undefined {
    if (this.#at >= this.#entries.length) {
      this.#entries = this.#cursor.next(SCAN_CHUNK_ROWS)
      this.#at = 0
    }
    return this.#entries[this.#at]
  }

  take(): void {
    this.#at += 1
  }

  close(): void {
    this.#cursor.close()
  }
}
