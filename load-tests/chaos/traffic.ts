/** What a history says of traffic: how much there was, of what kind, and how long a partition went without an acknowledged write. */
import { type CallEntry, type Entry, isWrite } from '../../streams/sim/history.ts'

export interface Traffic {
  readonly ops: number
  readonly acknowledgedWrites: number
  readonly answeredReads: number
  /** Refused for good, as a condition that does not hold is; not faults. */
  readonly refused: number
  /** Reads without an answer, by reason. */
  readonly failedReads: Readonly<Record<string, number>>
  /** Writes of which the client does not know whether they happened, by reason. */
  readonly unknownWrites: Readonly<Record<string, number>>
  readonly eventsWatched: number
  readonly longestWriteGapMs: number
}

/** @param from - gaps count from here on (`atMs`) @param to - up to here */
export function trafficOf(entries: readonly Entry[], partitions: number, from: number, to: number): Traffic {
  const calls = new Map<number, CallEntry>()
  const count = { ops: 0, acknowledgedWrites: 0, answeredReads: 0, refused: 0, eventsWatched: 0 }
  const failedReads: Record<string, number> = {}
  const unknownWrites: Record<string, number> = {}
  const last = new Array<number>(partitions).fill(from)
  let longestWriteGapMs = 0
  const wrote = (partition: number, at: number): void => {
    longestWriteGapMs = Math.max(longestWriteGapMs, at - (last[partition] ?? from))
    last[partition] = at
  }
  for (const entry of entries) {
    if (entry.type === 'call') calls.set(entry.op, entry)
    if (entry.type === 'seen') count.eventsWatched += entry.seen.events.length
    if (entry.type !== 'return') continue
    const call = calls.get(entry.op)?.call
    calls.delete(entry.op)
    if (call === undefined || call.kind === 'watch') continue
    count.ops += 1
    const { result } = entry
    if (result.status === 'ok' && isWrite(call)) {
      count.acknowledgedWrites += 1
      if (result.answer.kind === 'written' && entry.atMs >= from && entry.atMs <= to)
        wrote(result.answer.partition, entry.atMs)
    } else if (result.status === 'ok') count.answeredReads += 1
    else if (result.status === 'unknown')
      unknownWrites[result.reason] = (unknownWrites[result.reason] ?? 0) + 1
    else if (isWrite(call)) count.refused += 1
    else failedReads[result.reason] = (failedReads[result.reason] ?? 0) + 1
  }
  for (let partition = 0; partition < partitions; partition += 1) wrote(partition, to)
  return { ...count, failedReads, unknownWrites, longestWriteGapMs: Math.round(longestWriteGapMs) }
}

export const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)
