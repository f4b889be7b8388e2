/** Turns the parts of an append into rows of one batch, and into the records that readers are shown once it is on disk. */
import type { ByteWriter } from '../../core/bytes.ts'
import { LOG_RUN_BYTES } from '../../core/limits.ts'
import {
  logTime,
  offset,
  type LogRecord,
  type LogTime,
  type NewRecord,
  type Offset,
} from '../../core/types.ts'
import type { Batch } from '../../store/store.ts'
import type { Append, Appended } from '../log.ts'
import type { EmbeddedPartition } from './partition.ts'
import { checkRecordSize, recordBytes } from './refusals.ts'
import { runKey } from './rows.ts'
import { encodeRun } from './run-codec.ts'
import type { Topics } from './topics.ts'

/** Records of one append that are in the batch, and not yet shown. */
export interface Staged {
  readonly place: EmbeddedPartition
  readonly records: readonly LogRecord[]
  readonly bytes: number
}

export interface Stage {
  readonly appended: readonly Appended[]
  readonly staged: readonly Staged[]
}

/** @throws KEYSPACE_NOT_FOUND, PARTITIONS_CHANGED, VALUE_TOO_LARGE; the batch is of no use then. */
export function stage(
  topics: Topics,
  parts: readonly Append[],
  now: LogTime,
  batch: Batch,
  writer: ByteWriter,
): Stage {
  const staged: Staged[] = []
  /** Where this append has moved the ends to: it may hold several parts for one partition. */
  const ends = new Map<EmbeddedPartition, Offset>()
  const appended = parts.map((part) => {
    const { row } = topics.get(part.topic)
    const place = topics.partition(part.topic, part.partition)
    const time = logTime(Math.max(now, place.lastTime))
    const firstOffset = ends.get(place) ?? place.end
    let next = firstOffset
    for (const run of runsOf(part, row.valueBytesMax)) {
      const key = runKey(row.number, part.partition, next)
      batch.put(key, encodeRun(writer, key, time, run.records))
      staged.push({ place, records: numbered(run.records, next, time), bytes: run.bytes })
      next = offset(next + run.records.length)
    }
    ends.set(place, next)
    return { firstOffset }
  })
  return { appended, staged }
}

function* runsOf(
  part: Append,
  valueBytesMax: number,
): Generator<{ readonly records: readonly NewRecord[]; readonly bytes: number }> {
  let records: NewRecord[] = []
  let bytes = 0
  for (const record of part.records) {
    const size = recordBytes(record)
    checkRecordSize(part.topic, size, valueBytesMax)
    records.push(record)
    bytes += size
    if (bytes < LOG_RUN_BYTES) continue
    yield { records, bytes }
    records = []
    bytes = 0
  }
  if (records.length > 0) yield { records, bytes }
}

const numbered = (records: readonly NewRecord[], first: number, time: LogTime): readonly LogRecord[] =>
  records.map(({ key, value, headers }, n) => ({ offset: offset(first + n), time, key, value, headers }))
