/**
 * Nothing acknowledged is lost, nothing is applied twice, nothing that was refused is there, and nothing is there that nobody asked for. It
 * goes by position, by request id, and by content (so that calls whose request id is not known count as well): all writers of the
 * keyspace must be in the history.
 */
import { bytesToText } from '../../core/bytes.ts'
import type { LogRecord } from '../../core/types.ts'
import type { ForeignCall } from '../history.ts'
import type { Operation } from './evidence.ts'
import { answerOf, entriesOf, indexIn, nameOf, placeOf, wantedOfCall } from './evidence.ts'
import type { Checker, Evidence, Violation } from './evidence.ts'
import type { Wanted } from './asked.ts'

export const delivery: Checker = (evidence: Evidence) => [
  ...lost(evidence),
  ...refusedYetApplied(evidence),
  ...moreThanAsked(evidence),
]

const violation = (message: string, operations: readonly Operation[]): Violation => ({
  checker: 'delivery',
  message,
  entries: operations.flatMap(entriesOf).slice(0, 12),
})

/** The record stands where its writer was told, and is what it asked for. */
function* lost({ history, truth, operations }: Evidence): Generator<Violation> {
  for (const operation of operations) {
    const placed = placeOf(operation)
    if (placed === undefined) continue
    const { partition, offset } = placed
    const { call } = operation.call
    const told = truth.of(partition).record(offset)
    if (told === undefined) {
      const last = truth.of(partition).last
      yield violation(
        `${nameOf(operation)} was acknowledged at ${partition}:${offset}, where the log (last offset ${last}) has no record: it is lost`,
        [operation],
      )
    } else if (
      call.kind === 'foreign' || call.kind === 'rubbish'
        ? !isRecord(call, history.log[partition]?.[truth.of(partition).indexAt(offset)])
        : (wantedOfCall(call) ?? []).some((one) => indexIn(told, one) < 0)
    )
      yield violation(
        `${nameOf(operation)} was acknowledged at ${partition}:${offset}, where another record stands: it is lost`,
        [operation],
      )
  }
}

/** Byte for byte. */
function isRecord({ key, value, headers }: ForeignCall, record: LogRecord | undefined): boolean {
  if (record === undefined) return false
  const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : bytesToText(bytes))
  const names = Object.keys(headers)
  return (
    text(record.key) === key &&
    text(record.value) === value &&
    record.headers.size === names.length &&
    names.every((name) => text(record.headers.get(name) ?? null) === headers[name])
  )
}

/** What was applied, by request id and by content. */
interface Applied {
  readonly partition: number
  readonly offset: number
  readonly wanted: Wanted
}

function* appliedOf({ truth }: Evidence): Generator<Applied> {
  for (const [partition, { records }] of truth.partitions.entries())
    for (const { offset, wanted, outcomes } of records) {
      if (outcomes.length !== wanted.length) continue
      for (const [at, outcome] of outcomes.entries()) {
        const one = wanted[at]
        if (one !== undefined && outcome.status === 'applied' && !outcome.duplicate)
          yield { partition, offset, wanted: one }
      }
    }
}

function* refusedYetApplied(evidence: Evidence): Generator<Violation> {
  const applied = new Map<string, Applied>()
  for (const one of appliedOf(evidence)) {
    const { requestId } = one.wanted
    if (requestId === undefined) continue
    // A session that was forgotten begins anew; within one run none is old enough.
    const before = applied.get(`${one.partition} ${requestId}`)
    if (before !== undefined)
      yield violation(
        `request ${requestId} was applied twice, at ${one.partition}:${before.offset} and at ${one.partition}:${one.offset}`,
        [],
      )
    applied.set(`${one.partition} ${requestId}`, one)
  }
  const asked = byRequestId(evidence.operations)
  const first = new Map<string, Operation>()
  for (const operation of evidence.operations) {
    const { call, answered } = operation
    const requestId = 'requestId' in call.call ? call.call.requestId : undefined
    if (requestId === undefined) continue
    const found = evidence.truth.partitions
      .map((_, partition) => applied.get(`${partition} ${requestId}`))
      .find((one) => one !== undefined)
    if (
      answered?.result.status === 'failed' &&
      found !== undefined &&
      (asked.get(requestId) ?? []).length === 1
    )
      yield violation(
        `${nameOf(operation)} failed with ${answered.result.reason}, yet it was applied at ${found.partition}:${found.offset}`,
        [operation],
      )
    const answer = answerOf(operation)
    if (answer?.kind !== 'written' || answer.outcome?.applied !== true || answer.outcome.duplicate) continue
    const before = first.get(requestId)
    const position = placeOf(before ?? operation)
    if (before !== undefined && position?.offset !== answer.offset)
      yield violation(
        `${nameOf(operation)} and ${nameOf(before)} are one request, and both were told that they were the first`,
        [before, operation],
      )
    first.set(requestId, operation)
  }
}

function byRequestId(operations: readonly Operation[]): ReadonlyMap<string, readonly Operation[]> {
  const found = new Map<string, Operation[]>()
  for (const operation of operations) {
    for (const { requestId } of wantedOfCall(operation.call.call) ?? []) {
      if (requestId === undefined) continue
      const known = found.get(requestId)
      if (known === undefined) found.set(requestId, [operation])
      else known.push(operation)
    }
  }
  return found
}

/** How often each content was applied, and how often it can have been at most. Sendings with one request id count once. */
function* moreThanAsked(evidence: Evidence): Generator<Violation> {
  const asked = new Map<
    string,
    { readonly requests: Set<string>; others: number; readonly by: Operation[] }
  >()
  for (const operation of evidence.operations) {
    if (!mayBeApplied(operation)) continue
    for (const { content, requestId } of wantedOfCall(operation.call.call) ?? []) {
      let known = asked.get(content)
      if (known === undefined) asked.set(content, (known = { requests: new Set(), others: 0, by: [] }))
      if (requestId === undefined) known.others += 1
      else known.requests.add(requestId)
      if (known.by.length < 6) known.by.push(operation)
    }
  }
  const applied = new Map<string, Applied[]>()
  for (const one of appliedOf(evidence)) {
    const known = applied.get(one.wanted.content)
    if (known === undefined) applied.set(one.wanted.content, [one])
    else known.push(one)
  }
  for (const [content, records] of applied) {
    const { requests, others, by } = asked.get(content) ?? { requests: new Set(), others: 0, by: [] }
    const most = requests.size + others
    if (records.length <= most) continue
    const places = records.slice(0, 6).map(({ partition, offset }) => `${partition}:${offset}`)
    yield violation(
      `${content.slice(0, 80)} was applied ${records.length} times (${places.join(', ')}), ` +
        (most === 0 ? 'nobody asked for it' : `at most ${most} calls can have been`),
      by,
    )
  }
}

function mayBeApplied({ answered }: Operation): boolean {
  if (answered?.result.status === 'failed') return false
  const answer = answered?.result.status === 'ok' ? answered.result.answer : undefined
  return answer?.kind !== 'written' || answer.outcome?.applied !== false
}
