/**
 * One replica: the state of one partition on this node, kept current by an RxJS processor that reads the log.
 *
 *   log reader ─▶ slices ─▶ decode ─▶ load ─▶ apply (core) ─▶ one store batch ─▶ told: watchers, waiting writers and readers
 *
 * Invariants: rows, indexes, offset, time, epoch and chain hash go into one batch (I3); whoever is told, is told after it was
 * written; the state in memory moves only after that, so a failed batch is tried again from the same state. A reader of the log
 * is asked for more only when everything before was applied: back-pressure reaches the broker.
 */
import { Subject, concatMap, defer, repeat, takeUntil } from 'rxjs'
import type { Observable, Subscription } from 'rxjs'
import { applyRecord, partitionTime } from '../core/apply.ts'
import { decodeRecord } from '../core/decode.ts'
import { touchesExpiry, type RecordEffects } from '../core/effects.ts'
import { TidemarkError } from '../core/errors.ts'
import type { Reason } from '../core/errors.ts'
import { HistoryWriter } from '../core/history.ts'
import { dueSpan, effectsKey, metaKey, readNumbered } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { LOG_TIME_MAX } from '../core/limits.ts'
import { must } from '../core/assert.ts'
import { encodeState } from '../core/state.ts'
import type { PartitionState } from '../core/state.ts'
import type { LogRecord, LogTime, Offset } from '../core/types.ts'
import type { WorkingSet } from '../core/working-set.ts'
import { failpoint } from '../failpoint.ts'
import { seconds } from '../meters.ts'
import type { Clock, Telemetry } from '../ports.ts'
import type { Log, LogBatch } from '../log/log.ts'
import type { Batch, Store } from '../store/store.ts'
import { REPLICA_BOUNDS, type ReplicaBounds } from './bounds.ts'
import { Evidence, type Witness } from './evidence.ts'
import { ExpectedRecords } from './expected.ts'
import { LogSight } from './log-sight.ts'
import { collectGarbage } from './garbage.ts'
import { countApplied } from './apply-meter.ts'
import { guardedStore } from './guarded-store.ts'
import { loadWorkingSet } from './load.ts'
import { RecentEffects } from './recent.ts'
import { SessionCache } from './session-cache.ts'
import { sliceFrom } from './slice.ts'
import { OffsetWaiters } from './waiters.ts'

export interface ReplicaOptions {
  readonly keyspace: string
  readonly topic: string
  readonly prefix: Prefix
  readonly state: PartitionState
  readonly store: Store
  readonly log: Log
  readonly clock: Clock
  readonly telemetry: Telemetry
  /** By default those of limits.ts. */
  readonly bounds?: Partial<ReplicaBounds>
  /** Looks into what the replica shows of itself; without one nothing is hashed. */
  readonly witness?: Witness
}

/** What one batch of records did. */
export interface Applied {
  readonly effects: readonly RecordEffects[]
  /** Everything below is applied, offsets without a record included. */
  readonly next: Offset
}

export interface Stopped {
  readonly reason: Reason
  readonly message: string
}

const RETRY_MS = 500

export class Replica {
  readonly keyspace: string
  readonly topic: string
  readonly prefix: Prefix
  readonly store: Store
  readonly waiters = new OffsetWaiters()
  readonly sessions = new SessionCache()
  /** Told after each batch was written; in the order of the log. Listeners are synchronous and own their bounds. */
  readonly applied$ = new Subject<Applied>()

  readonly recent: RecentEffects
  readonly evidence: Evidence

  readonly #log: Log
  readonly #clock: Clock
  readonly #sight: LogSight
  readonly #telemetry: Telemetry
  readonly #bounds: ReplicaBounds
  readonly #closing = new Subject<void>()
  readonly #expected = new ExpectedRecords()
  #state: PartitionState
  #subscription: Subscription | undefined
  #stopped: Stopped | undefined
  /** Why nobody is served here any more. */
  #left: TidemarkError | undefined
  #restoreUntil: Offset | undefined
  #nextDue: number | undefined

