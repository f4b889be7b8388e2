/**
 * Reads the log from where a replica stands, and makes sure first that it is the log that the replica has read (invariant I5): the record
 * that it applied last must still be the one at that offset. A log that lost its end, and has grown again since, holds another one there;
 * it was appended later, and its log time tells so.
 */
import { TidemarkError } from '../core/errors.ts'
import { offset, type LogRecord, type LogTime, type Offset } from '../core/types.ts'
import type { LogBatch, PartitionReader } from '../log/log.ts'

export interface Joint {
  /** What the replica reads next. */
  readonly next: Offset
  /** Partition time after the record before it. */
  readonly time: LogTime
}

/** @param open - a reader of the partition from an offset on */
export function joinedReader(
  open: (from: Offset) => PartitionReader,
  name: string,
  { next, time }: Joint,
): PartitionReader {
  let reader = open(next === 0 ? next : offset(next - 1))
  let joined = next === 0
  let closed = false

  /** What stood there may be trimmed, or the log may end there: from the place itself on the log tells which. */
  const again = async (): Promise<LogBatch> => {
    reader.close()
    reader = open(next)
    if (closed) reader.close()
    return reader.next()
  }

  const join = async (): Promise<LogBatch> => {
    let batch: LogBatch
    try {
      batch = await reader.next()
    } catch (caught) {
      const { reason } = TidemarkError.from(caught)
      if (reason !== 'LOG_TRIMMED' && reason !== 'LOG_TRUNCATED') throw caught
      return again()
    }
    if (batch.nextOffset < next) return again()
    const [first] = batch.records
    if (first === undefined || first.offset >= next) return batch
    if (first.time > time) throw parted(name, first)
    return { ...batch, records: batch.records.slice(1) }
  }

  return {
    async next() {
      if (joined) return reader.next()
      const batch = await join()
      joined = true
      return batch
    },
    close() {
      closed = true
      reader.close()
    },
  }
}

const parted = (name: string, { offset: at, time }: LogRecord): TidemarkError =>
  new TidemarkError(
    'LOG_TRUNCATED',
    `${name} holds another record at offset ${at} than the one that was applied, of ${new Date(time).toISOString()}: it lost its end, and has grown again`,
    { metadata: { offset: String(at) } },
  )
