/**
 * What apply reads and writes while it works on a batch of records: rows and sessions that the shell loaded from the store
 * beforehand, changed in memory, and written back by `flush` in one store batch. Reading what was not loaded is a bug.
 */
import { must } from './assert.ts'
import { bytesToText } from './bytes.ts'
import { DueHeap, dueOrder } from './due-heap.ts'
import type { Due } from './due-heap.ts'
import { EXPIRIES_PER_RECORD_MAX } from './limits.ts'
import { arrivalKey, chunkKey, expiryKey, rowKey, sessionKey, tombstoneKey } from './keys.ts'
import type { Prefix } from './keys.ts'
import { encodeChunk, encodeHead } from './session.ts'
import type { Session } from './session.ts'
import type { StoredRow } from './row.ts'

/** The part of the Store port's batch that is needed here. */
export interface BatchWriter {
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
}

export interface RowSlot {
  readonly key: Uint8Array
  /** As the store has it. */
  stored: StoredRow | undefined
  current: StoredRow | undefined
  encoded: Uint8Array | undefined
}

/** A row that was not loaded yet. */
export const newSlot = (key: Uint8Array): RowSlot => ({
  key,
  stored: undefined,
  current: undefined,
  encoded: undefined,
})

const NOTHING = new Uint8Array(0)

export class WorkingSet {
  readonly #rows: Map<string, RowSlot>
  #lastKey: Uint8Array | undefined
  #lastSlot: RowSlot | undefined
  readonly #sessions = new Map<string, { session: Session | undefined; changed: boolean }>()
  /** Loaded, in the order of their time; `#nextDue` is the first that was not taken. */
  #due: readonly Due[] = []
  #nextDue = 0
  /** Became due within the batch; a row that got back an expiry may stand in both, or twice. */
  readonly #added = new DueHeap()
  /** The last one loaded, when the store may hold more behind it. */
  #lastDue: Due | undefined
  #dueUntil = Infinity
  readonly #arrivals: { readonly arrival: number; readonly id: string }[] = []
  #nextArrival = 0
  readonly #writes: ((batch: BatchWriter, prefix: Prefix) => void)[] = []

  /** @param rows - by the text of their key, for the shell to fill before anything is applied */
  constructor(rows = new Map<string, RowSlot>()) {
    this.#rows = rows
  }

  // ---- loading, by the shell ----

  loadRow(key: Uint8Array, stored: StoredRow | undefined): void {
    this.#rows.set(bytesToText(key), { key, stored, current: stored, encoded: undefined })
  }
  hasRow(text: string): boolean {
    return this.#rows.has(text)
  }
  loadSession(id: string, session: Session | undefined): void {
    this.#sessions.set(id, { session, changed: false })
  }
  hasSession(id: string): boolean {
    return this.#sessions.has(id)
  }
  /** Rows in the order of their time that are due until `until`, the latest time of the batch; `complete` when these are all. */
  loadDue(due: readonly Due[], complete: boolean, until: number): void {
    this.#due = due
    this.#lastDue = complete ? undefined : due.at(-1)
    this.#dueUntil = until
  }
  /** Sessions in the order of their last renewal, the longest ago first: as many as the batch could make forgotten. */
  loadArrival(arrival: number, id: string): void {
    this.#arrivals.push({ arrival, id })
  }

  // ---- rows ----

  row(key: Uint8Array): StoredRow | undefined {
    return this.#slot(key).current
  }

  setRow(key: Uint8Array, row: StoredRow, encoded: Uint8Array): void {
    const slot = this.#slot(key)
    const before = slot.current
    slot.current = row
    slot.encoded = encoded
    if (row.expiresAt !== 0 && before?.expiresAt !== row.expiresAt)
      this.#addDue({ at: row.expiresAt, key: slot.key })
  }