  constructor(options: ReplicaOptions) {
    this.keyspace = options.keyspace
    this.topic = options.topic
    this.prefix = options.prefix
    this.store = guardedStore(options.store, (error) => {
      this.stop(error)
      return this.refusal()
    })
    this.#log = options.log
    this.#clock = options.clock
    this.#telemetry = options.telemetry
    this.#state = options.state
    this.#bounds = { ...REPLICA_BOUNDS, ...options.bounds }
    this.recent = new RecentEffects(options.state.next, this.#bounds)
    const { store, prefix, witness } = options
    this.evidence = new Evidence({ store, prefix, tombstoneRecords: this.#bounds.tombstoneRecords }, witness)
    this.#sight = new LogSight(options.clock, options.state.next)
  }

  /** As it stands after the last batch; do not change it. */
  get state(): Readonly<PartitionState> {
    return this.#state
  }
  get logEnd(): Offset {
    return this.#sight.end
  }
  /** How long ago the end of the log was seen, milliseconds. */
  get logEndAgeMs(): number {
    return this.#sight.endAgeMs
  }
  /** What time it is in the log by now, as far as this replica knows: what is due by then can be expired. */
  get logTime(): number {
    return Math.max(this.#state.time, this.#sight.time)
  }
  get status(): 'restoring' | 'live' | 'stopped' {
    if (this.#stopped !== undefined) return 'stopped'
    return this.#restoreUntil !== undefined && this.#state.next >= this.#restoreUntil ? 'live' : 'restoring'
  }
  get stopped(): Stopped | undefined {
    return this.#stopped
  }

  /** Starts to read the log where the store stands. */
  start(): void {
    const { partition, partitions, topicIdentity, next } = this.#state
    const reader = this.#log.read(this.topic, partition, next, { identity: topicIdentity, partitions })
    this.#closing.subscribe(() => {
      reader.close()
    })
    // The next batch is asked for when this one is applied: `repeat` stands behind the work, or batches would pile up before it.
    const applied$: Observable<void> = defer(() => reader.next()).pipe(
      concatMap((batch) => this.#process(batch)),
      repeat(),
      takeUntil(this.#closing),
    )
    this.#log.offsets(this.topic, partition).then(
      ({ end }) => {
        this.#restoreUntil ??= end
        this.#sight.reaches(end)
      },
      () => {
        // The first batch tells the end as well.
      },
    )
    this.#subscription = applied$.subscribe({
      error: (caught: unknown) => {
        reader.close()
        this.stop(TidemarkError.from(caught))
      },
    })
  }

  /** Refuses to serve from now on. */
  stop(error: TidemarkError): void {
    if (this.#stopped !== undefined || (error.reason === 'CANCELLED' && this.#closing.closed)) return
    this.#stopped = { reason: error.reason, message: error.message }
    this.#telemetry.stopped(this.keyspace, this.#state.partition, error)
    this.waiters.fail(this.refusal())
    this.applied$.error(this.refusal())
  }

  /** Why a call cannot be answered from here; look again after whatever was awaited, in the turn that reads. */
  get refused(): TidemarkError | undefined {
    return this.#stopped === undefined ? this.#left : this.refusal()
  }

  refusal(): TidemarkError {
    const { reason, message } = this.#stopped ?? { reason: 'INTERNAL', message: 'not stopped' }
    const { partition } = this.#state
    return new TidemarkError(
      'PARTITION_STOPPED',
      `partition ${partition} of keyspace ${this.keyspace} is stopped on this node: ${reason}: ${message}`,
      { metadata: { keyspace: this.keyspace, partition: String(partition), cause: reason } },
    )
  }

  /** Calls back with the effects of the record that carries the request id, once it is applied. Returns what takes that back. */
  expect(requestId: string, listener: (effects: RecordEffects) => void): () => void {
    return this.#expected.add(requestId, listener)
  }

  /** The log time at which the next row is due; Infinity when none is, or when the replica has stopped. */
  nextDue(): number {
    try {
      return this.#firstDue()
    } catch (caught) {
      if (this.#stopped === undefined) throw caught
      return Infinity
    }
  }

  #firstDue(): number {
    if (this.#nextDue === undefined) {
      const cursor = this.store.cursor({ ...dueSpan(this.prefix, LOG_TIME_MAX * 2), values: false })
      const first = cursor.next(1)[0]
      cursor.close()
      this.#nextDue = first === undefined ? Infinity : readNumbered(first.key).number
    }
    return this.#nextDue
  }

  /** @param why - what those hear who wait, or come later */
  async close(why = new TidemarkError('NODE_DRAINING', 'the node is shutting down')): Promise<void> {
    this.#left ??= why
    this.#closing.next()
    this.#closing.complete()
    this.#subscription?.unsubscribe()
    // What failed has stopped the replica already.
    await this.#busy.catch(() => undefined)
    await this.evidence.close()
    this.waiters.fail(this.#left)
    this.applied$.complete()
  }

  /** What is being applied: closing waits for it, so that the store is not closed under it. */
  #busy: Promise<void> = Promise.resolve()

  #process(batch: LogBatch): Promise<void> {
    this.#busy = this.#applyBatch(batch)
    return this.#busy
  }

  async #applyBatch(batch: LogBatch): Promise<void> {
    this.#sight.saw(batch)
    this.#restoreUntil ??= batch.logEnd
    let at = 0
    while (at < batch.records.length && this.#subscription?.closed !== true)
      at += await this.#applySlice(sliceFrom(batch.records, at))
    if (at < batch.records.length) return
    if (batch.nextOffset > this.#state.next) await this.#skipTo(batch.nextOffset)
  }

  /** @returns how many of the records were applied: at least one. */
  async #applySlice(records: readonly LogRecord[]): Promise<number> {
    const began = seconds()
    const live = this.status === 'live'
    const commands = records.map(decodeRecord)
    const state = { ...this.#state }
    const until = records.reduce<LogTime>((latest, record) => partitionTime(latest, record.time), state.time)
    const work = await loadWorkingSet(
      { store: this.store, prefix: this.prefix, sessions: this.sessions, nextDue: this.#firstDue() },
      state,
      commands,
      until,
    )
    const effects: RecordEffects[] = []
    let tooNew: number | undefined
    for (let at = 0; at < records.length; at++) {
      if (at > 0 && !work.canExpire) break
      const done = applyRecord(state, work, must(records[at], 'a record'), must(commands[at], 'a command'))
      if ('stop' in done) {
        tooNew = done.version
        break
      }
      effects.push(done)
      if (this.evidence.wants(commands[at], this.status === 'live')) break
    }
    if (effects.length > 0) await this.#write(state, work, effects, records)
    const run = { commands, effects, live, seconds: seconds() - began }
    countApplied(this.#telemetry.meters, this.keyspace, run)
    this.#telemetry.tracing?.applied(this, records, run)
    this.evidence.take(this.#state, commands.slice(0, effects.length), effects, this.status === 'live')
    if (tooNew !== undefined)
      throw new TidemarkError(
        'FORMAT_TOO_NEW',
        `the record at offset ${this.#state.next} needs record format ${tooNew}, this node knows format 1: upgrade the node`,
      )
    return effects.length
  }

  async #write(
    state: PartitionState,
    work: WorkingSet,
    effects: readonly RecordEffects[],
    records: readonly LogRecord[],
  ): Promise<void> {
    const last = must(effects.at(-1), 'effects')
    const history = new HistoryWriter(this.#bounds.segmentBytes)
    // Far behind the end of the log, history would be dropped again before anyone could ask for it.
    if (this.logEnd - last.offset > this.#bounds.historyRecords)
      state.historyStart = (last.offset + 1) as Offset
    else for (const done of effects) history.add(done)
    const pieces = history.finish()
    for (const piece of pieces) state.historyBytes += piece.value.length
    await this.#store(
      (batch) => {
        work.flush(batch, this.prefix)
        for (const { first, last: end, value } of pieces)
          batch.put(effectsKey(this.prefix, first, end, value.length), value)
        batch.put(metaKey(this.prefix), encodeState(state))
      },
      () => {
        work.settle()
        this.#state = state
        this.sessions.update(work.sessions())
        if (touchesExpiry(effects)) this.#nextDue = undefined
        this.#tell(effects, records)
      },
    )
    this.#collectGarbage()
  }

  /**
   * Writes a batch, and in the same turn moves what is in memory: no reader sees the one without the other. While the disk is
   * full it waits and tries again, from the same state; calls that need what comes are refused, so that another replica answers them.
   */
  async #store(fill: (batch: Batch) => void, written: () => void): Promise<void> {
    for (let waited = false; ; waited = true) {
      const batch = this.store.batch()
      fill(batch)
      try {
        failpoint('replica.write', () => {
          this.store.write(batch)
        })
      } catch (caught) {
        const error = TidemarkError.from(caught)
        if (error.reason !== 'DISK_FULL' || this.#subscription?.closed === true) throw error
        if (!waited) this.#telemetry.trouble('the disk is full: applying waits until there is room')
        this.waiters.hold(error)
        await this.#clock.sleep(RETRY_MS)
        continue
      }
      if (waited) this.#telemetry.recovered('the disk has room again: applying goes on')
      written()
      return
    }
  }

  /** What is past its bound can stay a little longer where the disk has no room for its deletion. */
  #collectGarbage(): void {
    try {
      collectGarbage(this.store, this.prefix, this.#state, this.#bounds)
    } catch (caught) {
      if (TidemarkError.from(caught).reason !== 'DISK_FULL') throw caught
    }
  }

  #tell(effects: readonly RecordEffects[], records: readonly LogRecord[]): void {
    this.#expected.tell(effects, records)
    if (this.applied$.observed) this.recent.add(effects)
    else this.recent.skipTo(this.#state.next)
    this.applied$.next({ effects, next: this.#state.next })
    this.waiters.reached(this.#state.next)
  }

  /** Steps over offsets that hold no record for us: control records of Kafka, aborted transactions. */
  async #skipTo(next: Offset): Promise<void> {
    const state = { ...this.#state, next }
    await this.#store(
      (batch) => {
        batch.put(metaKey(this.prefix), encodeState(state))
      },
      () => {
        this.#state = state
        this.applied$.next({ effects: [], next })
        this.waiters.reached(next)
      },
    )
  }
}
