/**
 * What can go wrong, by name: each takes a good history and gives one bad one for each place where it fits.
 */
import { draft } from '../../core/testing/records.ts'
import type { History, RowSeen } from '../history.ts'
import { WATCH_FAULTS } from './bad-watches.fixture.ts'
import { fault } from './fault.fixture.ts'
import type { Fault } from './fault.fixture.ts'
import {
  appended,
  eachAnswer,
  eachCall,
  eachDump,
  eachResult,
  eachRow,
  withEntries,
} from './derive.fixture.ts'
import type { Histories } from './derive.fixture.ts'
import { gather, indexIn, placeOf, wantedOfCall } from './evidence.ts'
import type { Evidence, Operation } from './evidence.ts'
import { toSeen } from './truth.ts'

/** Where a client is not told its position, a wrong row fits nowhere: real-time order and sessions say so as well. */
const FITS_NOWHERE = ['linearizable', 'session'] as const

// ---- writes ----

const ofWrites: readonly Fault[] = [
  fault('the version of a write is one too high', ['writes'], [], (history) =>
    eachAnswer(history, 'written', ({ outcome, ...answer }) =>
      outcome?.version === undefined
        ? undefined
        : { ...answer, outcome: { ...outcome, version: outcome.version + 1 } },
    ),
  ),
  fault('the sum of an increment is one too high', ['writes'], [], (history) =>
    eachAnswer(history, 'written', ({ outcome, ...answer }) =>
      outcome?.number === undefined
        ? undefined
        : { ...answer, outcome: { ...outcome, number: String(BigInt(outcome.number) + 1n) } },
    ),
  ),
  fault(
    'a first sending is called a repetition, or the other way round',
    ['writes'],
    ['delivery'],
    (history) =>
      eachAnswer(history, 'written', ({ outcome, ...answer }) =>
        outcome === undefined
          ? undefined
          : { ...answer, outcome: { ...outcome, duplicate: !outcome.duplicate } },
      ),
  ),
  fault('a rejected write is called applied', ['writes'], [], (history) =>
    eachAnswer(history, 'written', ({ outcome, ...answer }) =>
      outcome === undefined || outcome.applied
        ? undefined
        : { ...answer, outcome: { applied: true, version: answer.offset, duplicate: false } },
    ),
  ),
  fault('an applied write is called rejected', ['writes'], ['delivery'], (history) =>
    eachAnswer(history, 'written', ({ outcome, ...answer }) =>
      outcome?.applied !== true
        ? undefined
        : { ...answer, outcome: { applied: false, reason: 'VERSION_MISMATCH', duplicate: false } },
    ),
  ),
  fault('a transaction is said to have taken the other branch', ['writes'], [], (history) =>
    eachAnswer(history, 'written', ({ outcome, ...answer }) =>
      outcome?.succeeded === undefined
        ? undefined
        : { ...answer, outcome: { ...outcome, succeeded: !outcome.succeeded } },
    ),
  ),
  fault('a transaction reads a row that did not stand', ['writes'], [], function* (history) {
    for (const at of [0, 1, 2])
      yield* eachAnswer(history, 'written', (answer) => {
        const row = answer.reads[at]
        if (row === undefined) return undefined
        return { ...answer, reads: answer.reads.with(at, row === null ? ghost('n', 0) : null) }
      })
  }),
  fault('an ack names a place behind the end of the log', ['delivery'], FITS_NOWHERE, (history) =>
    eachAnswer(history, 'written', (answer, { evidence: { truth } }) => ({
      ...answer,
      offset: truth.of(answer.partition).last + 1,
    })),
  ),
  fault('an ack names the place of another record', ['delivery'], FITS_NOWHERE, (history) =>
    eachAnswer(history, 'written', (answer, { call, evidence: { truth } }) => {
      const wanted = wantedOfCall(call) ?? []
      const other = truth
        .of(answer.partition)
        .records.find((told) => wanted.every((one) => indexIn(told, one) < 0))
      return other === undefined ? undefined : { ...answer, offset: other.offset }
    }),
  ),
  fault('an applied write is said to have failed', ['delivery'], [], (history) =>
    eachResult(history, (result, { operation, evidence }) => {
      const isApplied =
        result.status === 'ok' && result.answer.kind === 'written' && result.answer.outcome?.applied
      return isApplied === true && isAlone(operation, evidence)
        ? { status: 'failed', reason: 'OVERLOADED' }
        : undefined
    }),
  ),
  fault('a row gets another value than its writer sent', ['delivery'], [], (history) =>
    eachCall(history, (call, _, evidence) =>
      call.kind === 'put' &&
      evidence.operations.some(
        ({ call: entry, answered }) => entry.call === call && answered?.result.status === 'ok',
      )
        ? { ...call, value: `${call.value}~` }
        : undefined,
    ),
  ),
  fault('a record is applied a second time, without its request id', ['delivery'], [], function* (history) {
    for (const [partition, records] of history.log.entries())
      for (const { key, value, headers } of records)
        if (
          (headers.get('tm-op') ?? Buffer.from('increment')).toString() === 'increment' &&
          !headers.has('tm-if-version')
        )
          yield appended(history, partition, {
            key,
            value,
            headers: new Map([...headers].filter(([name]) => name !== 'tm-request-id')),
          })
  }),
  fault('the log holds what nobody wrote', ['delivery'], [], (history) =>
    history.log.map((_, partition) =>
      appended(history, partition, draft(partition === 0 ? 'b' : 'd', 'stranger')),
    ),
  ),
  fault(
    'the end of the log is lost, with a write that was acknowledged',
    ['delivery'],
    ['writes', 'values', 'linearizable', 'session', 'looking-back', 'watches', 'expiry', 'replicas'],
    function* (history) {
      const { operations } = gather(history)
      for (const [partition, records] of history.log.entries()) {
        const last = records.at(-1)?.offset ?? -1
        if (operations.some((one) => placeOf(one)?.partition === partition && placeOf(one)?.offset === last))
          yield { ...history, log: history.log.with(partition, records.slice(0, -1)) }
      }
    },
  ),
]

