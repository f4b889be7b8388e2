/**
 * Drops history and tombstones that are past their bound, in a batch of its own after that of the records. What is kept decides
 * nothing in apply, so replicas may differ here for a moment; the bounds are the same on all.
 */
import { effectsSpan, metaKey, readEffectsKey, readNumbered, rowKey, tombstoneSpan } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import { encodeState } from '../core/state.ts'
import type { PartitionState } from '../core/state.ts'
import type { Offset } from '../core/types.ts'
import { failpoint } from '../failpoint.ts'
import type { Store } from '../store/store.ts'
import type { ReplicaBounds } from './bounds.ts'

/** Entries dropped in one go: bounds the time; the next batch goes on. */
const STEP = 1000
/** How far past its bound history may grow before it is cut: one look for garbage serves many batches. */
const SLACK = 1 / 16

export function collectGarbage(
  store: Store,
  prefix: Prefix,
  state: PartitionState,
  bounds: ReplicaBounds,
): void {
  const { historyRecords, historyBytes, tombstoneRecords } = bounds
  const records = state.next - state.historyStart
  const late =
    records > historyRecords * (1 + SLACK) ||
    state.historyBytes > historyBytes * (1 + SLACK) ||
    (state.historyBytes > 0 && records === 0)
  const old = state.next - tombstoneRecords
  const buried = old - state.tombstoneStart > tombstoneRecords * SLACK
  if (!late && !buried) return
  const batch = store.batch()
  const after = { ...state }
  if (late) dropHistory(store, prefix, after, bounds, batch)
  if (buried) dropTombstones(store, prefix, after, old, batch)
  batch.put(metaKey(prefix), encodeState(after))
  failpoint('replica.garbage', () => {
    store.write(batch)
  })
  const { historyStart, historyBytes: bytesLeft, tombstoneStart } = after
  Object.assign(state, { historyStart, historyBytes: bytesLeft, tombstoneStart })
}

type Batch = ReturnType<Store['batch']>

function dropHistory(
  store: Store,
  prefix: Prefix,
  state: PartitionState,
  bounds: ReplicaBounds,
  batch: Batch,
): void {
  const oldest = Math.max(state.historyStart, state.next - bounds.historyRecords)
  const cursor = store.cursor({ ...effectsSpan(prefix, 0), values: false })
  const entries = cursor.next(STEP)
  cursor.close()
  // Records without effects leave no piece: where nothing older is left, history begins at its bound, or with its first piece.
  let start = entries.length < STEP ? oldest : state.historyStart
  for (const { key } of entries) {
    const { first, last, bytes } = readEffectsKey(key)
    if (last >= oldest && state.historyBytes <= bounds.historyBytes) {
      start = Math.min(oldest, first)
      break
    }
    batch.delete(key)
    state.historyBytes = Math.max(0, state.historyBytes - bytes)
    state.historyStart = Math.max(state.historyStart, last + 1) as Offset
  }
  state.historyStart = Math.max(state.historyStart, start) as Offset
}

function dropTombstones(
  store: Store,
  prefix: Prefix,
  state: PartitionState,
  before: number,
  batch: Batch,
): void {
  const cursor = store.cursor({ ...tombstoneSpan(prefix, before), values: false })
  const entries = cursor.next(STEP)
  for (const entry of entries) {
    batch.delete(entry.key)
    // The entry is there only while the row still is that tombstone: whoever writes over it deletes the entry too.
    batch.delete(rowKey(prefix, readNumbered(entry.key).key))
  }
  const last = entries.at(-1)
  // The record of the last one may have made more, which are dropped next time: it counts as gone already.
  state.tombstoneStart = (
    entries.length < STEP || last === undefined ? before : readNumbered(last.key).number + 1
  ) as Offset
  cursor.close()
}
