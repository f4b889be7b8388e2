/**
 * Makes the write-ahead log of a RocksDB database durable without blocking this thread.
 *
 * RocksDB's own synced write waits for the disk on the thread that calls it: 2 ms of a slow disk are 2 ms in which the node
 * does nothing else. A write that is not synced has handed its bytes to the operating system when it returns, and syncing
 * them is a matter of the file, not of who wrote it: so the files are opened here a second time, and synced by the thread pool.
 *
 * - The log moves to a new file when a memory table is full; the generation tells when to look. A file that was left is
 *   synced once more and then never again; a file that is gone had its rows flushed and synced elsewhere before.
 * - After a failed sync nobody knows what is on disk, and a second sync would claim success: the failure stays.
 */
import { close, fdatasync, fsync, open, readdir } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { failpoint } from '../failpoint.ts'

const openFile = promisify(open)
const closeFile = promisify(close)
const syncFile = promisify(fdatasync)
const syncDirectory = promisify(fsync)
const list = promisify(readdir)

interface WalFile {
  readonly descriptor: number
  /** Holds nothing that is not on disk, and gets nothing more. */
  done: boolean
}

export class WalSync {
  private readonly directory: string
  /** Changes whenever the set of log files may have changed. */
  private readonly generation: () => string
  private known: string | undefined
  /** By name; names of log files rise. */
  private readonly files = new Map<string, WalFile>()
  private queue: Promise<void> = Promise.resolve()

  constructor(directory: string, generation: () => string) {
    this.directory = directory
    this.generation = generation
  }

  /** Resolves when all that was written before the call is on disk. Rejects for ever after the first failure. */
  async sync(): Promise<void> {
    this.queue = this.queue.then(async () => this.run())
    return this.queue
  }

  async close(): Promise<void> {
    await this.queue.catch(() => {})
    for (const file of this.files.values()) await closeFile(file.descriptor)
    this.files.clear()
  }

  private async run(): Promise<void> {
    const generation = this.generation()
    if (generation !== this.known) {
      await this.look()
      this.known = generation
    }
    const newest = [...this.files.keys()].reduce((left, right) => (left > right ? left : right), '')
    await Promise.all(
      [...this.files].map(async ([name, file]) => {
        if (file.done) return
        await failpoint('wal.sync', async () => syncFile(file.descriptor))
        file.done = name !== newest
      }),
    )
  }

  private async look(): Promise<void> {
    const names = new Set((await list(this.directory)).filter((name) => name.endsWith('.log')))
    for (const [name, file] of this.files) {
      if (names.has(name)) continue
      this.files.delete(name)
      await closeFile(file.descriptor)
    }
    let added = false
    for (const name of names) {
      if (this.files.has(name)) continue
      const descriptor = await this.openLog(name)
      if (descriptor === undefined) continue
      this.files.set(name, { descriptor, done: false })
      added = true
    }
    // The name of a new file is durable only when its directory was synced.
    if (added) {
      const descriptor = await failpoint('wal.open-folder', async () => openFile(this.directory, 'r'))
      await failpoint('wal.sync-folder', async () => syncDirectory(descriptor)).finally(async () =>
        closeFile(descriptor),
      )
    }
  }

  /** @returns undefined where the file went away since it was listed. */
  private async openLog(name: string): Promise<number | undefined> {
    try {
      return await failpoint('wal.open', async () => openFile(join(this.directory, name), 'r'))
    } catch (caught) {
      if (caught instanceof Error && 'code' in caught && caught.code === 'ENOENT') return undefined
      throw caught
    }
  }
}
