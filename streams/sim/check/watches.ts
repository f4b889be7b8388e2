/**
 * What watches promise: ordered (offsets of a partition rise), unique, reliable (nothing is missing between where it began and its last
 * position), atomic (all changes of a record together), resumable (after a position comes the next change), positions true, and initial
 * rows and deltas that are the rows as they stood.
 *
 *   began at P ─ events ─ position Q ─ events ─ …      each step is compared with the changes of the log between two places
 */
import { must } from '../../core/assert.ts'
import type { ModelChange } from '../../core/testing/model.ts'
import type { EventSeen, RowSeen, Seen, SeenEntry, WatchCall } from '../history.ts'
import { nameOf } from './evidence.ts'
import type { Checker, Evidence, Violation } from './evidence.ts'
import { latestAsked } from './latest-asked.ts'
import { countWhile, inRange, toSeen } from './truth.ts'
import type { PartitionTruth, Told } from './truth.ts'
import { sameRow, showRow } from './writes.ts'

export const watches: Checker = (evidence: Evidence) => {
  const found: Violation[] = []
  const calledBefore = latestAsked(evidence)
  for (const operation of evidence.operations) {
    const { call } = operation.call
    if (call.kind !== 'watch') continue
    const watch = new WatchChecker(evidence, call, calledBefore)
    for (const entry of operation.seen)
      for (const message of watch.take(entry))
        found.push({
          checker: 'watches',
          message: `${nameOf(operation)}: ${message}`,
          entries: [operation.call.seq, entry.seq],
        })
  }
  return found
}

type Phase = 'initial' | 'delta' | 'live'

/** One partition of one watch. */
interface Place {
  readonly partition: number
  readonly truth: PartitionTruth
  /** Everything up to here is delivered; undefined: it began somewhere that it has not told. */
  reached: number | undefined
  /** Delivered of the record behind `reached`. */
  half: EventSeen[]
  /** Initial rows or a delta. */
  rows: EventSeen[]
}

class WatchChecker {
  readonly #call: WatchCall
  readonly #places: readonly Place[]
  readonly #firstAfter: (partition: number, seq: number) => number
  #phase: Phase
  #started: number | undefined

