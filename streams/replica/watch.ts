/**
 * A watch over some replicas: a place in each partition, and nothing else in memory. It reads from the ring of recent effects
 * while it keeps up, from the history in the store when it falls behind, and from the rows themselves (a delta) when the history
 * before its place is gone. So it is ordered, unique, complete and atomic for each record, and a stalled watcher costs nothing.
 */
import type { RecordEffects } from '../core/effects.ts'
import { TidemarkError } from '../core/errors.ts'
import { keyOfRow, rowSpan } from '../core/keys.ts'
import {
  SCAN_CHUNK_ROWS,
  WATCH_MESSAGE_BYTES,
  WATCH_PROGRESS_MS,
  WATCH_PROGRESS_MS_MIN,
} from '../core/limits.ts'
import { decodeRow, isLive, toRow } from '../core/row.ts'
import type { Offset, Position } from '../core/types.ts'
import type { KeyRange, WatchEvent, WatchMark, WatchMessage, WatchOptions } from '../face.ts'
import type { Clock } from '../ports.ts'
import { BehaviorSubject } from 'rxjs'
import type { Observable } from 'rxjs'
import { Fanout } from './fanout.ts'
import { HistoryReader, compacted } from './read.ts'
import type { Replica } from './replica.ts'
import { Gathered, eventsOf } from './watch-events.ts'

interface Place {
  readonly replica: Replica
  readonly history: HistoryReader
  /** The next offset to deliver. */
  next: Offset
}

/**
 * The watch begins with the first `next()`; `return()` ends it at once, also while it waits.
 * @param fanout - of all watchers of the keyspace
 * @param onEnd - called once, however it ends
 */
