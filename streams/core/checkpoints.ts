/**
 * The chain of effects at the multiples of CHECKPOINT_OFFSETS, kept with the state: what a leader's mark and what peers are held
 * against. A function of the log alone, so that replicas which applied the same records have the same ones. FROZEN.
 */
import { compareBytes } from './bytes.ts'
import type { Checkpoint } from './control-messages.ts'
import { CHECKPOINTS_MAX, CHECKPOINT_OFFSETS } from './limits.ts'
import type { PartitionState } from './state.ts'
import type { Offset } from './types.ts'

/** The first record at or past a multiple of CHECKPOINT_OFFSETS keeps the chain as all records below that left it. */
export function passCheckpoint(state: PartitionState, offset: Offset): void {
  const at = (offset - (offset % CHECKPOINT_OFFSETS)) as Offset
  if (at <= (state.checkpoints.at(-1)?.at ?? 0)) return
  state.checkpoints = [...state.checkpoints.slice(1 - CHECKPOINTS_MAX), { at, chain: state.chain }]
}

/** What the state does not remember any more cannot differ. */
export function differs(state: PartitionState, mark: Checkpoint): boolean {
  const own = state.checkpoints.find(({ at }) => at === mark.at)
  return own !== undefined && compareBytes(own.chain, mark.chain) !== 0
}
