/** Loads from the store what apply will read for some commands. The only reads that stand between a record and its effects. */
import type { Command } from '../core/command.ts'
import { DEDUPE_IDS_MAX, DUE_ROWS_LOADED } from '../core/limits.ts'
import {
  arrivalSpan,
  chunkKey,
  dueSpan,
  readArrival,
  readNumbered,
  rowKey,
  sessionKey,
} from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { TidemarkError } from '../core/errors.ts'
import { collectNeeds, needRow, type Needs } from '../core/needs.ts'
import { decodeRow } from '../core/row.ts'
import { addChunks, decodeHead } from '../core/session.ts'
import type { Session } from '../core/session.ts'
import type { PartitionState } from '../core/state.ts'
import { WorkingSet } from '../core/working-set.ts'
import type { Store } from '../store/store.ts'

/** Keys read on the main thread; more are worth a trip to another thread. */
const SYNC_KEYS_MAX = 64

interface StoredAt {
  readonly store: Store
  readonly prefix: Prefix
}

export interface LoadFrom extends StoredAt {
  /** Sessions that were used lately, as they stand in the store. */
  readonly sessions: { get(id: string): Session | undefined }
  /** Nothing expires before this log time. */
  readonly nextDue: number
}

/** @param until - the latest log time that the batch of commands reaches */
export async function loadWorkingSet(
  from: LoadFrom,
  state: PartitionState,
  commands: readonly Command[],
  until: number,
): Promise<WorkingSet> {
  const needs = collectNeeds(commands)
  const work = new WorkingSet(needs.rows)
  if (from.nextDue <= until) loadDue(from, work, needs, until)
  else work.loadDue([], true, until)
  if (state.ids + needs.requestIds > DEDUPE_IDS_MAX)
    loadArrivals(from, work, needs.sessions, state.ids + needs.requestIds - DEDUPE_IDS_MAX)
  if (needs.rows.size > 0) {
    const stored: Uint8Array[] = []
    for (const { key } of needs.rows.values()) stored.push(rowKey(from.prefix, key))
    const rows =
      stored.length <= SYNC_KEYS_MAX ? from.store.getMany(stored) : await from.store.getManyAsync(stored)
    let at = 0
    for (const slot of needs.rows.values()) {
      const bytes = rows[at++]
      if (bytes !== undefined) slot.stored = slot.current = decodeRow(bytes)
    }
  }
  loadSessions(from, work, needs.sessions)
  return work
}

function loadDue(from: LoadFrom, work: WorkingSet, needs: Needs, until: number): void {
  const cursor = from.store.cursor({ ...dueSpan(from.prefix, until), values: false })
  try {
    const due = []
    for (;;) {
      const entries = cursor.next(DUE_ROWS_LOADED - due.length)
      for (const entry of entries) {
        const { number, key } = readNumbered(entry.key)
        due.push({ at: number, key })
        needRow(needs, key)
      }
      if (entries.length === 0 || due.length >= DUE_ROWS_LOADED) break
    }
    work.loadDue(due, due.length < DUE_ROWS_LOADED, until)
  } finally {
    cursor.close()
  }
}

function loadArrivals(from: LoadFrom, work: WorkingSet, sessions: Set<string>, until: number): void {
  const cursor = from.store.cursor(arrivalSpan(from.prefix, until))
  try {
    for (let entries = cursor.next(500); entries.length > 0; entries = cursor.next(500)) {
      for (const entry of entries) {
        const id = Buffer.from(entry.value).toString('utf8')
        work.loadArrival(readArrival(entry.key), id)
        sessions.add(id)
      }
    }
  } finally {
    cursor.close()
  }
}

function loadSessions(from: LoadFrom, work: WorkingSet, ids: ReadonlySet<string>): void {
  const missing: string[] = []
  for (const id of ids) {
    const cached = from.sessions.get(id)
    if (cached === undefined) missing.push(id)
    else work.loadSession(id, cached)
  }
  if (missing.length === 0) return
  const heads = from.store.getMany(missing.map((id) => sessionKey(from.prefix, id)))
  missing.forEach((id, at) => {
    const head = heads[at]
    work.loadSession(id, head === undefined ? undefined : readSession(from, id, head))
  })
}

/** What is remembered of a session's request ids, as it stands in the store. */
export function loadSession(from: StoredAt, id: string): Session | undefined {
  const head = from.store.getMany([sessionKey(from.prefix, id)])[0]
  return head === undefined ? undefined : readSession(from, id, head)
}

function readSession(from: StoredAt, id: string, head: Uint8Array): Session {
  const session = decodeHead(head)
  const keys: Buffer[] = []
  for (let chunk = session.firstChunk; chunk < session.nextChunk; chunk++)
    keys.push(chunkKey(from.prefix, id, chunk))
  if (keys.length === 0) return session
  const chunks = from.store
    .getMany(keys)
    .map((bytes, at) => bytes ?? missingChunk(id, session.firstChunk + at))
  addChunks(session, chunks)
  return session
}

/** Without it, a request id that was seen would count as new. */
function missingChunk(id: string, chunk: number): never {
  throw new TidemarkError(
    'STORE_CORRUPT',
    `piece ${chunk} of what is known of the session "${id}" is missing`,
  )
}
