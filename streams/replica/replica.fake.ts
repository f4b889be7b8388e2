/** A replica of partition 0 on a memory store, fed from a script: tests say where a batch ends and when the replica restarts. */
import { must } from '../core/assert.ts'
import type { RecordEffects } from '../core/effects.ts'
import { TidemarkError } from '../core/errors.ts'
import { metaKey, replicaPrefix, replicaSpan } from '../core/keys.ts'
import { decodeState, newState } from '../core/state.ts'
import type { LogRecord, Offset, Partition } from '../core/types.ts'
import type { Log, LogBatch, PartitionReader } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import type { Clock, Telemetry } from '../ports.ts'
import { newMeters } from '../meters.ts'
import { openMemoryStore } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { systemClock } from '../system.ts'
import type { ReplicaBounds } from './bounds.ts'
import { Replica } from './replica.ts'

export const PREFIX = replicaPrefix(7)
export const KEYSPACE = 'default'

/** A log that hands out given records in batches of given sizes; nothing can be appended to it but more of the script. */
export class ScriptedLog {
  readonly records: LogRecord[] = []
  /** How many records the next batch gets, at least 1. */
  batchRecords: () => number = () => 1000
  /** Batches that were asked for. */
  reads = 0
  /** The next read fails with it. */
  failure: TidemarkError | undefined
  #bell: () => void = () => undefined

  append(records: readonly LogRecord[]): void {
    this.records.push(...records)
    this.#bell()
  }

  fail(error: TidemarkError): void {
    this.failure = error
    this.#bell()
  }

  get end(): Offset {
    return ((this.records.at(-1)?.offset ?? -1) + 1) as Offset
  }

  get log(): Log {
    return {
      ...openMemoryLog({ clock: () => 0 as never }),
      read: (_topic, _partition, from) => this.#read(from),
      offsets: async () => Promise.resolve({ start: 0 as Offset, end: this.end }),
    }
  }

  #read(from: Offset): PartitionReader {
    let at = this.records.findIndex(({ offset }) => offset >= from)
    if (at < 0) at = this.records.length
    let closed = false
    return {
      next: async (): Promise<LogBatch> => {
        this.reads += 1
        while (at >= this.records.length && !closed && this.failure === undefined)
          await new Promise<void>((resolve) => (this.#bell = resolve))
        if (closed) throw new TidemarkError('CANCELLED', 'closed')
        if (this.failure !== undefined) throw this.failure
        const records = this.records.slice(at, at + Math.max(1, this.batchRecords()))
        at += records.length
        const nextOffset = (must(records.at(-1), 'a record').offset + 1) as Offset
        return { records, nextOffset, logEnd: this.end, bytes: 0 }
      },
      close: () => {
        closed = true
        this.#bell()
      },
    }
  }
}

export const silent: Telemetry = {
  meters: newMeters(),
  stopped: () => undefined,
  trouble: () => undefined,
  recovered: () => undefined,
}

export interface Rig {
  readonly script: ScriptedLog
  readonly store: Store
  readonly replica: Replica
  /** What the replica has done since it was opened. */
  readonly effects: RecordEffects[]
  /** Resolves when all records of the script are applied, or rejects when the replica has stopped. */
  caughtUp(): Promise<void>
  /** Closes the replica and opens another one on the same store and script. */
  restart(): Promise<Rig>
}

export interface RigOptions {
  readonly script?: ScriptedLog
  readonly store?: Store
  readonly log?: Log
  readonly clock?: Clock
  readonly telemetry?: Telemetry
  readonly partition?: number
  readonly partitions?: number
  readonly topicIdentity?: string
  readonly bounds?: Partial<ReplicaBounds>
}

export function openRig(options: RigOptions = {}): Rig {
  const script = options.script ?? new ScriptedLog()
  const store = options.store ?? openMemoryStore()
  const stored = store.getMany([metaKey(PREFIX)])[0]
  const replica = new Replica({
    keyspace: KEYSPACE,
    topic: `test.${KEYSPACE}`,
    prefix: PREFIX,
    state:
      stored === undefined
        ? newState(
            (options.partition ?? 0) as Partition,
            options.partitions ?? 1,
            options.topicIdentity ?? 'topic-1',
          )
        : decodeState(stored),
    store,
    log: options.log ?? script.log,
    clock: options.clock ?? systemClock,
    telemetry: options.telemetry ?? silent,
    ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
  })
  const effects: RecordEffects[] = []
  replica.applied$.subscribe({ next: (applied) => effects.push(...applied.effects), error: () => undefined })
  replica.start()
  return {
    script,
    store,
    replica,
    effects,
    async caughtUp() {
      if (replica.stopped !== undefined) throw replica.refusal()
      while (replica.state.next < script.end)
        await replica.waiters.wait(script.end, Infinity).catch(async (caught: unknown) => {
          if (TidemarkError.from(caught).reason !== 'DISK_FULL') throw caught
          await new Promise((resolve) => setImmediate(resolve))
        })
    },
    async restart() {
      await replica.close()
      return openRig({ ...options, script, store })
    },
  }
}

/** Everything in the store that apply decided: rows, what is due, tombstones, request ids. Not history, which each replica cuts as it likes. */
export function dumpTables(store: Store, tables = 'rxgdt'): readonly string[] {
  const cursor = store.cursor(replicaSpan(PREFIX))
  const lines: string[] = []
  for (let entries = cursor.next(1000); entries.length > 0; entries = cursor.next(1000))
    for (const { key, value } of entries) {
      const table = String.fromCharCode(key[4] ?? 0)
      if (tables.includes(table))
        lines.push(
          `${table} ${Buffer.from(key.subarray(5)).toString('hex')} ${Buffer.from(value).toString('hex')}`,
        )
    }
  cursor.close()
  return lines
}

/** A clock that stands until a test moves it. */
export class HandClock implements Clock {
  #now = 1_000_000
  #date = 1_700_000_000_000
  readonly #repeating = new Set<{ readonly ms: number; readonly callback: () => void; due: number }>()
  readonly #sleeping = new Set<{ readonly due: number; readonly resolve: () => void }>()

  readonly now = (): number => this.#date
  readonly elapsed = (): number => this.#now
  readonly sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => this.#sleeping.add({ due: this.#now + ms, resolve }))
  readonly every = (ms: number, callback: () => void): (() => void) => {
    const entry = { ms, callback, due: this.#now + ms }
    this.#repeating.add(entry)
    return () => this.#repeating.delete(entry)
  }

  /** Somebody sets it. */
  jump(ms: number): void {
    this.#date += ms
  }

  /** Moves the clock, and does what is due by then once. */
  advance(ms: number): void {
    this.#now += ms
    this.#date += ms
    for (const entry of [...this.#repeating]) {
      if (entry.due > this.#now) continue
      entry.due = this.#now + entry.ms
      entry.callback()
    }
    for (const entry of [...this.#sleeping]) {
      if (entry.due > this.#now) continue
      this.#sleeping.delete(entry)
      entry.resolve()
    }
  }
}
