/** How much of the past a replica keeps. It decides nothing in apply, so tests may ask for less. */
import {
  HISTORY_BYTES_MAX,
  HISTORY_RECORDS_MAX,
  HISTORY_SEGMENT_BYTES,
  RECENT_BYTES_MAX,
  RECENT_RECORDS_MAX,
  TOMBSTONE_RECORDS_MAX,
} from '../core/limits.ts'

export interface ReplicaBounds {
  readonly historyRecords: number
  readonly historyBytes: number
  readonly segmentBytes: number
  readonly recentRecords: number
  readonly recentBytes: number
  /** Over historyRecords: a past version rests on the row or its tombstone. */
  readonly tombstoneRecords: number
}

export const REPLICA_BOUNDS: ReplicaBounds = {
  historyRecords: HISTORY_RECORDS_MAX,
  historyBytes: HISTORY_BYTES_MAX,
  segmentBytes: HISTORY_SEGMENT_BYTES,
  recentRecords: RECENT_RECORDS_MAX,
  recentBytes: RECENT_BYTES_MAX,
  tombstoneRecords: TOMBSTONE_RECORDS_MAX,
}
