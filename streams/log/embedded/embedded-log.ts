/**
 * The Log in this process, on a RocksDB database of its own: durable without a broker, for one node.
 *
 * An append is one batch of the database, synced to disk before it resolves: all of its parts are in the log, or none.
 * The sync runs in the thread pool (store/wal-sync.ts); until it has returned, no reader and no offset shows the records.
 * What else changes the log goes through the same door, one change at a time. Offsets are given from memory, where the end
 * of each partition stands; at start it is found from the last run.
 */
import { randomUUID } from 'node:crypto'
import { assert, must } from '../../core/assert.ts'
import { ByteWriter, MALFORMED } from '../../core/bytes.ts'
import { TidemarkError } from '../../core/errors.ts'
import { LOG_CACHE_BYTES, LOG_MEMTABLE_BYTES, LOG_RUN_BYTES } from '../../core/limits.ts'
import type { Offset, Partition } from '../../core/types.ts'
import { failpoint } from '../../failpoint.ts'
import { openStore, type SyncableStore } from '../../store/rocksdb.ts'
import type { Store } from '../../store/store.ts'
import type {
  Append,
  Appended,
  Log,
  LogClock,
  Offsets,
  PartitionReader,
  TopicDescription,
  TopicExpectation,
  TopicSettings,
} from '../log.ts'
import { checkTrim, expectationFailure, logClosed, noSuchPartition, readerCancelled } from './refusals.ts'
import {
  decodeNumber,
  encodeMark,
  encodeNumber,
  FORMAT,
  FORMAT_KEY,
  IDENTITY_KEY,
  runsOf,
  runKey,
  markKey,
} from './rows.ts'
import { stage } from './stage.ts'
import { openTailReader } from './tail-reader.ts'
import { finishDeletes, Topics } from './topics.ts'

export interface EmbeddedLogOptions {
  /** Its own folder; created where there is none. */
  readonly directory: string
  /** Stamps the records. */
  readonly clock: LogClock
  /** False leaves syncing to the operating system: a loss of power loses acknowledged records. By default true. */
  readonly sync?: boolean
}

const UNSYNCED =
  'the embedded log does not sync to disk: a loss of power loses acknowledged writes; open it with sync'

/** @throws STORE_LOCKED, STORE_UNWRITABLE, STORE_CORRUPT, DISK_FULL, FORMAT_TOO_NEW. */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<Log> {
  const { directory, sync = true } = options
  let store: SyncableStore | undefined
  try {
    store = await openStore(directory, {
      memtableBytes: LOG_MEMTABLE_BYTES,
      cacheBytes: LOG_CACHE_BYTES,
      synced: sync,
    })
    const opened = store
    const identity = readIdentity(opened, directory)
    await finishDeletes(opened, async () => failpoint('log.sync-deletes', async () => opened.sync()))
    return new EmbeddedLog(opened, identity, options)
  } catch (caught) {
    await store?.close()
    throw caught === MALFORMED || (caught instanceof TidemarkError && caught.reason === 'STORE_CORRUPT')
      ? damaged(directory, caught)
      : caught
  }
}

/** Other than a replica, the log cannot be built again from anything: the advice of the catalogue would be wrong. */
const damaged = (directory: string, cause: unknown): TidemarkError =>
  new TidemarkError(
    'STORE_CORRUPT',
    `the embedded log in ${directory} is damaged (${cause instanceof Error ? cause.message : String(cause)}); ` +
      'it is the only copy: restore the directory from a backup, or move it away to start with an empty log',
    { metadata: { directory }, cause },
  )

/** Which log this is; an empty directory becomes a new log. */
function readIdentity(store: Store, directory: string): string {
  const [format, identity] = store.getMany([FORMAT_KEY, IDENTITY_KEY])
  if (format === undefined || identity === undefined) {
    const created = randomUUID()
    const batch = store.batch()
    batch.put(FORMAT_KEY, encodeNumber(FORMAT))
    batch.put(IDENTITY_KEY, Buffer.from(created))
    failpoint('log.identity', () => {
      store.write(batch, { sync: true })
    })
    return created
  }
  const found = decodeNumber(format)
  if (found !== FORMAT)
    throw new TidemarkError(
      'FORMAT_TOO_NEW',
      `the embedded log in ${directory} has format ${found}, not ${FORMAT}`,
    )
  return Buffer.from(identity).toString()
}

class EmbeddedLog implements Log {
  readonly identity: string
  readonly lanes = 1
  private readonly store: SyncableStore
  private readonly clock: LogClock
  private readonly sync: boolean
  private readonly topics: Topics
  private readonly writer = new ByteWriter(2 * LOG_RUN_BYTES)
  /** The change in flight: the next one begins when it is on disk. */
  private changing: Promise<unknown> = Promise.resolve()
  private appending = false
  private failed: TidemarkError | undefined
  private closed = false

