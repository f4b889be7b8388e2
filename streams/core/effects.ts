/** What applying one record did: what watchers see, what waiting writers get, what the chain hash covers. */
import { hash } from 'node:crypto'
import type { ByteWriter } from './bytes.ts'
import { writeOutcome } from './outcome-codec.ts'
import type { ChangeKind, Outcome } from './mutation.ts'
import type { StoredRow } from './row.ts'
import type { LogTime, Offset } from './types.ts'

export interface Change {
  readonly kind: ChangeKind
  readonly key: Uint8Array
  /** The row after the change; a tombstone for `deleted` and `expired`. */
  readonly row: StoredRow
  /** encodeRow(row) */
  readonly encoded: Uint8Array
  /** What stood there before: a row, a tombstone, or nothing. */
  readonly previous: StoredRow | undefined
  readonly traceparent: string | undefined
}

export interface RecordEffects {
  readonly offset: Offset
  /** Partition time after the record. */
  readonly time: LogTime
  /** One for each mutation of the record; none for control records. */
  readonly outcomes: readonly Outcome[]
  readonly changes: readonly Change[]
  /** The record repeats an earlier one (its request id had been seen): what became of it stands there. */
  readonly duplicateOf: Offset | undefined
  /** The record is a mark of a checkpoint at which this replica had another chain. No part of the chain itself, nor of history. */
  readonly diverged?: Offset
}

const KIND_CODES: Record<ChangeKind, number> = { put: 1, deleted: 2, expired: 3 }
export const CHANGE_KINDS: readonly (ChangeKind | undefined)[] = [undefined, 'put', 'deleted', 'expired']

/**
 * The bytes of the effects that all replicas must agree on. FROZEN:
 *   effects := offset time outcomeCount outcome* changeCount (kind:u8 key row)*
 */
export function writeEffects(writer: ByteWriter, effects: RecordEffects): void {
  writer.varint(effects.offset)
  writer.varint(effects.time)
  writer.varint(effects.outcomes.length)
  for (const outcome of effects.outcomes) writeOutcome(writer, outcome)
  writer.varint(effects.changes.length)
  for (const change of effects.changes) {
    writer.byte(KIND_CODES[change.kind])
    writer.sized(change.key)
    writer.sized(change.encoded)
  }
}

/** The next link: SHA-256 of the link before it and of the effects. `scratch` is overwritten. */
export function chainHash(scratch: ByteWriter, previous: Uint8Array, effects: RecordEffects): Buffer {
  scratch.reset()
  scratch.raw(previous)
  writeEffects(scratch, effects)
  return hash('sha256', scratch.view(), 'buffer')
}

/** Whether rows with a time to live came, went or changed. */
export const touchesExpiry = (effects: readonly RecordEffects[]): boolean =>
  effects.some(({ changes }) =>
    changes.some(
      ({ row, previous }) => row.expiresAt !== 0 || (previous !== undefined && previous.expiresAt !== 0),
    ),
  )
