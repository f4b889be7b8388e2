/**
 * Changes of records as watchers get them. All watchers of a record get the same objects, so that whoever sends them on encodes each
 * once, however many watch.
 */
import { EMPTY, compareBytes } from '../core/bytes.ts'
import type { Change, RecordEffects } from '../core/effects.ts'
import { toRow } from '../core/row.ts'
import type { StoredRow } from '../core/row.ts'
import type { KeyRange, WatchEvent } from '../face.ts'
import type { Replica } from './replica.ts'

type Known = WeakMap<RecordEffects, readonly WatchEvent[]>

const PLAIN: Known = new WeakMap()
const WITH_PREVIOUS: Known = new WeakMap()

/** One for each change of the record, in their order. */
export function eventsOf(
  replica: Replica,
  record: RecordEffects,
  withPrevious: boolean,
): readonly WatchEvent[] {
  const known = withPrevious ? WITH_PREVIOUS : PLAIN
  let events = known.get(record)
  if (events === undefined) {
    events = record.changes.map((change) => toEvent(replica, change, record, withPrevious))
    known.set(record, events)
  }
  return events
}

export function toEvent(
  replica: Replica,
  change: Change,
  record: { readonly time: number },
  withPrevious: boolean,
): WatchEvent {
  const { kind, key, row, previous, traceparent } = change
  return {
    kind,
    partition: replica.state.partition,
    row: kind === 'put' ? toRow(key, row) : toRow(key, { ...row, value: EMPTY }),
    time: record.time,
    ...(withPrevious && isRow(previous) ? { previous: toRow(key, previous) } : {}),
    ...(traceparent === undefined ? {} : { traceparent }),
  }
}

const isRow = (row: StoredRow | undefined): row is StoredRow => row?.tombstone === 'none'

/** What the next message of a watch will tell. */
export class Gathered {
  readonly #range: KeyRange
  #events: WatchEvent[] = []
  #bytes = 0

  constructor(range: KeyRange) {
    this.#range = range
  }

  get count(): number {
    return this.#events.length
  }
  /** Of keys and values. */
  get bytes(): number {
    return this.#bytes
  }

  /** Those of the range. */
  add(events: readonly WatchEvent[]): void {
    for (const event of events) {
      const { key, value } = event.row
      if (!inRange(key, this.#range)) continue
      this.#events.push(event)
      this.#bytes += key.length + value.length + (event.previous?.value.length ?? 0)
    }
  }

  take(): readonly WatchEvent[] {
    const events = this.#events
    this.#events = []
    this.#bytes = 0
    return events
  }
}

const inRange = (key: Uint8Array, range: KeyRange): boolean =>
  compareBytes(key, range.start) >= 0 && (range.end === undefined || compareBytes(key, range.end) < 0)
