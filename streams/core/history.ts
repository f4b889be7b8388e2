/**
 * The history of a partition: the effects of recent records in pieces of bounded size, so that outcomes can be asked for, watches
 * resumed exactly, and past versions read, without one more store entry for each record. Grammar (varints unless said):
 *
 *   piece := record*
 *   record := offset time duplicateOf+1|0 outcomeCount outcome* changeCount change*
 *   change := kind:u8 key row previousLength(0 = none) previous traceparent
 */
import { must } from './assert.ts'
import { ByteReader, ByteWriter, MALFORMED } from './bytes.ts'
import { CHANGE_KINDS } from './effects.ts'
import type { Change, RecordEffects } from './effects.ts'
import { readOutcome, writeOutcome } from './outcome-codec.ts'
import type { Outcome } from './mutation.ts'
import { decodeRow, encodeRow } from './row.ts'
import type { LogTime, Offset } from './types.ts'

export interface Piece {
  readonly first: Offset
  readonly last: Offset
  readonly value: Buffer
}

/** Gathers effects into pieces of about `bytes`; records without any effect take no room. */
export class HistoryWriter {
  readonly #writer = new ByteWriter(4096)
  readonly #bytes: number
  #first: Offset | undefined
  #last: Offset | undefined
  readonly #pieces: Piece[] = []

  constructor(bytes: number) {
    this.#bytes = bytes
  }

  add(effects: RecordEffects): void {
    if (effects.outcomes.length === 0 && effects.changes.length === 0) return
    this.#first ??= effects.offset
    this.#last = effects.offset
    writeRecord(this.#writer, effects)
    if (this.#writer.length >= this.#bytes) this.#cut()
  }

  #cut(): void {
    if (this.#first === undefined || this.#last === undefined) return
    this.#pieces.push({ first: this.#first, last: this.#last, value: this.#writer.bytes() })
    this.#first = undefined
  }

  /** All pieces so far; the writer starts anew. */
  finish(): readonly Piece[] {
    this.#cut()
    return this.#pieces.splice(0)
  }
}

function writeRecord(writer: ByteWriter, effects: RecordEffects): void {
  writer.varint(effects.offset)
  writer.varint(effects.time)
  writer.varint(effects.duplicateOf === undefined ? 0 : effects.duplicateOf + 1)
  writer.varint(effects.outcomes.length)
  for (const outcome of effects.outcomes) writeOutcome(writer, outcome)
  writer.varint(effects.changes.length)
  for (const change of effects.changes) {
    writer.byte(CHANGE_KINDS.indexOf(change.kind))
    writer.sized(change.key)
    writer.sized(change.encoded)
    if (change.previous === undefined) writer.varint(0)
    else writer.sized(encodeRow(change.previous))
    writer.text(change.traceparent ?? '')
  }
}

/** @throws MALFORMED when the bytes are not a piece, which means that the store is damaged. */
export function readPiece(value: Uint8Array): readonly RecordEffects[] {
  const reader = new ByteReader(value)
  const records: RecordEffects[] = []
  while (!reader.done) records.push(readRecord(reader))
  return records
}

function readRecord(reader: ByteReader): RecordEffects {
  const offset = reader.varint() as Offset
  const time = reader.varint() as LogTime
  const duplicate = reader.varint()
  const outcomes: Outcome[] = []
  for (let left = reader.varint(); left > 0; left--) outcomes.push(readOutcome(reader))
  const changes: Change[] = []
  for (let left = reader.varint(); left > 0; left--) changes.push(readChange(reader))
  return {
    offset,
    time,
    outcomes,
    changes,
    duplicateOf: duplicate === 0 ? undefined : ((duplicate - 1) as Offset),
  }
}

function readChange(reader: ByteReader): Change {
  const kind = CHANGE_KINDS[reader.byte()]
  if (kind === undefined) throw MALFORMED
  const key = reader.sized()
  const encoded = reader.sized()
  const previous = reader.sized()
  const traceparent = reader.text()
  return {
    kind,
    key,
    row: decodeRow(encoded),
    encoded,
    previous: previous.length === 0 ? undefined : decodeRow(previous),
    traceparent: traceparent === '' ? undefined : traceparent,
  }
}

/** The record at an offset, or undefined. */
export const recordAt = (records: readonly RecordEffects[], offset: Offset): RecordEffects | undefined => {
  let low = 0
  let high = records.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    const record = must(records[middle], 'a record of a piece')
    if (record.offset === offset) return record
    if (record.offset < offset) low = middle + 1
    else high = middle - 1
  }
  return undefined
}
