/**
 * The copies that a node gives to others. A copy lives longer than the connection that it goes over: when that breaks, the
 * receiver names the copy and the chunk that it misses, and goes on. So the snapshot of the store stays open, and the chunks that may
 * have been lost on the way are kept, until nobody has taken a chunk for COPY_IDLE_MS. All copies of a node share one rate.
 */
import { TidemarkError } from '../core/errors.ts'
import {
  COPIES_GIVEN_MAX,
  COPY_BYTES_PER_SECOND,
  COPY_IDLE_MS,
  COPY_STALL_MS,
  COPY_WINDOW_BYTES,
} from '../core/limits.ts'
import type { Clock, Random } from '../ports.ts'
import { openCopy } from './copy-source.ts'
import type { CopySource, CopyWriter } from './copy-source.ts'
import { pace } from '../pace.ts'

/** A copy on its way. */
export interface ReplicaCopy {
  /** Its name: who has it can go on with the copy. */
  readonly session: string
  /** Chunks in order (chunk.ts). Return the iterator when no more are wanted. Ends with COPY_EXPIRED when another takes the copy up. */
  readonly chunks: AsyncGenerator<Uint8Array>
}

/** Where a copy shall go on. */
export interface CopyResume {
  readonly session: string
  /** The sequence of the first chunk that is wanted. */
  readonly from: number
}

export interface CopySessionsOptions {
  readonly clock: Clock
  readonly random: Random
  readonly bytesPerSecond?: number
}

export class CopySessions {
  readonly #clock: Clock
  readonly #random: Random
  readonly #pace: (bytes: number) => Promise<void>
  readonly #sessions = new Map<string, Session>()
  readonly #stop: () => void

  constructor({ clock, random, bytesPerSecond }: CopySessionsOptions) {
    this.#clock = clock
    this.#random = random
    this.#pace = pace(bytesPerSecond ?? COPY_BYTES_PER_SECOND, clock)
    this.#stop = clock.every(COPY_IDLE_MS / 4, () => {
      this.#expire()
    })
  }

  get open(): number {
    return this.#sessions.size
  }

  /** @throws OVERLOADED, PARTITION_RESTORING */
  begin(source: CopySource): ReplicaCopy {
    if (this.#sessions.size >= COPIES_GIVEN_MAX) this.#evict()
    const session = this.#random.id(12)
    const opened = new Session(openCopy(source), this.#clock, this.#pace)
    this.#sessions.set(session, opened)
    return { session, chunks: opened.take(0) }
  }

  /** @throws COPY_EXPIRED */
  resume({ session, from }: CopyResume): ReplicaCopy {
    const opened = this.#sessions.get(session)
    if (opened === undefined || !opened.has(from))
      throw new TidemarkError(
        'COPY_EXPIRED',
        `the copy ${session} cannot go on at chunk ${from}: it is no longer open`,
      )
    return { session, chunks: opened.take(from) }
  }

  close(): void {
    this.#stop()
    for (const session of this.#sessions.values()) session.close()
    this.#sessions.clear()
  }

  #drop(name: string, session: Session): void {
    session.close()
    this.#sessions.delete(name)
  }

  #expire(): void {
    const now = this.#clock.elapsed()
    for (const [name, session] of this.#sessions)
      if (now - session.usedAt >= (session.taken ? COPY_STALL_MS : COPY_IDLE_MS)) this.#drop(name, session)
  }

  /** Whoever comes goes before a copy that nobody is reading. */
  #evict(): void {
    const idle = [...this.#sessions].filter(([, { taken }]) => !taken)
    const longest = idle.sort(([, a], [, b]) => a.usedAt - b.usedAt)[0]
    if (longest === undefined)
      throw new TidemarkError('OVERLOADED', `the node gives ${COPIES_GIVEN_MAX} copies already, its bound`)
    this.#drop(...longest)
  }
}

class Session {
  /** When a chunk was last taken. */
  usedAt: number
  readonly #writer: CopyWriter
  readonly #clock: Clock
  readonly #pace: (bytes: number) => Promise<void>
  /** The newest chunks, those from #first on. */
  readonly #window: Buffer[] = []
  #first = 0
  #windowBytes = 0
  /** Counts the takers: only the last one gets chunks. */
  #takers = 0
  #readers = 0
  #closed = false

  constructor(writer: CopyWriter, clock: Clock, paceBytes: (bytes: number) => Promise<void>) {
    this.#writer = writer
    this.#clock = clock
    this.#pace = paceBytes
    this.usedAt = clock.elapsed()
  }

  get taken(): boolean {
    return this.#readers > 0
  }

  has(sequence: number): boolean {
    return sequence >= this.#first && sequence <= this.#first + this.#window.length
  }

  take(from: number): AsyncGenerator<Uint8Array> {
    this.#takers += 1
    this.#readers += 1
    return this.#chunks(from, this.#takers)
  }

  close(): void {
    this.#closed = true
    this.#window.length = 0
    this.#writer.close()
  }

  async *#chunks(from: number, taker: number): AsyncGenerator<Uint8Array> {
    try {
      for (let at = from; ; at++) {
        if (this.#closed || taker !== this.#takers || !this.has(at))
          throw new TidemarkError('COPY_EXPIRED', 'the copy was ended, or taken up by another')
        this.usedAt = this.#clock.elapsed()
        const chunk = this.#window[at - this.#first] ?? this.#read()
        if (chunk === undefined) return
        await this.#pace(chunk.length)
        yield chunk
      }
    } finally {
      this.#readers -= 1
      this.usedAt = this.#clock.elapsed()
    }
  }

  #read(): Buffer | undefined {
    const chunk = this.#writer.next()
    if (chunk === undefined) return undefined
    this.#window.push(chunk)
    this.#windowBytes += chunk.length
    while (this.#windowBytes > COPY_WINDOW_BYTES && this.#window.length > 1) {
      this.#windowBytes -= this.#window.shift()?.length ?? 0
      this.#first += 1
    }
    return chunk
  }
}