  /** Remembers the last one: apply asks for the row of one key several times in a row, always by the same array. */
  #slot(key: Uint8Array): RowSlot {
    if (key === this.#lastKey && this.#lastSlot !== undefined) return this.#lastSlot
    const slot = must(this.#rows.get(bytesToText(key)), 'a row that apply reads')
    this.#lastKey = key
    this.#lastSlot = slot
    return slot
  }

  /** A row that is written and due within one batch expires in its turn. */
  #addDue(due: Due): void {
    if (due.at > this.#dueUntil) return
    // Behind what was loaded the order is not known: a later batch loads it from the store.
    if (this.#lastDue !== undefined && dueOrder(this.#lastDue, due) < 0) return
    this.#added.add(due)
  }

  /**
   * False when the next record could expire more rows than were loaded: the batch ends before it. What was added is not counted:
   * it would have to be told apart from what is repeated, and a batch may end early.
   */
  get canExpire(): boolean {
    if (this.#lastDue === undefined) return true
    let live = 0
    for (let at = this.#nextDue; at < this.#due.length && live < EXPIRIES_PER_RECORD_MAX; at++)
      if (this.#isDue(must(this.#due[at], 'a due row'))) live += 1
    return live === EXPIRIES_PER_RECORD_MAX
  }

  /** Whether the row still has that expiry: it may have been changed since it was loaded. */
  #isDue(due: Due): boolean {
    const row = this.row(due.key)
    return row?.tombstone === 'none' && row.expiresAt === due.at
  }

  /** The next row that is due at or before `time`; undefined when there is none. Rows that were changed meanwhile are passed over. */
  takeDue(time: number): Due | undefined {
    for (;;) {
      const loaded = this.#due[this.#nextDue]
      const added = this.#added.first
      const isAdded = added !== undefined && (loaded === undefined || dueOrder(added, loaded) < 0)
      const due = isAdded ? added : loaded
      if (due === undefined || due.at > time) return undefined
      if (isAdded) this.#added.removeFirst()
      else this.#nextDue += 1
      if (this.#isDue(due)) return due
    }
  }

  // ---- sessions ----

  session(id: string): Session | undefined {
    return must(this.#sessions.get(id), 'a session that apply reads').session
  }

  /** Marks the session as changed; a new one becomes known. */
  setSession(id: string, session: Session, renewedFrom: number | undefined): void {
    this.#sessions.set(id, { session, changed: true })
    if (renewedFrom === session.arrival) return
    const arrival = session.arrival
    this.#writes.push((batch, prefix) => {
      if (renewedFrom !== undefined) batch.delete(arrivalKey(prefix, renewedFrom))
      batch.put(arrivalKey(prefix, arrival), Buffer.from(id, 'utf8'))
    })
  }

  /** Forgets the sessions that were last renewed at or before `arrival`. */
  forgetSessions(arrival: number): void {
    for (;;) {
      const oldest = this.#arrivals[this.#nextArrival]
      if (oldest === undefined || oldest.arrival > arrival) return
      this.#nextArrival += 1
      const { session } = must(this.#sessions.get(oldest.id), 'a session that is forgotten')
      // Renewed within this batch: its place in the order is another now.
      if (session?.arrival !== oldest.arrival) continue
      this.#sessions.set(oldest.id, { session: undefined, changed: false })
      this.#writes.push((batch, prefix) => {
        batch.delete(arrivalKey(prefix, oldest.arrival))
        batch.delete(sessionKey(prefix, oldest.id))
        for (let chunk = session.firstChunk; chunk < session.nextChunk; chunk++)
          batch.delete(chunkKey(prefix, oldest.id, chunk))
        for (const chunk of session.dropped) batch.delete(chunkKey(prefix, oldest.id, chunk))
      })
    }
  }

  /** Sessions as they stand after the batch, for the shell's cache; undefined = forgotten. */
  *sessions(): IterableIterator<readonly [string, Session | undefined]> {
    for (const [id, { session }] of this.#sessions) yield [id, session]
  }

  /** Rows that were changed, as they stand after the batch. */
  *changedRows(): IterableIterator<readonly [string, StoredRow]> {
    for (const [text, slot] of this.#rows)
      if (slot.encoded !== undefined && slot.current !== undefined) yield [text, slot.current]
  }

  // ---- writing back ----

  /** Each changed row and session once, however often the batch changed it. */
  flush(batch: BatchWriter, prefix: Prefix): void {
    for (const write of this.#writes) write(batch, prefix)
    for (const slot of this.#rows.values()) {
      const { stored, current, encoded } = slot
      if (encoded === undefined || current === undefined) continue
      batch.put(rowKey(prefix, slot.key), encoded)
      const dueBefore = stored?.tombstone === 'none' ? stored.expiresAt : 0
      if (dueBefore !== current.expiresAt) {
        if (dueBefore !== 0) batch.delete(expiryKey(prefix, dueBefore, slot.key))
        if (current.expiresAt !== 0) batch.put(expiryKey(prefix, current.expiresAt, slot.key), NOTHING)
      }
      if (stored !== undefined && stored.tombstone !== 'none')
        batch.delete(tombstoneKey(prefix, stored.version, slot.key))
      if (current.tombstone !== 'none') batch.put(tombstoneKey(prefix, current.version, slot.key), NOTHING)
    }
    for (const [id, { session, changed }] of this.#sessions) {
      if (!changed || session === undefined) continue
      for (const chunk of session.dropped) batch.delete(chunkKey(prefix, id, chunk))
      for (const chunk of session.unsaved) batch.put(chunkKey(prefix, id, chunk), encodeChunk(session, chunk))
      batch.put(sessionKey(prefix, id), encodeHead(session))
    }
  }

  /** The batch of `flush` was written. */
  settle(): void {
    for (const { session } of this.#sessions.values()) {
      if (session === undefined) continue
      session.dropped = []
      session.unsaved = []
    }
  }
}
