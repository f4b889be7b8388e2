/**
 * Real-time order. A linearizable read stands at or after the position of every write acknowledged before it was called, and of every
 * linearizable read that ended before; nothing that was answered shows a record that was asked for later. Linear: a running maximum
 * for each partition, since all operations of a partition stand in one order, that of its offsets.
 *
 * Where a client is not told where its read stands, the earliest place that fits is taken: if any assignment keeps the promise, that one does.
 */
import { entriesOf, indexIn, nameOf, placeOf, wantedOfCall } from './evidence.ts'
import type { Checker, Evidence, Operation, Violation } from './evidence.ts'
import { claimsOf, earliestShowing, readOf } from './reading.ts'
import type { Reading } from './reading.ts'

/** The newest position that somebody was told, and who. */
interface Reached {
  readonly offset: number
  readonly by: Operation | undefined
}

export const linearizable: Checker = (evidence: Evidence) => {
  const { history, truth, byNumber } = evidence
  const found: Violation[] = []
  const reached: Reached[] = truth.partitions.map(() => ({ offset: -1, by: undefined }))
  const bounds = new Map<number, readonly Reached[]>()
  const called = callsOfRecords(evidence)

  const reach = (partition: number, offset: number, by: Operation): void => {
    if (offset > (reached[partition]?.offset ?? Infinity)) reached[partition] = { offset, by }
  }

  for (const entry of history.entries) {
    if (entry.type === 'call' && 'consistency' in entry.call && entry.call.consistency === 'linearizable')
      bounds.set(entry.op, [...reached])
    if (entry.type !== 'return') continue
    const operation = byNumber.get(entry.op)
    if (operation === undefined) continue
    const wrong = (message: string, other?: Operation): number =>
      found.push({
        checker: 'linearizable',
        message: `${nameOf(operation)} ${message}`,
        entries: [...(other === undefined ? [] : entriesOf(other)), ...entriesOf(operation)],
      })
    const early = (partition: number, offset: number): void => {
      const latest = called[partition]?.[truth.of(partition).indexAt(offset)]
      if (latest !== undefined && latest.call.seq > entry.seq)
        wrong(
          `ended with ${partition}:${offset}, before ${nameOf(latest)}, whose record that shows, was called`,
          latest,
        )
    }
    const placed = placeOf(operation)
    if (placed !== undefined) {
      early(placed.partition, placed.offset)
      reach(placed.partition, placed.offset, operation)
    }
    const reading = readOf(operation, truth)
    if (reading === undefined) continue
    const bound = bounds.get(entry.op)
    for (const place of standsOf(evidence, reading, bound)) {
      const { partition, offset } = place
      const { offset: least, by } = bound?.[partition] ?? { offset: -1, by: undefined }
      if (offset === undefined) {
        const first = by === undefined ? '' : `, which ${nameOf(by)} had been told`
        wrong(`shows partition ${partition} as it stood nowhere at or after offset ${least}${first}`, by)
        continue
      }
      if (offset < least && by !== undefined)
        wrong(
          `shows ${partition}:${offset}, though ${nameOf(by)} had been told ${partition}:${least} before`,
          by,
        )
      early(partition, offset)
      if (bound !== undefined) reach(partition, offset, operation)
    }
    bounds.delete(entry.op)
  }
  return found
}

/** Where a read stands in each partition; undefined where nothing fits. Reads that promise nothing and are not told are left out. */
function* standsOf(
  { truth }: Evidence,
  reading: Reading,
  bound: readonly Reached[] | undefined,
): Generator<{ readonly partition: number; readonly offset: number | undefined }> {
  const isPast = reading.call.kind === 'get' && reading.call.at !== undefined
  for (const place of reading.partitions) {
    const { partition, applied } = place
    if (applied !== undefined) yield { partition, offset: applied }
    else if (bound !== undefined && !isPast) {
      const from = bound[partition]?.offset ?? -1
      const offset = earliestShowing(
        truth.of(partition),
        claimsOf(truth, reading, place),
        from,
        reading.keysOnly,
      )
      yield { partition, offset }
    }
  }
}

/** For each record the last call of all that the records up to it carry: nobody can have seen it before that call was made. */
function callsOfRecords({ truth, operations }: Evidence): readonly (readonly (Operation | undefined)[])[] {
  const byRequest = new Map<string, Operation>()
  const byPlace = new Map<string, Operation>()
  for (const operation of operations) {
    for (const { requestId } of wantedOfCall(operation.call.call) ?? [])
      if (requestId !== undefined && !byRequest.has(requestId)) byRequest.set(requestId, operation)
    const placed = placeOf(operation)
    if (placed === undefined || placed.outcome?.duplicate === true) continue
    const told = truth.of(placed.partition).record(placed.offset)
    // Rubbish asks for nothing, and has its place all the same.
    const asked = wantedOfCall(operation.call.call) ?? []
    if (told?.wanted.length === 0 && asked.length === 0)
      byPlace.set(`${placed.partition} ${placed.offset} 0`, operation)
    for (const wanted of asked)
      if (told !== undefined && wanted.requestId === undefined && indexIn(told, wanted) >= 0)
        byPlace.set(`${placed.partition} ${placed.offset} ${indexIn(told, wanted)}`, operation)
  }
  return truth.partitions.map(({ records }, partition) => {
    let latest: Operation | undefined
    return records.map(({ offset, wanted }) => {
      for (let at = 0; at < Math.max(1, wanted.length); at++) {
        const requestId = wanted[at]?.requestId
        const sent = requestId === undefined ? undefined : byRequest.get(requestId)
        const by = sent ?? byPlace.get(`${partition} ${offset} ${at}`)
        if (by !== undefined && by.call.seq > (latest?.call.seq ?? -1)) latest = by
      }
      return latest
    })
  })
}
