/** What a `format` record does: it sets the keyspace up, and later changes what may change. FROZEN. */
import { compareBytes } from './bytes.ts'
import type { FormatCommand } from './command.ts'
import type { Rejection } from './mutation.ts'
import { separatorOf } from './partitioner.ts'
import type { PartitionState } from './state.ts'
import type { Epoch } from './types.ts'

/**
 * The first format record sets the keyspace up, if no row came before it; a later one must come from the leader, and changes what
 * may change. Two creators at once: the first wins. What was rejected before (rubbish in a new topic) settles nothing.
 * @returns why it changes nothing
 */
export function changeFormat(state: PartitionState, command: FormatCommand): Rejection | undefined {
  if (!mayChangeFormat(state, command.epoch)) return 'STALE_EPOCH'
  if (state.configured && changesFixed(state, command)) return 'SETTING_FIXED'
  state.configured = true
  state.partitionBy = command.partitionBy
  state.format = command.version
  state.valueBytesMax = command.valueBytesMax
  state.packing = command.packing
  state.defaultTtlMs = command.defaultTtlMs
  state.replication = command.replication
  return undefined
}

/** Epoch 0 is that of no leader: before the first lead record anybody could write it. */
export const mayChangeFormat = (state: PartitionState, epoch: Epoch | undefined): boolean =>
  !state.configured || (state.epoch !== 0 && epoch === state.epoch)

/** Keys would lie elsewhere, or values that stand would be too large. */
const changesFixed = (state: PartitionState, command: FormatCommand): boolean =>
  compareBytes(separatorOf(state.partitionBy), separatorOf(command.partitionBy)) !== 0 ||
  command.valueBytesMax < state.valueBytesMax