export function watchReplicas(
  replicas: readonly Replica[],
  options: WatchOptions,
  clock: Clock,
  draining$: Observable<boolean>,
  fanout = new Fanout(clock),
  onEnd: () => void = () => undefined,
): AsyncIterableIterator<WatchMessage> {
  const left$ = new BehaviorSubject(false)
  const leave = fanout.join()
  let over = false
  const end = (): void => {
    if (over) return
    over = true
    leave()
    onEnd()
  }
  const messages = watch(replicas, options, clock, draining$, left$, fanout, end)
  return {
    next: () => messages.next(),
    return(value) {
      // A generator takes a return only when its pending next() is over: this ends that too.
      left$.next(true)
      end()
      return messages.return(value)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* watch(
  replicas: readonly Replica[],
  options: WatchOptions,
  clock: Clock,
  draining$: Observable<boolean>,
  left$: BehaviorSubject<boolean>,
  fanout: Fanout,
  end: () => void,
): AsyncGenerator<WatchMessage> {
  const positions = fanout.positions.bind(fanout)
  const places = replicas.map((replica): Place => {
    const seen = options.resume?.positions.find(
      ({ keyspace, partition }) => keyspace === replica.keyspace && partition === replica.state.partition,
    )
    const next = seen === undefined ? replica.state.next : ((seen.offset + 1) as Offset)
    return { replica, history: new HistoryReader(replica), next }
  })
  const bell = new Bell([...replicas.map(({ applied$ }) => applied$), draining$, left$])
  let draining = false
  const drain = draining$.subscribe((now) => (draining = now))
  let progressDue = false
  const interval = Math.max(options.progressIntervalMs ?? WATCH_PROGRESS_MS, WATCH_PROGRESS_MS_MIN)
  const stopProgress = clock.every(interval, () => {
    progressDue = true
    bell.ring()
  })
  try {
    if (options.initialRows === true) {
      for (const place of places) {
        place.next = place.replica.state.next
        for (const events of rowEvents(place, options.range, -1))
          if (events.length > 0) yield message('events', events, [])
          else if (left$.value) return
          else await clock.sleep(0)
      }
      yield message('initial-end', [], positions(places))
    } else {
      // Where the watch begins: without it, a watcher that loses its connection before the first event could not resume.
      yield message('progress', [], positions(places))
    }
    const gathered = new Gathered(options.range)
    while (!left$.value) {
      const rung = bell.next()
      let quiet = true
      if (draining)
        throw new TidemarkError('NODE_DRAINING', 'the node is shutting down: resume on another one')
      for (const place of places) {
        const { replica } = place
        if (replica.refused !== undefined) throw replica.refused
        if (place.next >= replica.state.next) continue
        quiet = false
        const isDelta = place.next < replica.recent.start && place.next < replica.state.historyStart
        const fromStore = place.next < replica.recent.start
        const before = gathered.count
        if (!isDelta) advance(place, options, gathered)
        if (isDelta ? before > 0 : gathered.bytes >= WATCH_MESSAGE_BYTES)
          yield message('events', gathered.take(), positions(places))
        // A long way through the history without a match must not hold up the node.
        else if (fromStore && gathered.count === before) await clock.sleep(0)
        if (isDelta) yield* delta(place, places, options, clock, left$, positions)
      }
      if (gathered.count > 0) yield message('events', gathered.take(), positions(places))
      if (!quiet) {
        if (places.every(({ replica, next }) => next >= replica.recent.start)) await fanout.rest()
        continue
      }
      if (progressDue) {
        progressDue = false
        yield message('progress', [], positions(places))
        continue
      }
      await rung
    }
  } finally {
    end()
    stopProgress()
    drain.unsubscribe()
    bell.close()
  }
}

/** Rings when any of its sources moves on, fails or ends. */
class Bell {
  readonly #subscriptions
  #resolve: () => void = () => undefined

  constructor(sources: readonly Observable<unknown>[]) {
    const ring = (): void => {
      this.ring()
    }
    this.#subscriptions = sources.map((source) =>
      source.subscribe({ next: ring, error: ring, complete: ring }),
    )
  }

  ring(): void {
    this.#resolve()
  }

  /** Resolves at the first ring after this call. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  close(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
  }
}

/** The next events of one partition, whole records up to the bound of a message. */
function advance(place: Place, options: WatchOptions, gathered: Gathered): void {
  const { replica } = place
  const take = (record: RecordEffects): boolean => {
    gathered.add(eventsOf(replica, record, options.previousRows === true))
    place.next = (record.offset + 1) as Offset
    return gathered.bytes < WATCH_MESSAGE_BYTES
  }
  if (place.next >= replica.recent.start) {
    for (const record of replica.recent.since(place.next)) if (!take(record)) return
    place.next = replica.state.next
    return
  }
  const from = place.next
  const records = place.history.pieceFrom(from)
  for (const record of records) if (record.offset >= from && !take(record)) return
  // Nothing is left in the store that reaches this place: up to the ring there were no effects.
  if (place.next === from) place.next = replica.recent.start
}

/** What stands now of all rows that changed since the watcher's place, deleted ones included. */
async function* delta(
  place: Place,
  places: readonly Place[],
  options: WatchOptions,
  clock: Clock,
  left$: BehaviorSubject<boolean>,
  positions: Fanout['positions'],
): AsyncIterableIterator<WatchMessage> {
  const { replica } = place
  checkDelta(place, options)
  const elsewhere = positions(places.filter((other) => other !== place))
  yield message('delta-begin', [], elsewhere)
  // The caller took its time: what is read from here on must be complete still, and is not told again as a change.
  checkDelta(place, options)
  const since = place.next - 1
  place.next = replica.state.next
  for (const events of rowEvents(place, options.range, since))
    if (events.length > 0) yield message('events', events, elsewhere)
    else if (left$.value) return
    else await clock.sleep(0)
  yield message('initial-end', [], positions(places))
}

/** @throws COMPACTED */
function checkDelta({ replica, next }: Place, options: WatchOptions): void {
  const { historyStart, tombstoneStart } = replica.state
  if (options.exact === true) throw compacted(replica, next, historyStart)
  if (next < tombstoneStart) throw compacted(replica, next, tombstoneStart)
}

/**
 * Rows of the range with a version over `since`, as events without time, chunk by chunk, empty ones too; tombstones only where
 * something was seen before.
 */
function* rowEvents(place: Place, range: KeyRange, since: number): IterableIterator<readonly WatchEvent[]> {
  const { replica } = place
  const { time, partition } = replica.state
  // The caller took its time: rows of a replica that has moved away are gone.
  if (replica.refused !== undefined) throw replica.refused
  const cursor = replica.store.cursor(rowSpan(replica.prefix, range.start, range.end))
  try {
    for (
      let entries = cursor.next(SCAN_CHUNK_ROWS);
      entries.length > 0;
      entries = cursor.next(SCAN_CHUNK_ROWS)
    ) {
      const events: WatchEvent[] = []
      for (const { key, value } of entries) {
        const row = decodeRow(value)
        if (row.version <= since) continue
        if (row.tombstone !== 'none') {
          if (since >= 0)
            events.push({ kind: row.tombstone, partition, row: toRow(keyOfRow(key), row), time: 0 })
        } else if (isLive(row, time))
          events.push({ kind: 'put', partition, row: toRow(keyOfRow(key), row), time: 0 })
      }
      yield events
    }
  } finally {
    cursor.close()
  }
}

const message = (
  mark: WatchMark,
  events: readonly WatchEvent[],
  reached: readonly Position[],
): WatchMessage => ({ mark, events, positions: reached })

/** Refuses what no watch could do. */
export function checkWatch(options: WatchOptions): void {
  if (options.initialRows === true && options.resume !== undefined && options.resume.positions.length > 0)
    throw new TidemarkError('FIELD_INVALID', 'a watch has either initial_rows or resume, not both', {
      metadata: { field: 'initial_rows' },
    })
}
