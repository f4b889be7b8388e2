/** A history made ready for the checkers: calls with their answers, the log replayed, and when each record can have come into being. */
import { must } from '../../core/assert.ts'
import { isWrite } from '../history.ts'
import type { Answer, Call, CallEntry, History, OutcomeSeen, ReturnEntry, SeenEntry } from '../history.ts'
import { contentOf, wantedOfForeign } from './asked.ts'
import type { Wanted } from './asked.ts'
import { Truth } from './truth.ts'
import type { Told } from './truth.ts'

/** What is wrong, in a sentence with the values, and the entries (`seq`) that show it. */
export interface Violation {
  readonly checker: string
  readonly message: string
  readonly entries: readonly number[]
}

/** Pure: the same evidence gives the same violations, none where every promise was kept. */
export type Checker = (evidence: Evidence) => readonly Violation[]

export interface Operation {
  readonly call: CallEntry
  /** Undefined: never answered. */
  readonly answered: ReturnEntry | undefined
  /** Messages of a watch. */
  readonly seen: readonly SeenEntry[]
}

export interface Evidence {
  readonly history: History
  readonly truth: Truth
  /** In the order of their calls. */
  readonly operations: readonly Operation[]
  readonly byNumber: ReadonlyMap<number, Operation>
}

export function gather(history: History): Evidence {
  const byNumber = new Map<
    number,
    { readonly call: CallEntry; answered: ReturnEntry | undefined; readonly seen: SeenEntry[] }
  >()
  for (const entry of history.entries) {
    if (entry.type === 'call') byNumber.set(entry.op, { call: entry, answered: undefined, seen: [] })
    else if (entry.type === 'return') must(byNumber.get(entry.op), 'the call of a return').answered = entry
    else if (entry.type === 'seen') must(byNumber.get(entry.op), 'the call of a watch').seen.push(entry)
  }
  const truth = new Truth(history.keyspace, history.log)
  return { history, truth, operations: [...byNumber.values()], byNumber }
}

export const entriesOf = ({ call, answered }: Operation): readonly number[] =>
  answered === undefined ? [call.seq] : [call.seq, answered.seq]

/** The answer, where there is one. */
export const answerOf = ({ answered }: Operation): Answer | undefined =>
  answered?.result.status === 'ok' ? answered.result.answer : undefined

/** `put a (c1, 17)`: what messages call an operation. */
export function nameOf({ call }: Operation): string {
  const { key, partition, kind } = { key: undefined, partition: undefined, ...call.call }
  const what =
    key === undefined ? (partition === undefined ? '' : ` partition ${partition}`) : ` ${show(key)}`
  return `${kind}${what} (${call.client}, entry ${call.seq})`
}

export const show = (text: string | null): string =>
  text === null ? 'nothing' : JSON.stringify(text.slice(0, 60))

// ---- writes and the records that carry them ----

/** A write that was answered with a position: its place in the log. */
export interface Placed {
  readonly operation: Operation
  readonly partition: number
  readonly offset: number
  readonly outcome: OutcomeSeen | undefined
}

export function placeOf(operation: Operation): Placed | undefined {
  const answer = answerOf(operation)
  if (answer?.kind === 'appended')
    return { operation, partition: answer.partition, offset: answer.offset, outcome: undefined }
  if (answer?.kind !== 'written' || answer.offset === undefined) return undefined
  return { operation, partition: answer.partition, offset: answer.offset, outcome: answer.outcome }
}

/** What the call asks the log for; undefined for calls that write nothing. */
export function wantedOfCall(call: Call): readonly Wanted[] | undefined {
  if (isWrite(call)) return [{ requestId: call.requestId, content: contentOf(call) }]
  if (call.kind === 'foreign' || call.kind === 'rubbish') return wantedOfForeign(call)
  return undefined
}

/** Which mutation of the record is the one that the call asks for; −1 = none. */
export function indexIn(told: Told, { requestId, content }: Wanted): number {
  return told.wanted.findIndex(
    (wanted) => wanted.content === content && (requestId === undefined || wanted.requestId === requestId),
  )
}