  constructor({ truth }: Evidence, call: WatchCall, firstAfter: (partition: number, seq: number) => number) {
    this.#call = call
    this.#firstAfter = firstAfter
    this.#phase = call.initialRows ? 'initial' : 'live'
    const chosen = call.partitions ?? [...truth.partitions.keys()]
    this.#places = chosen.map((partition) => ({
      partition,
      truth: truth.of(partition),
      reached: call.resume.find((at) => at.partition === partition)?.offset,
      half: [],
      rows: [],
    }))
  }

  *take({ seq, seen }: SeenEntry): Generator<string> {
    switch (seen.mark) {
      case 'started':
        this.#started ??= seq
        break
      case 'restart':
        for (const place of this.#places) place.rows = []
        this.#phase = 'initial'
        break
      case 'delta-begin':
        if (this.#call.exact) yield 'a delta, though it asked for the exact history'
        for (const place of this.#places) yield* this.#endRecord(place)
        this.#phase = 'delta'
        break
      case 'events':
      case 'progress':
      case 'initial-end':
        break
    }
    for (const event of seen.events) yield* this.#event(event)
    if (seen.mark === 'initial-end') yield* this.#rowsEnd(seen)
    else if (seen.positions !== undefined) yield* this.#positions(seen)
    if (seen.mark !== 'restart') this.#started ??= seq
  }

  *#event(event: EventSeen): Generator<string> {
    const place = this.#places.find(({ partition }) => partition === event.partition)
    const what = `${event.kind} ${JSON.stringify(event.row.key)} v${event.row.version}`
    if (place === undefined || !inRange(event.row.key, this.#call)) {
      yield `${what}, which it does not watch`
      return
    }
    if (this.#phase !== 'live') {
      if (event.time !== 0)
        yield `${what} as a change, inside ${this.#phase === 'delta' ? 'a delta' : 'its initial rows'}`
      place.rows.push(event)
      return
    }
    if (event.time === 0) yield `${what} without a log time, outside of initial rows and deltas`
    const { version } = event.row
    const told = place.truth.record(version)
    const at = `${place.partition}:${version}`
    if (told === undefined) {
      yield `${what}: the log has no record ${at}`
      return
    }
    // A record that follows the one in work completes it.
    const [current] = place.half
    if (current !== undefined && current.row.version !== version) yield* this.#endRecord(place)
    if (place.reached !== undefined && version <= place.reached)
      yield `${what} comes again, or late: ${place.partition}:${place.reached} was delivered before`
    else if (place.half.length === 0) yield* this.#missing(place, version - 1)
    const expected = this.#changesOf(told)[place.half.length]
    place.half.push(event)
    if (expected === undefined) yield `${what}: the record ${at} has no such change`
    else yield* this.#compare(event, expected, told)
  }

  *#compare(event: EventSeen, expected: ModelChange, told: Told): Generator<string> {
    const { kind, row, previous, time } = event
    const what = `${kind} ${JSON.stringify(row.key)} v${row.version}`
    if (kind !== expected.kind || row.key !== expected.key) {
      yield `${what}, the log says ${expected.kind} ${JSON.stringify(expected.key)}`
      return
    }
    if (expected.row !== undefined && !sameRow(row, toSeen(row.key, expected.row)))
      yield `${what}: told ${showRow(row)}, the log says ${showRow(toSeen(row.key, expected.row))}`
    if (time !== told.time) yield `${what}: told log time ${time}, the log says ${told.time}`
    if (previous === undefined) return
    const before = expected.previous === undefined ? null : toSeen(row.key, expected.previous)
    if (!sameRow(previous, before))
      yield `${what}: told that before it was ${showRow(previous)}, the log says ${showRow(before)}`
  }

  #changesOf({ changes }: Told): readonly ModelChange[] {
    return changes.filter(({ key }) => inRange(key, this.#call))
  }

  /** All changes of the record in work have been delivered. */
  *#endRecord(place: Place): Generator<string> {
    const [first] = place.half
    if (first === undefined) return
    const { version } = first.row
    const told = place.truth.record(version)
    const whole = told === undefined ? 0 : this.#changesOf(told).length
    if (place.half.length < whole)
      yield `the record ${place.partition}:${version} was delivered in part, ${place.half.length} of ${whole} changes`
    place.reached = Math.max(place.reached ?? -1, version)
    place.half = []
  }

  /** Nothing of the range lies behind what was delivered, up to and including `to`. */
  *#missing(place: Place, to: number): Generator<string> {
    const { truth, partition } = place
    // Where it began is not told: at the latest, before the first record that was asked for when it stood.
    const from = place.reached ?? this.#beganBefore(partition)
    if (from === undefined) return
    const { changing } = truth
    for (let at = countWhile(changing, ({ offset }) => offset <= from); at < changing.length; at++) {
      const told = must(changing[at], 'a record')
      if (told.offset > to) return
      const change = this.#changesOf(told)[0]
      if (change !== undefined)
        yield `the record ${partition}:${told.offset} (${change.kind} ${JSON.stringify(change.key)}) was left out before ${partition}:${to}`
    }
  }

  #beganBefore(partition: number): number | undefined {
    if (this.#started === undefined) return undefined
    const first = this.#firstAfter(partition, this.#started)
    return first === Infinity ? undefined : first - 1
  }

  *#positions({ positions = [], mark }: Seen): Generator<string> {
    if (this.#phase === 'initial') return
    for (const { partition, offset } of positions) {
      const place = this.#places.find((one) => one.partition === partition)
      if (place === undefined) {
        yield `a position of partition ${partition}, which it does not watch`
        continue
      }
      if (place.rows.length > 0) continue
      // A client that is told change by change gets the place before a record until it has all of it.
      if (offset >= (place.half[0]?.row.version ?? Infinity)) yield* this.#endRecord(place)
      if (place.reached !== undefined && offset < place.reached)
        yield `${mark} says ${partition}:${offset}, ${partition}:${place.reached} was delivered before`
      if (offset > place.truth.last)
        yield `${mark} says ${partition}:${offset}, the log ends at ${place.truth.last}`
      yield* this.#missing(place, offset)
      place.reached = Math.max(offset, place.reached ?? -1)
    }
  }

  /** The rows as they stood at the positions, or the last states of what changed up to them. */
  *#rowsEnd({ positions }: Seen): Generator<string> {
    const wasInitial = this.#phase === 'initial'
    this.#phase = 'live'
    for (const place of this.#places) {
      const { rows, partition } = place
      place.rows = []
      if (positions === undefined) continue
      const offset = positions.find((at) => at.partition === partition)?.offset ?? -1
      const before = place.reached
      if (offset > place.truth.last)
        yield `initial-end says ${partition}:${offset}, the log ends at ${place.truth.last}`
      if (!wasInitial && rows.length === 0 && offset === (before ?? -1)) continue
      const since = wasInitial ? undefined : (before ?? -1)
      yield* this.#compareRows(place, rows, offset, since)
      place.half = []
      place.reached = Math.max(offset, before ?? -1)
    }
  }

  /** @param since - of a delta: what was delivered before it; undefined where all rows are told */
  *#compareRows(
    { truth, partition }: Place,
    rows: readonly EventSeen[],
    offset: number,
    since: number | undefined,
  ): Generator<string> {
    const what = since === undefined ? 'initial rows' : 'the delta'
    const left = this.#standing(truth, offset, since)
    for (const { kind, row } of rows) {
      const expected = left.get(row.key)
      left.delete(row.key)
      const told = `${kind} ${JSON.stringify(row.key)} v${row.version}`
      if (expected === undefined)
        yield `${what} up to ${partition}:${offset} hold ${told}, which is not of them, or twice`
      else if (kind !== expected.kind || row.version !== expected.version)
        yield `${what} up to ${partition}:${offset} hold ${told}, the log says ${expected.kind} v${expected.version}`
      else if (expected.row !== null && !sameRow(row, expected.row))
        yield `${what} up to ${partition}:${offset} hold ${showRow(row)}, the log says ${showRow(expected.row)}`
    }
    for (const [key, { kind, version, isDue }] of left)
      if (!isDue) yield `${what} up to ${partition}:${offset} lack ${kind} ${JSON.stringify(key)} v${version}`
  }

  #standing(
    truth: PartitionTruth,
    offset: number,
    since: number | undefined,
  ): Map<string, { kind: string; version: number; row: RowSeen | null; isDue: boolean }> {
    const states = new Map<string, { kind: string; version: number; row: RowSeen | null; isDue: boolean }>()
    for (const key of truth.keysIn(this.#call)) {
      const version = truth.versions(key)[truth.versionsUpTo(key, offset) - 1]
      if (version === undefined || version.offset <= (since ?? -1)) continue
      // Initial rows are those that stand; a delta tells of those that went as well.
      const isDue = version.row !== undefined && truth.rowAt(key, offset) === undefined
      const { kind, row } = version
      if (since === undefined && (row === undefined || isDue)) continue
      states.set(key, {
        kind,
        version: version.offset,
        row: row === undefined ? null : toSeen(key, row),
        isDue,
      })
    }
    return states
  }
}