/** No other call asks for the same. */
function isAlone({ call }: Operation, { operations }: Evidence): boolean {
  const wanted = new Set((wantedOfCall(call.call) ?? []).map(({ content }) => content))
  const others = operations
    .filter((other) => other.call !== call)
    .flatMap((other) => wantedOfCall(other.call.call) ?? [])
  return others.every(({ content }) => !wanted.has(content))
}

const ghost = (key: string, version: number): RowSeen => ({
  key,
  value: 'ghost',
  version,
  expiresAt: 0,
  contentType: '',
})

// ---- reads ----

const ofReads: readonly Fault[] = [
  fault('a read shows another value', ['values'], FITS_NOWHERE, (history) =>
    eachRow(history, false, (row) => (row === null ? undefined : { ...row, value: `${row.value}~` })),
  ),
  fault('a read shows a version one too high', ['values'], FITS_NOWHERE, (history) =>
    eachRow(history, false, (row) => (row === null ? undefined : { ...row, version: row.version + 1 })),
  ),
  fault('a read shows another content type', ['values'], FITS_NOWHERE, (history) =>
    eachRow(history, false, (row) => (row === null ? undefined : { ...row, contentType: 'image/png' })),
  ),
  fault('a read misses a row', ['values'], ['expiry'], (history) =>
    eachRow(history, true, (row, _, { call }) => (row === null || call.kind === 'scan' ? undefined : null)),
  ),
  fault('a read shows a row that is gone', ['values'], [...FITS_NOWHERE, 'expiry'], (history) =>
    eachRow(history, false, (row, key) => (row === null ? ghost(key, 0) : undefined)),
  ),
  fault('a read shows the row of another key', ['values'], FITS_NOWHERE, (history) =>
    eachRow(history, true, (row, _, { call }) =>
      row === null || call.kind === 'scan' ? undefined : { ...row, key: 'other' },
    ),
  ),
  fault(
    'a read claims a place behind the end of the log',
    ['values'],
    ['linearizable', 'expiry', 'session'],
    (history) =>
      eachAnswer(history, 'rows', (answer, { call, evidence: { truth } }) =>
        answer.shown.length === 0 || (call.kind === 'get' && call.at !== undefined)
          ? undefined
          : {
              ...answer,
              shown: answer.shown.map(({ partition }) => ({
                partition,
                applied: truth.of(partition).last + 5,
              })),
            },
      ),
  ),
  fault('a linearizable read shows the beginning', ['linearizable'], ['session'], (history) =>
    toTheBeginning(history, 'linearizable'),
  ),
  fault('a session reads what was before it', ['session'], [], (history) =>
    toTheBeginning(history, 'session'),
  ),
  fault('a read ends before the write that it shows is called', ['linearizable'], ['session'], fromTheFuture),
  fault('a scan leaves a row out', ['values'], ['expiry'], (history) =>
    eachAnswer(history, 'rows', (answer, { call }) =>
      call.kind === 'scan' && answer.shown.length > 0 && answer.rows.length > 0
        ? { ...answer, rows: answer.rows.slice(1) }
        : undefined,
    ),
  ),
  fault('a scan gives a row twice', ['values'], [], (history) =>
    eachAnswer(history, 'rows', (answer, { call }) =>
      call.kind === 'scan' && answer.rows.length > 0
        ? { ...answer, rows: [answer.rows[0] ?? null, ...answer.rows] }
        : undefined,
    ),
  ),
  fault('a scan gives rows in another order', ['values'], [], (history) =>
    eachAnswer(history, 'rows', (answer, { call }) =>
      call.kind === 'scan' && answer.rows.length > 1 && call.limit === undefined
        ? { ...answer, rows: answer.rows.toReversed() }
        : undefined,
    ),
  ),
  fault('a scan gives more than its limit', ['values'], [], (history) =>
    eachCall(history, (call) =>
      call.kind === 'scan' && call.limit !== undefined ? { ...call, limit: call.limit - 1 } : undefined,
    ),
  ),
  fault('a scan gives a key outside of its range', ['values'], [], (history) =>
    eachCall(history, (call) =>
      call.kind === 'scan' && call.start === '' ? { ...call, start: 'e' } : undefined,
    ),
  ),
  fault('a row is shown after it expired', ['values', 'expiry'], [], (history) =>
    eachRow(history, true, (row, key, { call, operation, evidence: { truth } }) => {
      const answer = operation.answered?.result
      if (row !== null || answer?.status !== 'ok' || answer.answer.kind !== 'rows' || call.kind === 'scan')
        return undefined
      const applied = answer.answer.shown[0]?.applied ?? -1
      const partition = truth.of(truth.partitionOf(key))
      const written = partition
        .versions(key)
        .findLast((version) => version.row !== undefined && version.offset <= applied)
      return written?.row === undefined || written.row.expiresAt === 0 ? undefined : toSeen(key, written.row)
    }),
  ),
  fault('a row is gone before it expires', ['values', 'expiry'], [], (history) =>
    eachRow(history, true, (row, _, { call }) =>
      row === null || row.expiresAt === 0 || call.kind === 'scan' ? undefined : null,
    ),
  ),
  fault('a row expires a millisecond too late', ['values', 'expiry'], [], (history) =>
    eachRow(history, true, (row) =>
      row === null || row.expiresAt === 0 ? undefined : { ...row, expiresAt: row.expiresAt + 1 },
    ),
  ),
]

