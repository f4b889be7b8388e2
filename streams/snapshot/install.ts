/**
 * Makes a replica from a copy. The entries go under a prefix that no replica has, chunk by chunk as they come, bytes as they
 * are; only when the end has proved the whole does the replica move to that prefix, in one batch (replica/catalogue.ts). Whatever
 * ends it before leaves the replica as it was; what lies under the prefix is dropped, at the next start at the latest.
 */
import { TidemarkError } from '../core/errors.ts'
import type { Prefix } from '../core/keys.ts'
import type { Offset, Partition } from '../core/types.ts'
import { failpoint } from '../failpoint.ts'
import type { TopicIdentity } from '../log/log.ts'
import { adoptBuild, beginBuild, dropBuild } from '../replica/catalogue.ts'
import type { Store } from '../store/store.ts'
import type { CopyHeader } from './chunk.ts'
import { CopyReader } from './copy-reader.ts'

/** What the copy must be of. */
export interface WantedReplica {
  readonly cluster: string
  readonly logIdentity: string
  readonly topic: string
  readonly topicIdentity: TopicIdentity
  readonly partition: Partition
  readonly partitions: number
  /** The log begins there: an older copy could not be brought up to date. */
  readonly notBefore: Offset
}

export interface InstallOptions {
  readonly store: Store
  readonly wanted: WantedReplica
  readonly copy: AsyncIterable<Uint8Array>
  /** Told after each chunk. */
  readonly onProgress?: (entries: number, bytes: number) => void
  /** Ends the install; the replica stays as it was. */
  readonly signal?: AbortSignal
  /** Lets others have the thread; by default a turn of the event loop. */
  readonly rest?: (() => Promise<void>) | undefined
}

export interface Installed {
  readonly header: CopyHeader
  readonly entries: number
  readonly bytes: number
}

/**
 * Nothing may read or write the replica meanwhile that must survive: it is replaced.
 * @throws SNAPSHOT_CORRUPT, SNAPSHOT_FOREIGN, LOG_TRIMMED, DISK_FULL, CANCELLED, and whatever the copy throws
 */
export async function installCopy(options: InstallOptions): Promise<Installed> {
  const { store, wanted, copy, onProgress, signal, rest = oneTurn } = options
  const install = new Install(store, wanted)
  let bytes = 0
  try {
    for await (const chunk of copy) {
      if (signal?.aborted === true) throw new TidemarkError('CANCELLED', 'the copy is no longer wanted')
      install.accept(chunk)
      bytes += chunk.length
      onProgress?.(install.entries, bytes)
      // A copy that is at hand would keep this thread for itself.
      await rest()
    }
    const header = install.finish()
    return { header, entries: install.entries, bytes }
  } catch (caught) {
    install.abandon()
    throw caught
  }
}

const oneTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

class Install {
  readonly #store: Store
  readonly #wanted: WantedReplica
  readonly #reader: CopyReader
  #prefix: Prefix | undefined
  #batch: ReturnType<Store['batch']>

  constructor(store: Store, wanted: WantedReplica) {
    this.#store = store
    this.#wanted = wanted
    this.#batch = store.batch()
    this.#reader = new CopyReader((key, value) => {
      this.#batch.put(Buffer.concat([this.#prefix ?? NO_PREFIX, key]), value)
    })
  }

  get entries(): number {
    return this.#reader.entries
  }

  accept(chunk: Uint8Array): void {
    const first = this.#reader.header === undefined
    this.#reader.accept(chunk)
    if (first) {
      checkWanted(this.#wanted, this.#reader.header)
      this.#prefix = beginBuild(this.#store, this.#wanted.topic, this.#wanted.partition)
    }
    if (this.#batch.size === 0) return
    const batch = this.#batch
    this.#batch = this.#store.batch()
    failpoint('install.write', () => {
      this.#store.write(batch)
    })
  }

  finish(): CopyHeader {
    const { header } = this.#reader.finish()
    const { topic, partition } = this.#wanted
    adoptBuild(this.#store, topic, partition, this.#prefix ?? NO_PREFIX)
    this.#prefix = undefined
    return header
  }

  abandon(): void {
    if (this.#prefix === undefined) return
    try {
      dropBuild(this.#store, this.#prefix)
    } catch {
      // A full disk, a store that is closed: its mark stands, and the next start drops it.
    }
  }
}

const NO_PREFIX = new Uint8Array(0)

/** @throws SNAPSHOT_FOREIGN, LOG_TRIMMED */
export function checkWanted(wanted: WantedReplica, found: CopyHeader | undefined): void {
  const names = ['cluster', 'logIdentity', 'topic', 'topicIdentity', 'partition', 'partitions'] as const
  for (const name of names)
    if (found?.[name] !== wanted[name])
      throw new TidemarkError(
        'SNAPSHOT_FOREIGN',
        `the copy is of ${name} ${JSON.stringify(found?.[name])}, wanted is ${JSON.stringify(wanted[name])}`,
        { metadata: { field: name, found: String(found?.[name]), wanted: String(wanted[name]) } },
      )
  if (found !== undefined && found.next < wanted.notBefore)
    throw new TidemarkError(
      'LOG_TRIMMED',
      `the copy of ${wanted.topic}/${wanted.partition} ends at ${found.next}, the log begins at ${wanted.notBefore}`,
      { metadata: { next: String(found.next), start: String(wanted.notBefore) } },
    )
}
