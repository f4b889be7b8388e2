/** What a record asks apply to do, once its bytes have been read. */
import type { Checkpoint } from './control-messages.ts'
import type { Rejection, RowMutation, TransactionMutation } from './mutation.ts'
import type { Epoch, PartitionBy } from './types.ts'

/** One mutation of a record, or why it cannot be one. */
export type Step = RowMutation | { readonly kind: 'rejected'; readonly reason: Rejection }

export interface FormatCommand {
  readonly kind: 'format'
  readonly version: number
  readonly partitionBy: PartitionBy
  readonly valueBytesMax: number
  readonly packing: boolean
  /** Of rows that are written without a time to live; 0 = they stay. */
  readonly defaultTtlMs: number
  /** Replicas wanted of each partition; 0 = what the node is set to. */
  readonly replication: number
  /** The epoch under which it was written; undefined for the first one, which the creator of the topic writes. */
  readonly epoch: Epoch | undefined
}

export type Command =
  | { readonly kind: 'row'; readonly step: Step }
  | { readonly kind: 'txn'; readonly mutation: TransactionMutation }
  | { readonly kind: 'pack'; readonly steps: readonly Step[]; readonly requestId: string | undefined }
  | FormatCommand
  | { readonly kind: 'lead'; readonly nodeId: string; readonly incarnation: string }
  | { readonly kind: 'tick'; readonly epoch: Epoch }
  | { readonly kind: 'mark'; readonly epoch: Epoch; readonly checkpoint: Checkpoint }
  /** `proof`: replicas hash what they hold as of this record; apply does nothing. */
  | { readonly kind: 'barrier'; readonly proof?: true }
  | { readonly kind: 'rejected'; readonly reason: Rejection }
  /** A format that this build does not know: the partition stops (invariant I9). */
  | { readonly kind: 'too-new'; readonly version: number; readonly epoch: Epoch | undefined }