/** Reads that are told their position, and show −1 and nothing instead, where something was acknowledged to their session or to all before. */
function toTheBeginning(history: History, consistency: 'linearizable' | 'session'): Histories {
  return eachAnswer(history, 'rows', (answer, { call, operation, evidence }) => {
    if (!('consistency' in call) || call.consistency !== consistency || answer.shown.length === 0)
      return undefined
    if (call.kind === 'get' && call.at !== undefined) return undefined
    const { seq, client } = operation.call
    const isBefore = (other: Operation): boolean => (other.answered?.seq ?? Infinity) < seq
    const acknowledged = evidence.operations.filter(
      (other) =>
        isBefore(other) &&
        answer.shown.some(({ partition }) => partition === placeOf(other)?.partition) &&
        (consistency === 'linearizable' || other.call.client === client),
    )
    const hasToken = consistency === 'session' && call.token !== 'own' && call.token.length > 0
    if (acknowledged.length === 0 && !hasToken) return undefined
    return {
      ...answer,
      rows: call.kind === 'scan' ? [] : answer.rows.map(() => null),
      shown: answer.shown.map(({ partition }) => ({ partition, applied: -1 })),
    }
  })
}

/** Moves a read before the call of the last write that it shows. */
function* fromTheFuture(history: History): Histories {
  const { operations } = gather(history)
  for (const read of operations) {
    const answer = read.answered?.result.status === 'ok' ? read.answered.result.answer : undefined
    if (answer?.kind !== 'rows' || answer.shown.length !== 1) continue
    const [{ partition, applied = -1 } = { partition: -1 }] = answer.shown
    const write = operations.find((other) => {
      const placed = placeOf(other)
      const isSeen =
        placed?.partition === partition && placed.offset === applied && placed.outcome?.duplicate !== true
      return isSeen && other.call.seq < read.call.seq && isOnly(other, operations)
    })
    if (write === undefined) continue
    const rest = history.entries.filter((entry) => entry.type === 'fault' || entry.op !== read.call.op)
    const at = rest.findIndex((entry) => entry === write.call)
    const moved = history.entries.filter((entry) => entry.type !== 'fault' && entry.op === read.call.op)
    yield withEntries(history, rest.toSpliced(at, 0, ...moved))
  }
}

const isOnly = ({ call }: Operation, operations: readonly Operation[]): boolean => {
  const [wanted] = wantedOfCall(call.call) ?? []
  const { requestId } = wanted ?? { requestId: undefined }
  const same = operations.filter((other) =>
    (wantedOfCall(other.call.call) ?? []).some((one) => one.requestId === requestId),
  )
  return requestId === undefined || same.length === 1
}