  constructor(store: SyncableStore, identity: string, options: EmbeddedLogOptions) {
    this.store = store
    this.identity = identity
    this.clock = options.clock
    this.sync = options.sync ?? true
    this.topics = new Topics(store, this.sync ? [] : [UNSYNCED])
  }

  get healthy(): boolean {
    return !this.closed && this.failed === undefined
  }

  async createTopic(name: string, settings: TopicSettings): Promise<TopicDescription> {
    return this.change(async () => {
      const description = this.topics.create(name, settings)
      await this.durable()
      return description
    })
  }

  async describeTopic(name: string): Promise<TopicDescription | undefined> {
    return this.answer(() => this.topics.find(name)?.description)
  }

  async listTopics(prefix: string): Promise<readonly string[]> {
    return this.answer(() => this.topics.names(prefix))
  }

  async deleteTopic(name: string): Promise<void> {
    return this.change(async () => this.topics.delete(name, async () => this.durable()))
  }

  async append(_lane: number, parts: readonly Append[]): Promise<readonly Appended[]> {
    assert(!this.appending, 'two appends were in flight at once')
    this.appending = true
    try {
      return await this.change(async () => {
        const batch = this.store.batch()
        const { appended, staged } = stage(this.topics, parts, this.clock(), batch, this.writer)
        if (staged.length === 0) return appended
        failpoint('log.append', () => {
          this.store.write(batch)
        })
        await this.durable()
        for (const { place, records, bytes } of staged) place.appended(records, bytes)
        return appended
      })
    } finally {
      this.appending = false
    }
  }

  read(name: string, number: Partition, from: Offset, expect: TopicExpectation): PartitionReader {
    const topic = this.topics.find(name)
    const mismatch = expectationFailure(name, topic?.description, expect)
    const place = topic?.partitions[number]
    const reader = openTailReader(
      {
        name: place?.name ?? name,
        failure: () => {
          if (this.closed) return readerCancelled(name)
          if (mismatch !== undefined) return mismatch
          if (topic?.deleted === true) return expectationFailure(name, undefined, expect)
          return place === undefined ? noSuchPartition(name, number, expect.partitions) : undefined
        },
        offsets: () => must(place, 'the partition of a reader that has not failed').offsets,
        slice: (at) => must(place, 'the partition of a reader that has not failed').slice(at),
        subscribe(listener) {
          place?.listeners.add(listener)
          return () => {
            place?.listeners.delete(listener)
            place?.readers.delete(reader)
            place?.forget()
          }
        },
      },
      from,
      () => place?.forget(),
    )
    place?.readers.add(reader)
    return reader
  }

  async verifiedEnds(
    name: string,
    partitions: readonly Partition[],
  ): Promise<ReadonlyMap<Partition, Offset>> {
    return this.answer(() => new Map(partitions.map((one) => [one, this.topics.partition(name, one).end])))
  }

  async offsets(name: string, number: Partition): Promise<Offsets> {
    return this.answer(() => this.topics.partition(name, number).offsets)
  }

  async trim(name: string, number: Partition, before: Offset): Promise<void> {
    return this.change(async () => {
      const place = this.topics.partition(name, number)
      checkTrim(place.name, before, place.offsets)
      if (before <= place.start) return
      const topic = this.topics.get(name).row.number
      const batch = this.store.batch()
      batch.put(markKey(topic, number), encodeMark({ start: before, time: place.lastTime }))
      failpoint('log.trim-mark', () => {
        this.store.write(batch)
      })
      await this.durable()
      const kept = place.runAt(before)
      place.start = before
      place.tell()
      failpoint('log.trim-runs', () => {
        this.store.drop({ gte: runsOf(topic, number).gte, lt: runKey(topic, number, kept) })
      })
      await this.durable()
    })
  }

  async close(): Promise<void> {
    this.closed = true
    this.topics.tellAll()
    await this.changing
    await this.store.close()
  }

  /** One change of the store at a time: each is on disk before the next one begins, as `synced` of the store demands. */
  private async change<T>(action: () => Promise<T>): Promise<T> {
    const running = this.changing.then(async () => {
      if (this.closed) throw logClosed()
      if (this.failed !== undefined) throw this.failed
      return action()
    })
    this.changing = running.catch(() => {})
    return running
  }

  private async durable(): Promise<void> {
    if (!this.sync) return
    try {
      await failpoint('log.sync', async () => this.store.sync())
    } catch (cause) {
      this.failed = new TidemarkError(
        'LOG_UNAVAILABLE',
        'the embedded log could not be synced to disk; what it holds is known only after the node was started again',
        { cause },
      )
      throw this.failed
    }
  }

  /** Asks without changing. */
  private async answer<T>(action: () => T): Promise<T> {
    if (this.closed) throw logClosed()
    return Promise.resolve(action())
  }
}
