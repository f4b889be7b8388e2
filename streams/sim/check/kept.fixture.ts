/** What may happen, by name, and breaks no promise: each makes good histories of a good one. */
import { barrier } from '../../core/testing/transcript.ts'
import { historyLines, parseHistory } from '../history-codec.ts'
import { isWrite } from '../history.ts'
import type { Answer, Entry, History, Seen } from '../history.ts'
import {
  appended,
  eachAnswer,
  eachCall,
  eachEntry,
  eachResult,
  eachSeen,
  withEntries,
} from './derive.fixture.ts'
import type { Histories } from './derive.fixture.ts'

export interface Liberty {
  readonly name: string
  readonly make: (history: History) => Histories
}

export const LIBERTIES: readonly Liberty[] = [
  {
    name: 'the answer to a write gets lost',
    make: (history) =>
      eachResult(history, (result, { call }) =>
        result.status === 'ok' && isWrite(call)
          ? { status: 'unknown', reason: 'NODE_UNREACHABLE' }
          : undefined,
      ),
  },
  {
    name: 'a call is never answered',
    make: (history) => eachEntry(history, (entry) => (entry.type === 'return' ? [] : undefined)),
  },
  {
    name: 'a read fails',
    make: (history) =>
      eachResult(history, (result, { call }) =>
        result.status === 'ok' && 'consistency' in call
          ? { status: 'failed', reason: 'PARTITION_RESTORING' }
          : undefined,
      ),
  },
  { name: 'answers take longer than the next entry', make: later },
  { name: 'calls begin earlier', make: earlier },
  {
    name: 'a client is not told where a read stands',
    make: (history) =>
      eachAnswer(history, 'rows', (answer): Answer | undefined =>
        answer.shown.length === 0 ? undefined : { ...answer, shown: [] },
      ),
  },
  {
    name: 'a client is not told its request id',
    make: (history) =>
      eachCall(history, (call, entry, { operations }) => {
        if (!('requestId' in call) || call.requestId === undefined) return undefined
        const again = operations.some(
          ({ call: other }) =>
            other !== entry && 'requestId' in other.call && other.call.requestId === call.requestId,
        )
        return again ? undefined : { ...call, requestId: undefined }
      }),
  },
  {
    name: 'a read asks for less',
    make: (history) =>
      eachCall(history, (call) =>
        'consistency' in call && call.consistency !== 'eventual'
          ? { ...call, consistency: 'eventual' }
          : undefined,
      ),
  },
  {
    name: 'a write is not told its outcome',
    make: (history) =>
      eachAnswer(history, 'written', (answer) =>
        answer.outcome?.applied === true ? { ...answer, outcome: undefined, reads: [] } : undefined,
      ),
  },
  {
    name: 'a message of a watch arrives as two',
    make: (history) =>
      eachSeen(history, (seen) => {
        const whole = seen.events.findIndex(
          ({ row }, at) => at > 0 && row.version !== seen.events[at - 1]?.row.version,
        )
        if (whole < 0) return undefined
        const first: Seen = { mark: 'events', events: seen.events.slice(0, whole), positions: undefined }
        return [first, { ...seen, events: seen.events.slice(whole) }]
      }),
  },
  {
    name: 'a message of a watch tells no position',
    make: (history) =>
      eachSeen(history, (seen, { after }) =>
        seen.mark === 'events' && after.length > 0 && seen.positions !== undefined
          ? [{ ...seen, positions: undefined }]
          : undefined,
      ),
  },
  {
    name: 'a mark of progress comes after each message',
    make: (history) =>
      eachSeen(history, (seen) =>
        seen.positions === undefined || seen.positions.length === 0 || seen.mark === 'delta-begin'
          ? undefined
          : [seen, { mark: 'progress', events: [], positions: seen.positions }],
      ),
  },
  { name: 'a watch is cut', make: cut },
  {
    name: 'a write that is never answered does not reach the log',
    make: (history) => [
      withEntries(history, [
        ...history.entries,
        {
          type: 'call',
          seq: 0,
          atMs: 0,
          op: 999,
          client: 'c9',
          node: 'n9',
          call: { kind: 'increment', key: 'b', delta: '1' },
        },
      ]),
    ],
  },
  {
    name: 'the log goes on',
    make: (history) => history.log.map((_, partition) => appended(history, partition, barrier)),
  },
  {
    name: 'two replicas are equal',
    make: (history) => [
      {
        ...history,
        replicas: history.replicas.flatMap((dump) => [
          dump,
          { ...dump, node: 'n9' },
          { ...dump, rows: undefined },
        ]),
      },
    ],
  },
  {
    name: 'a history is written to a file and read again',
    make: (history) => [parseHistory([...historyLines(history)])],
  },
]

/** Where an answer changes places with the entry behind it, which then no longer comes after it. */
function* later(history: History): Histories {
  for (const [at, entry] of history.entries.entries()) {
    const next = history.entries[at + 1]
    if (entry.type !== 'return' || next === undefined || next.type === 'seen') continue
    if (next.type === 'call' && next.client === clientOf(history, entry.op)) continue
    yield withEntries(history, history.entries.with(at, next).with(at + 1, entry))
  }
}

/** A write that is called before what stands before it. */
function* earlier(history: History): Histories {
  for (const [at, entry] of history.entries.entries()) {
    const before = history.entries[at - 1]
    if (entry.type !== 'call' || !isWrite(entry.call) || before?.type !== 'return') continue
    yield withEntries(history, history.entries.with(at, before).with(at - 1, entry))
  }
}

const clientOf = (history: History, op: number): string | undefined =>
  history.entries.flatMap((entry) => (entry.type === 'call' && entry.op === op ? [entry.client] : []))[0]

/** All that a watch delivers from some message on is missing. */
function* cut(history: History): Histories {
  for (const first of history.entries) {
    if (first.type !== 'seen') continue
    const isGone = (entry: Entry): boolean =>
      entry.type === 'seen' && entry.op === first.op && entry.seq >= first.seq
    yield withEntries(
      history,
      history.entries.filter((entry) => !isGone(entry)),
    )
  }
}
