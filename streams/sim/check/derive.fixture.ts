/** New histories made from one: each function gives one for each place where the change can be made. */
import type { LogRecord, LogTime, NewRecord, Offset } from '../../core/types.ts'
import type {
  Answer,
  Call,
  CallEntry,
  Entry,
  EventSeen,
  History,
  ReplicaDump,
  Result,
  RowSeen,
  Seen,
} from '../history.ts'
import { gather } from './evidence.ts'
import type { Evidence, Operation } from './evidence.ts'

export type Histories = Iterable<History>

export const renumbered = (entries: readonly Entry[]): readonly Entry[] =>
  entries.map((entry, seq) => ({ ...entry, seq }))

export const withEntries = (history: History, entries: readonly Entry[]): History => ({
  ...history,
  entries: renumbered(entries),
})

/** @param change - the entries that stand there instead; undefined = this is no place */
export function* eachEntry(
  history: History,
  change: (entry: Entry, evidence: Evidence) => readonly Entry[] | undefined,
): Histories {
  const evidence = gather(history)
  for (const [at, entry] of history.entries.entries()) {
    const changed = change(entry, evidence)
    if (changed !== undefined) yield withEntries(history, history.entries.toSpliced(at, 1, ...changed))
  }
}

export interface Place {
  readonly call: Call
  readonly operation: Operation
  readonly evidence: Evidence
}

export function eachResult(
  history: History,
  change: (result: Result, place: Place) => Result | undefined,
): Histories {
  return eachEntry(history, (entry, evidence) => {
    if (entry.type !== 'return') return undefined
    const operation = evidence.byNumber.get(entry.op)
    if (operation === undefined) return undefined
    const result = change(entry.result, { call: operation.call.call, operation, evidence })
    return result === undefined ? undefined : [{ ...entry, result }]
  })
}

export function eachAnswer<K extends Answer['kind']>(
  history: History,
  kind: K,
  change: (answer: Extract<Answer, { readonly kind: K }>, place: Place) => Answer | undefined,
): Histories {
  return eachResult(history, (result, place) => {
    if (result.status !== 'ok' || !isKind(result.answer, kind)) return undefined
    const answer = change(result.answer, place)
    return answer === undefined ? undefined : { status: 'ok', answer }
  })
}

const isKind = <K extends Answer['kind']>(
  answer: Answer,
  kind: K,
): answer is Extract<Answer, { readonly kind: K }> => answer.kind === kind

export function eachCall(
  history: History,
  change: (call: Call, entry: CallEntry, evidence: Evidence) => Call | undefined,
): Histories {
  return eachEntry(history, (entry, evidence) => {
    if (entry.type !== 'call') return undefined
    const call = change(entry.call, entry, evidence)
    return call === undefined ? undefined : [{ ...entry, call }]
  })
}

/** Every row of every read. @param told - only where the position is known */
export function* eachRow(
  history: History,
  told: boolean,
  change: (row: RowSeen | null, key: string, place: Place) => RowSeen | null | undefined,
): Histories {
  const most = Math.max(0, ...[...gather(history).operations].map((operation) => rowsOf(operation).length))
  for (let at = 0; at < most; at++)
    yield* eachAnswer(history, 'rows', (answer, place) => {
      if (at >= answer.rows.length || (told && answer.shown.length === 0)) return undefined
      const row = answer.rows[at] ?? null
      const key =
        place.call.kind === 'getMany'
          ? place.call.keys[at]
          : place.call.kind === 'get'
            ? place.call.key
            : row?.key
      const changed = change(row, key ?? '', place)
      return changed === undefined ? undefined : { ...answer, rows: answer.rows.with(at, changed) }
    })
}

const rowsOf = ({ answered }: Operation): readonly (RowSeen | null)[] =>
  answered?.result.status === 'ok' && answered.result.answer.kind === 'rows'
    ? answered.result.answer.rows
    : []

/** A message of a watch, with those before and after it. */
export interface SeenPlace {
  readonly before: readonly Seen[]
  readonly after: readonly Seen[]
  readonly operation: Operation
  readonly evidence: Evidence
}

export function eachSeen(
  history: History,
  change: (seen: Seen, place: SeenPlace) => readonly Seen[] | undefined,
): Histories {
  return eachEntry(history, (entry, evidence) => {
    if (entry.type !== 'seen') return undefined
    const operation = evidence.byNumber.get(entry.op)
    if (operation === undefined) return undefined
    const before = operation.seen.filter(({ seq }) => seq < entry.seq).map(({ seen }) => seen)
    const after = operation.seen.filter(({ seq }) => seq > entry.seq).map(({ seen }) => seen)
    return change(entry.seen, { before, after, operation, evidence })?.map((seen) => ({ ...entry, seen }))
  })
}

/** Every event of every watch. */
export function* eachEvent(
  history: History,
  change: (event: EventSeen, place: SeenPlace) => readonly EventSeen[] | undefined,
): Histories {
  const most = Math.max(
    0,
    ...history.entries.map((entry) => (entry.type === 'seen' ? entry.seen.events.length : 0)),
  )
  for (let at = 0; at < most; at++)
    yield* eachSeen(history, (seen, place) => {
      const event = seen.events[at]
      const changed = event === undefined ? undefined : change(event, place)
      return changed === undefined
        ? undefined
        : [{ ...seen, events: seen.events.toSpliced(at, 1, ...changed) }]
    })
}

export function* eachDump(
  history: History,
  change: (dump: ReplicaDump, evidence: Evidence) => readonly ReplicaDump[] | undefined,
): Histories {
  const evidence = gather(history)
  for (const [at, dump] of history.replicas.entries()) {
    const changed = change(dump, evidence)
    if (changed !== undefined) yield { ...history, replicas: history.replicas.toSpliced(at, 1, ...changed) }
  }
}

/** Behind the last record of its partition, at the same time. */
export function appended(history: History, partition: number, record: NewRecord): History {
  const records = history.log[partition] ?? []
  const last = records.at(-1)
  const added: LogRecord = {
    ...record,
    offset: ((last?.offset ?? -1) + 1) as Offset,
    time: (last?.time ?? 0) as LogTime,
  }
  return { ...history, log: history.log.with(partition, [...records, added]) }
}