// ---- replicas, and what was asked of the past ----

const ofReplicas: readonly Fault[] = [
  fault('two replicas have another hash at one offset', ['replicas'], [], (history) =>
    eachDump(history, (dump) => [dump, { ...dump, node: 'n9', chain: 'differs' }]),
  ),
  fault('a replica has another value', ['replicas'], [], (history) =>
    eachDump(history, ({ rows = [], ...dump }) => {
      const [row] = rows
      return row === undefined ? undefined : [{ ...dump, rows: rows.with(0, { ...row, value: 'ghost' }) }]
    }),
  ),
  fault('a replica has a row of another version', ['replicas'], [], (history) =>
    eachDump(history, ({ rows = [], ...dump }) => {
      const row = rows.at(-1)
      return row === undefined
        ? undefined
        : [{ ...dump, rows: rows.with(-1, { ...row, version: row.version + 1 }) }]
    }),
  ),
  fault('a replica lacks a row', ['replicas'], [], (history) =>
    eachDump(history, ({ rows = [], ...dump }) =>
      rows.length === 0 ? undefined : [{ ...dump, rows: rows.slice(1) }],
    ),
  ),
  fault('a replica has a row that is gone', ['replicas'], [], (history) =>
    eachDump(history, ({ rows = [], ...dump }) => [{ ...dump, rows: [...rows, ghost('\u{ff}\u{ff}', 0)] }]),
  ),
  fault('a replica has its rows in another order', ['replicas'], [], (history) =>
    eachDump(history, ({ rows = [], ...dump }) =>
      rows.length < 2 ? undefined : [{ ...dump, rows: rows.toReversed() }],
    ),
  ),
  fault('a replica has applied more than the log has', ['replicas'], [], (history) =>
    eachDump(history, (dump, { truth }) => [{ ...dump, next: truth.of(dump.partition).last + 2 }]),
  ),
]

const ofThePast: readonly Fault[] = [
  fault('a history lacks its newest version', ['looking-back'], [], (history) =>
    eachAnswer(history, 'versions', (answer) => ({ ...answer, versions: answer.versions.slice(1) })),
  ),
  fault('a history that is called complete lacks its oldest version', ['looking-back'], [], (history) =>
    eachAnswer(history, 'versions', (answer) => ({ ...answer, versions: answer.versions.slice(0, -1) })),
  ),
  fault('a history has another value', ['looking-back'], [], (history) =>
    eachAnswer(history, 'versions', ({ versions, ...answer }) => {
      const last = versions.at(-1)
      return last === undefined
        ? undefined
        : { ...answer, versions: versions.with(-1, { ...last, row: { ...last.row, value: 'ghost' } }) }
    }),
  ),
  fault('a history has another log time', ['looking-back'], [], (history) =>
    eachAnswer(history, 'versions', ({ versions, ...answer }) => ({
      ...answer,
      versions: versions.map((version) => ({ ...version, time: version.time + 1 })),
    })),
  ),
  fault('a history is told from the oldest version', ['looking-back'], [], (history) =>
    eachAnswer(history, 'versions', ({ versions, ...answer }) =>
      versions.length < 2 ? undefined : { ...answer, versions: versions.toReversed() },
    ),
  ),
  fault('an outcome has another version', ['looking-back'], [], (history) =>
    eachAnswer(history, 'outcomes', ({ outcomes, ...answer }) => ({
      ...answer,
      outcomes: outcomes.map((outcome) => ({ ...outcome, version: (outcome.version ?? 0) + 1 })),
    })),
  ),
  fault('an outcome is told the other way round', ['looking-back'], [], (history) =>
    eachAnswer(history, 'outcomes', ({ outcomes, ...answer }) => ({
      ...answer,
      outcomes: outcomes.map((outcome) => ({ ...outcome, applied: !outcome.applied })),
    })),
  ),
  fault('a record has one outcome more than mutations', ['looking-back'], [], (history) =>
    eachAnswer(history, 'outcomes', ({ outcomes, ...answer }) => ({
      ...answer,
      outcomes: [...outcomes, ...outcomes],
    })),
  ),
  fault('an outcome has another log time', ['looking-back'], [], (history) =>
    eachAnswer(history, 'outcomes', (answer) => ({ ...answer, time: answer.time + 1 })),
  ),
  fault('a foreign producer is told another place', ['delivery'], ['linearizable', 'session'], (history) =>
    eachAnswer(history, 'appended', (answer, { evidence: { truth } }) => ({
      ...answer,
      offset: truth.of(answer.partition).last + 1,
    })),
  ),
]

export const FAULTS: readonly Fault[] = [
  ...ofWrites,
  ...ofReads,
  ...WATCH_FAULTS,
  ...ofReplicas,
  ...ofThePast,
]
