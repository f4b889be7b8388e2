/** What can go wrong with watches: bad.fixture.ts has the rest. */
import type { EventSeen } from '../history.ts'
import { eachCall, eachEvent, eachSeen, withEntries } from './derive.fixture.ts'
import type { SeenPlace } from './derive.fixture.ts'
import { fault } from './fault.fixture.ts'
import type { Fault } from './fault.fixture.ts'

const isVoided = ({ after }: SeenPlace): boolean => after.some(({ mark }) => mark === 'restart')
const goesOn = ({ after }: SeenPlace): boolean =>
  after.some(({ events, positions = [] }) => events.length + positions.length > 0)
const isLive = ({ time }: EventSeen): boolean => time !== 0

export const WATCH_FAULTS: readonly Fault[] = [
  fault('a message of a watch is lost', ['watches'], [], (history) =>
    eachSeen(history, ({ events }, place) =>
      events.length > 0 && goesOn(place) && !isVoided(place) ? [] : undefined,
    ),
  ),
  fault('a message of a watch comes twice', ['watches'], [], (history) =>
    eachSeen(history, (seen, place) =>
      seen.events.length > 0 && !isVoided(place) ? [seen, seen] : undefined,
    ),
  ),
  fault('an event comes twice', ['watches'], [], (history) =>
    eachEvent(history, (event, place) => (isVoided(place) ? undefined : [event, event])),
  ),
  fault('one change of a record is left out', ['watches'], [], (history) =>
    eachEvent(history, (event, place) => (isLive(event) && goesOn(place) ? [] : undefined)),
  ),
  fault('two events change places', ['watches'], [], (history) =>
    eachSeen(history, (seen) =>
      seen.events.length > 1 && seen.events.every(isLive)
        ? [{ ...seen, events: seen.events.toReversed() }]
        : undefined,
    ),
  ),
  fault('two messages change places', ['watches'], [], function* (history) {
    for (const [at, first] of history.entries.entries()) {
      const next = history.entries.findIndex((entry, later) => later > at && entry.type === 'seen')
      const second = history.entries[next]
      if (first.type !== 'seen' || second?.type !== 'seen' || first.op !== second.op) continue
      const all = [first.seen.events, second.seen.events]
      if (all.some((events) => events.length === 0 || !events.every(isLive))) continue
      yield withEntries(history, history.entries.with(at, second).with(next, first))
    }
  }),
  fault('an event has another value', ['watches'], [], (history) =>
    eachEvent(history, (event, place) =>
      event.kind === 'put' && !isVoided(place)
        ? [{ ...event, row: { ...event.row, value: `${event.row.value}~` } }]
        : undefined,
    ),
  ),
  fault('an event has the version of the record before', ['watches'], ['expiry'], (history) =>
    eachEvent(history, (event, place) =>
      isVoided(place) ? undefined : [{ ...event, row: { ...event.row, version: event.row.version - 1 } }],
    ),
  ),
  fault('an event has another log time', ['watches'], [], (history) =>
    eachEvent(history, (event) => (isLive(event) ? [{ ...event, time: event.time + 1 }] : undefined)),
  ),
  fault('an event comes as if it were an initial row', ['watches'], [], (history) =>
    eachEvent(history, (event) =>
      isLive(event) && event.kind === 'put' ? [{ ...event, time: 0 }] : undefined,
    ),
  ),
  fault('a put is told as a deletion', ['watches'], ['expiry'], (history) =>
    eachEvent(history, (event, place) =>
      event.kind === 'put' && !isVoided(place)
        ? [{ ...event, kind: 'deleted', row: { ...event.row, value: '' } }]
        : undefined,
    ),
  ),
  fault('an expiry is told as a deletion', ['watches', 'expiry'], [], (history) =>
    eachEvent(history, (event) => (event.kind === 'expired' ? [{ ...event, kind: 'deleted' }] : undefined)),
  ),
  fault('a deletion is told as an expiry', ['watches', 'expiry'], [], (history) =>
    eachEvent(history, (event) =>
      event.kind === 'deleted' && isLive(event) ? [{ ...event, kind: 'expired' }] : undefined,
    ),
  ),
  fault('an event has another expiry', ['watches', 'expiry'], [], (history) =>
    eachEvent(history, (event) =>
      event.kind === 'put' && isLive(event)
        ? [{ ...event, row: { ...event.row, expiresAt: event.row.expiresAt + 1 } }]
        : undefined,
    ),
  ),
  fault('an event has another row before it', ['watches'], [], (history) =>
    eachEvent(history, (event) =>
      event.previous === undefined || event.previous === null
        ? undefined
        : [{ ...event, previous: { ...event.previous, value: 'ghost' } }],
    ),
  ),
  fault('an event is of a key that nobody wrote', ['watches'], [], (history) =>
    eachEvent(history, (event, place) =>
      event.kind === 'put' && !isVoided(place)
        ? [event, { ...event, row: { ...event.row, key: `${event.row.key}~` } }]
        : undefined,
    ),
  ),
  fault('the last position lies behind the end of the log', ['watches'], [], (history) =>
    eachSeen(history, (seen, { after, evidence: { truth } }) =>
      after.length > 0 || seen.positions === undefined || seen.positions.length === 0
        ? undefined
        : [
            {
              ...seen,
              positions: seen.positions.map(({ partition }) => ({
                partition,
                offset: truth.of(partition).last + 1,
              })),
            },
          ],
    ),
  ),
  fault('a position lies one behind what was delivered', ['watches'], [], (history) =>
    eachSeen(history, (seen, { after, operation, evidence: { truth } }) => {
      const next = after.flatMap(({ events }) => events).find(isLive)
      const at = seen.positions?.findIndex(({ partition }) => partition === next?.partition) ?? -1
      if (next === undefined || at < 0 || operation.call.call.kind !== 'watch') return undefined
      if (next.row.version > truth.of(next.partition).last) return undefined
      return [
        {
          ...seen,
          positions: seen.positions?.with(at, { partition: next.partition, offset: next.row.version }),
        },
      ]
    }),
  ),
  fault('a mark of progress goes back', ['watches'], [], (history) =>
    eachSeen(history, (seen, { before }) => {
      const [first] = seen.positions ?? []
      const was = before.at(-1)?.positions?.find(({ partition }) => partition === first?.partition)
      if (seen.mark !== 'progress' || first === undefined || was?.offset !== first.offset) return undefined
      return [{ ...seen, positions: [{ ...first, offset: first.offset - 1 }] }]
    }),
  ),
  fault('a watch goes on one record before where it should', ['watches'], [], (history) =>
    eachCall(history, (call, { op }, { truth, byNumber }) => {
      if (call.kind !== 'watch' || call.resume.length === 0 || byNumber.get(op)?.seen.length === 0)
        return undefined
      const [{ partition, offset } = { partition: 0, offset: -1 }] = call.resume
      const changes = truth.of(partition).record(offset)?.changes ?? []
      return changes.length === 0 ? undefined : { ...call, resume: [{ partition, offset: offset - 1 }] }
    }),
  ),
  fault('a watch goes on one record behind where it should', ['watches'], [], (history) =>
    eachCall(history, (call, { op }, { byNumber }) => {
      const event = (byNumber.get(op)?.seen ?? []).flatMap(({ seen }) => seen.events)[0]
      if (call.kind !== 'watch' || call.resume.length === 0 || event === undefined || !isLive(event))
        return undefined
      return { ...call, resume: [{ partition: event.partition, offset: event.row.version }] }
    }),
  ),
  fault('a watch tells of keys outside of its range', ['watches'], [], (history) =>
    eachCall(history, (call, { op }, { byNumber }) => {
      const events = (byNumber.get(op)?.seen ?? []).flatMap(({ seen }) => seen.events)
      return call.kind === 'watch' && events.length > 0 ? { ...call, start: 'x', end: 'y' } : undefined
    }),
  ),
  fault('a delta, though the exact history was asked for', ['watches'], [], (history) =>
    eachCall(history, (call, { op }, { byNumber }) =>
      call.kind === 'watch' && byNumber.get(op)?.seen.some(({ seen }) => seen.mark === 'delta-begin') === true
        ? { ...call, exact: true }
        : undefined,
    ),
  ),
  fault('a change among initial rows', ['watches'], [], (history) =>
    eachEvent(history, (event, place) =>
      isLive(event) || isVoided(place) ? undefined : [{ ...event, time: 5 }],
    ),
  ),
]
