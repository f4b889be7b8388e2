/**
 * One replica without shell and store: drives decode and apply over tables in memory. Fast, so that a million records can be
 * tried; the real shell is held against it by the same hash.
 */
import { applyRecord, partitionTime } from '../apply.ts'
import type { Stop } from '../apply.ts'
import { must } from '../assert.ts'
import { bytesToText, compareBytes } from '../bytes.ts'
import { decodeRecord } from '../decode.ts'
import type { RecordEffects } from '../effects.ts'
import { DEDUPE_IDS_MAX } from '../limits.ts'
import { collectNeeds } from '../needs.ts'
import type { StoredRow } from '../row.ts'
import type { Session } from '../session.ts'
import { newState } from '../state.ts'
import type { PartitionState } from '../state.ts'
import type { LogRecord, LogTime, Partition } from '../types.ts'
import { WorkingSet, newSlot } from '../working-set.ts'
import type { Due } from '../due-heap.ts'

export class CoreDriver {
  readonly state: PartitionState
  readonly rows = new Map<string, StoredRow>()
  readonly sessions = new Map<string, Session>()
  /** The rows with an expiry, and the earliest one that may be among them. */
  readonly #expiring = new Map<string, { readonly key: Uint8Array; readonly at: number }>()
  #earliest = Infinity

  constructor(partition = 0, partitions = 1) {
    this.state = newState(partition as Partition, partitions, 'topic-1')
  }

  /** Applies the records as one batch, up to one that asks to stop. */
  run(records: readonly LogRecord[]): {
    readonly effects: readonly RecordEffects[]
    readonly stop: Stop | undefined
  } {
    const commands = records.map(decodeRecord)
    const work = this.#load(records, commands)
    const effects: RecordEffects[] = []
    let stop: Stop | undefined
    for (let at = 0; at < records.length; at++) {
      const done = applyRecord(
        this.state,
        work,
        must(records[at], 'a record'),
        must(commands[at], 'a command'),
      )
      if ('stop' in done) {
        stop = done
        break
      }
      effects.push(done)
    }
    this.#keep(work)
    return { effects, stop }
  }

  #load(records: readonly LogRecord[], commands: readonly ReturnType<typeof decodeRecord>[]): WorkingSet {
    const needs = collectNeeds(commands)
    const work = new WorkingSet(needs.rows)
    const until = records.reduce<LogTime>((latest, { time }) => partitionTime(latest, time), this.state.time)
    const due: Due[] = []
    if (this.#earliest <= until) {
      this.#earliest = Infinity
      for (const [text, { key, at }] of this.#expiring) {
        if (at <= until) {
          due.push({ at, key })
          if (!needs.rows.has(text)) needs.rows.set(text, newSlot(key))
        } else this.#earliest = Math.min(this.#earliest, at)
      }
      due.sort((a, b) => a.at - b.at || compareBytes(a.key, b.key))
      // Some may be left when the batch is over.
      if (due.length > 0) this.#earliest = 0
    }
    work.loadDue(due, true, until)
    for (const [text, slot] of needs.rows) slot.stored = slot.current = this.rows.get(text)
    const forgotten = this.state.ids + needs.requestIds - DEDUPE_IDS_MAX
    if (forgotten > 0)
      for (const [id, { arrival }] of [...this.sessions].sort(([, a], [, b]) => a.arrival - b.arrival))
        if (arrival <= forgotten) {
          work.loadArrival(arrival, id)
          needs.sessions.add(id)
        }
    for (const id of needs.sessions) work.loadSession(id, this.sessions.get(id))
    return work
  }

  #keep(work: WorkingSet): void {
    for (const [text, row] of work.changedRows()) {
      this.rows.set(text, row)
      if (row.expiresAt === 0) this.#expiring.delete(text)
      else {
        this.#expiring.set(text, { key: Buffer.from(text, 'latin1'), at: row.expiresAt })
        this.#earliest = Math.min(this.#earliest, row.expiresAt)
      }
    }
    for (const [id, session] of work.sessions())
      if (session === undefined) this.sessions.delete(id)
      else this.sessions.set(id, session)
    work.settle()
  }
}

/** Keys, values and outcomes of a record on one line, for transcripts. */
export function show({ outcomes, changes, duplicateOf }: RecordEffects): string {
  const verdicts = outcomes.map((outcome) => {
    const parts: string[] = [outcome.status === 'applied' ? 'ok' : outcome.reason]
    if (outcome.version !== undefined) parts.push(`v${outcome.version}`)
    if (outcome.status === 'applied') {
      if (outcome.number !== undefined) parts.push(`=${outcome.number}`)
      if (outcome.succeeded !== undefined) parts.push(outcome.succeeded ? 'then' : 'else')
    }
    if (outcome.duplicate) parts.push(`again, as at ${outcome.offset}`)
    return parts.join(' ')
  })
  const moves = changes.map(({ kind, key, row }) => {
    const name = bytesToText(key)
    if (kind !== 'put') return `${kind} ${name}`
    return `${name}:=${bytesToText(row.value)}${row.expiresAt === 0 ? '' : ` until ${row.expiresAt}`}`
  })
  return [verdicts.join(', '), ...moves, ...(duplicateOf === undefined ? [] : [`copy of ${duplicateOf}`])]
    .join('; ')
    .replace(/^; /, '')
}
