/**
 * Rows of a replica as they stood at an earlier offset: what stands now, and for each row that was changed since, what the first change
 * after that offset found. The history keeps that with every change, so nothing is searched for backwards.
 *
 * Rows and history are read in one view of the store, opened in one turn: what is dropped from the history meanwhile does not
 * matter to who has begun. Memory is bounded: what changed rows were like is held for a window of keys at a time, and the
 * history is read once for each window. Where nothing was changed it is not read at all.
 */
import { bytesToText, compareBytes } from '../core/bytes.ts'
import type { Change } from '../core/effects.ts'
import { TidemarkError } from '../core/errors.ts'
import { readPiece } from '../core/history.ts'
import { effectsSpan, rowKey } from '../core/keys.ts'
import { decodeRow, isLive, toRow } from '../core/row.ts'
import type { StoredRow } from '../core/row.ts'
import type { Row } from '../core/mutation.ts'
import type { Offset } from '../core/types.ts'
import type { KeyRange } from '../face.ts'
import type { Clock } from '../ports.ts'
import type { Cursor } from '../store/store.ts'
import { HistoryReader, checkKept } from './read.ts'
import type { Replica } from './replica.ts'

/** Pieces of history that are read in one turn: a few milliseconds of this thread. */
const PIECES_AT_ONCE = 4
/** What an entry costs beside its key and its value, about. */
const ENTRY_BYTES = 128

/** The keys that a reader of the past is interested in, in the order in which it comes to them. */
interface Wanted {
  readonly range: KeyRange
  readonly reverse: boolean
  readonly has?: (key: string) => boolean
}

/** What stood at an offset where something else stands now. */
export class Past {
  /** Partition time at the offset: what was due by then was gone. */
  readonly time: number
  readonly #replica: Replica
  readonly #at: Offset
  readonly #history: Cursor
  readonly #bytesMax: number
  readonly #sign: 1 | -1
  readonly #wants: (key: string) => boolean
  readonly #clock: Clock
  /** By key as text, whose order is that of the bytes. Undefined: there was nothing. */
  readonly #rows = new Map<string, StoredRow | undefined>()
  #bytes = 0
  #loaded = false
  /** The window reaches from here to before there, in the order of the reader; undefined = to the end. */
  #from = ''
  #until: string | undefined

  /** Opens its view of the store now. @throws COMPACTED */
  constructor(replica: Replica, at: Offset, wanted: Wanted, bytesMax: number, clock: Clock) {
    checkKept(replica, at)
    this.time = new HistoryReader(replica).timeAt(at)
    this.#replica = replica
    this.#at = at
    this.#history = replica.store.cursor(effectsSpan(replica.prefix, at + 1))
    this.#bytesMax = bytesMax
    this.#clock = clock
    this.#sign = wanted.reverse ? -1 : 1
    const start = bytesToText(wanted.range.start)
    const end = wanted.range.end === undefined ? undefined : bytesToText(wanted.range.end)
    this.#wants = (key) =>
      key >= start && (end === undefined || key < end) && (wanted.has === undefined || wanted.has(key))
  }

  /** The row as it stood; keys come in the order of the reader. @param now - as it stands in the same view */
  async row(key: Uint8Array, now: StoredRow): Promise<StoredRow | undefined> {
    if (now.version <= this.#at) return now
    const text = bytesToText(key)
    if (!this.#loaded || (this.#until !== undefined && this.#order(text, this.#until) >= 0))
      await this.#load(text)
    if (this.#rows.has(text)) return this.#rows.get(text)
    const { state, keyspace } = this.#replica
    throw new TidemarkError(
      'STORE_CORRUPT',
      `partition ${state.partition} of keyspace ${keyspace} does not keep in its history what the row was that offset ${now.version} changed`,
    )
  }

  close(): void {
    this.#history.close()
    this.#rows.clear()
  }

  #order(left: string, right: string): number {
    return left === right ? 0 : left < right ? -this.#sign : this.#sign
  }

  /** Reads the history for the window that begins with this key. */
  async #load(from: string): Promise<void> {
    if (this.#loaded) this.#history.rewind()
    this.#loaded = true
    this.#rows.clear()
    this.#bytes = 0
    this.#from = from
    this.#until = undefined
    for (;;) {
      const pieces = this.#history.next(PIECES_AT_ONCE)
      if (pieces.length === 0) return
      for (const { value } of pieces)
        for (const { offset, changes } of readPiece(value))
          if (offset > this.#at) for (const change of changes) this.#take(change)
      await this.#clock.sleep(0)
    }
  }

  /** Only the first change of a row after the offset found what stood there then. */
  #take({ key, previous }: Change): void {
    const text = bytesToText(key)
    if (this.#rows.has(text) || !this.#wants(text) || this.#order(text, this.#from) < 0) return
    if (this.#until !== undefined && this.#order(text, this.#until) >= 0) return
    // A copy: the value is a part of a piece, which would stay in memory with it.
    const row = previous === undefined ? undefined : { ...previous, value: Uint8Array.from(previous.value) }
    this.#rows.set(text, row)
    this.#bytes += bytesOf(text, row)
    if (this.#bytes > this.#bytesMax && this.#rows.size > 1) this.#narrow()
  }

  /** Gives up the far half of the window: another one will begin there. */
  #narrow(): void {
    // Without a comparer: the order of texts is that of the bytes, and this holds up the node.
    const inOrder = [...this.#rows.keys()].sort()
    if (this.#sign < 0) inOrder.reverse()
    let kept = 0
    let until: string | undefined
    for (const [at, text] of inOrder.entries()) {
      const bytes = bytesOf(text, this.#rows.get(text))
      if (until === undefined && (at === 0 || kept + bytes <= this.#bytesMax / 2)) {
        kept += bytes
        continue
      }
      until ??= text
      this.#rows.delete(text)
    }
    this.#until = until
    this.#bytes = kept
  }
}

const bytesOf = (text: string, row: StoredRow | undefined): number =>
  ENTRY_BYTES + text.length + (row?.value.length ?? 0)

/** The rows as all records up to and including `at` left them, one for each key. @throws COMPACTED */
export async function getRowsAt(
  replica: Replica,
  keys: readonly Uint8Array[],
  at: Offset,
  clock: Clock,
): Promise<readonly (Row | undefined)[]> {
  const stored = replica.store
    .getMany(keys.map((key) => rowKey(replica.prefix, key)))
    .map((bytes) => (bytes === undefined ? undefined : decodeRow(bytes)))
  const changed = new Set<string>()
  keys.forEach((key, index) => {
    if ((stored[index]?.version ?? 0) > at) changed.add(bytesToText(key))
  })
  const everything = { start: new Uint8Array(0), end: undefined }
  const wanted = { range: everything, reverse: false, has: (key: string) => changed.has(key) }
  // All that is wanted in one window: it is the answer.
  const past = new Past(replica, at, wanted, Infinity, clock)
  try {
    const rows = new Array<Row | undefined>(keys.length)
    const inOrder = [...keys.entries()].sort(([, left], [, right]) => compareBytes(left, right))
    for (const [index, key] of inOrder) {
      const now = stored[index]
      const row = now === undefined ? undefined : await past.row(key, now)
      if (isLive(row, past.time)) rows[index] = toRow(key, row)
    }
    return rows
  } finally {
    past.close()
  }
}
