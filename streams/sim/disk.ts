/**
 * A simulated disk with a store on it, for one node. It outlives the processes that open it, and loses what a RocksDB with its
 * write-ahead log could lose:
 *
 * - A process that dies loses nothing: what was written is with the operating system.
 * - A machine that loses power loses the end of what was written, back to the last synced batch at most; a batch is there whole or not
 *   at all, and none is there without all before it.
 * - A damaged block is noticed by its checksum when it is read: STORE_CORRUPT, never a wrong value. Written over, it is whole again.
 * - A full disk refuses a batch as a whole.
 *
 * Whatever a dead process still does reaches no disk: a crash is possible between any two writes.
 */
import { TidemarkError } from '../core/errors.ts'
import type { Prng } from '../core/testing/prng.ts'
import { emptyDisk, openMemoryStore } from '../store/memory.ts'
import type { Chunk, MemoryDisk } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import type { Life } from './world.ts'

/** Batches that the operating system holds back at most; older ones it has written by itself. */
const UNSYNCED_MAX = 200

interface Image {
  readonly chunks: readonly Chunk[]
  readonly bytes: number
}

export class SimulatedDisk {
  full = false
  #memory: MemoryDisk = emptyDisk()
  /** The disk as it was before each batch that is not synced, oldest first. */
  #unsynced: Image[] = []
  /** Counts down with each write of the process; at 0 it dies. */
  #crashAfter = Infinity
  #onCrash: () => void = () => undefined

  /** The process dies at its `writes`-th write from now, before it or right after it as `before` says. */
  crashAtWrite(writes: number, crash: () => void): void {
    this.#crashAfter = writes
    this.#onCrash = crash
  }

  /** @returns how many batches were lost */
  losePower(random: Prng): number {
    const lost = this.#unsynced.length === 0 ? 0 : random.below(this.#unsynced.length + 1)
    const image = this.#unsynced[this.#unsynced.length - lost]
    if (lost > 0 && image !== undefined) this.#memory = { ...image, damaged: this.#memory.damaged }
    this.#unsynced = []
    return lost
  }

  /** Loses the last batch alone. @returns whether there is one that is not synced */
  loseLast(): boolean {
    const image = this.#unsynced.pop()
    if (image === undefined) return false
    this.#memory = { ...image, damaged: this.#memory.damaged }
    return true
  }

  /** Some entries that lie together cannot be read from now on. @returns how many */
  damage(random: Prng): number {
    const { chunks, damaged } = this.#memory
    const chunk = chunks[random.below(Math.max(1, chunks.length))]
    if (chunk === undefined) return 0
    const from = random.below(chunk.length)
    const block = chunk.slice(from, from + 1 + random.below(16))
    for (const entry of block) damaged.add(entry)
    return block.length
  }

  /** A new disk in its place. */
  wipe(): void {
    this.#memory = emptyDisk()
    this.#unsynced = []
  }

  open(life: Life): Store {
    const store = openMemoryStore(this.#memory)
    this.#crashAfter = Infinity
    const change = (how: () => void, sync: boolean): void => {
      if (!life.alive) return
      const { chunks, bytes } = this.#memory
      this.#crashAfter -= 1
      if (this.#crashAfter === 0) {
        this.#onCrash()
        return
      }
      how()
      this.#unsynced.push({ chunks, bytes })
      if (this.#unsynced.length > UNSYNCED_MAX) this.#unsynced.shift()
      if (sync) this.#unsynced = []
    }
    const checkRoom = (): void => {
      if (this.full && life.alive) throw new TidemarkError('DISK_FULL', 'the simulated disk has no room')
    }
    return {
      ...store,
      write(batch, options) {
        checkRoom()
        change(() => {
          store.write(batch)
        }, options?.sync === true)
      },
      drop(range) {
        checkRoom()
        change(() => {
          store.drop(range)
        }, false)
      },
    }
  }
}
