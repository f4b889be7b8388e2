/**
 * A PartitionReader over a partition that lives in this process (embedded log, memory log): hands on what is there,
 * and otherwise waits for the partition to change. Checks invariant I5 before each hand-over: it never skips.
 */
import { assert, must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { LOG_IDLE_MS } from '../../core/limits.ts'
import { offset, type LogRecord, type Offset } from '../../core/types.ts'
import type { LogBatch, Offsets, PartitionReader } from '../log.ts'

/** One partition as a reader sees it. */
export interface TailSource {
  /** For messages. */
  readonly name: string
  /** Why no reader may go on, once there is a reason. */
  failure(): TidemarkError | undefined
  /** `end` counts durable records only. */
  offsets(): Offsets
  /** The records from `from` on, at least one, bounded in number and bytes; `from` lies within [start, end). */
  slice(from: Offset): { readonly records: readonly LogRecord[]; readonly bytes: number }
  /** Calls `listener` after each change of offsets or failure until the returned function is called. */
  subscribe(listener: () => void): () => void
}

export interface TailReader extends PartitionReader {
  /** The offset that the next batch starts at. */
  readonly position: Offset
}

/** `onMove` is told after each hand-over and on close. */
export function openTailReader(source: TailSource, from: Offset, onMove: () => void = () => {}): TailReader {
  let position = from
  let failed: TidemarkError | undefined
  /** Ends the wait of the one `next` in flight. */
  let wake: (() => void) | undefined

  const unsubscribe = source.subscribe(() => wake?.())

  const fail = (error: TidemarkError): never => {
    failed = error
    unsubscribe()
    throw error
  }

  const handOver = (offsets: Offsets): LogBatch => {
    if (position === offsets.end) return { records: [], nextOffset: position, logEnd: offsets.end, bytes: 0 }
    const { records, bytes } = source.slice(position)
    const last = must(records.at(-1), 'the last record of a slice')
    position = offset(last.offset + 1)
    onMove()
    return { records, nextOffset: position, logEnd: offsets.end, bytes }
  }

  const check = (): Offsets => {
    if (failed !== undefined) throw failed
    const failure = source.failure()
    if (failure !== undefined) return fail(failure)
    const offsets = source.offsets()
    const facts = {
      metadata: { offset: String(position), start: String(offsets.start), end: String(offsets.end) },
    }
    if (position < offsets.start)
      return fail(
        new TidemarkError(
          'LOG_TRIMMED',
          `${source.name} starts at offset ${offsets.start}: the record at ${position}, which comes next, is gone`,
          facts,
        ),
      )
    if (position > offsets.end)
      return fail(
        new TidemarkError(
          'LOG_TRUNCATED',
          `${source.name} ends at offset ${offsets.end}, before ${position}, which comes next`,
          facts,
        ),
      )
    return offsets
  }

  const changed = async (): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(() => {
        wake?.()
      }, LOG_IDLE_MS)
      wake = () => {
        clearTimeout(timer)
        wake = undefined
        resolve()
      }
    })

  return {
    get position() {
      return position
    },
    async next() {
      assert(wake === undefined, 'a reader was asked for the next records twice at once')
      const before = check()
      if (position < before.end) return handOver(before)
      await changed()
      return handOver(check())
    },
    close() {
      if (failed === undefined) {
        failed = new TidemarkError('CANCELLED', `the reader of ${source.name} was closed`)
        unsubscribe()
      }
      wake?.()
      onMove()
    },
  }
}
