/** How many records are applied in one store batch. */
import { must } from '../core/assert.ts'
import { APPLY_BYTES_MAX, APPLY_RECORDS_MAX } from '../core/limits.ts'
import type { LogRecord } from '../core/types.ts'

/** As many records from `at` on as one store batch takes: at least one. */
export function sliceFrom(records: readonly LogRecord[], at: number): readonly LogRecord[] {
  let bytes = 0
  let end = at
  while (end < records.length && end - at < APPLY_RECORDS_MAX) {
    const record = must(records[end], 'a record')
    bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
    if (end > at && bytes > APPLY_BYTES_MAX) break
    end += 1
  }
  return at === 0 && end === records.length ? records : records.slice(at, end)
}
