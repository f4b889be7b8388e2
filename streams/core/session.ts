/**
 * What a partition remembers of one session's request ids, so that a second record with the same id changes nothing and
 * has the first one's outcome (Kafka's producer state and RIFL, Lee et al. 2015, are the models).
 *
 * A session remembers its last DEDUPE_SEQUENCES_MAX sequences in the order in which they arrived, in chunks: the current
 * chunk lies in the head, full ones are rows of their own that never change. Below `floor` nothing is known any more, and
 * such a sequence is refused. FROZEN grammar (varints):
 *
 *   head  := arrival floor firstChunk nextChunk entries
 *   chunk := entries
 *   entries := count (sequence outcome)*
 */
import { ByteReader, ByteWriter } from './bytes.ts'
import { DEDUPE_SEQUENCES_MAX } from './limits.ts'
import { readOutcome, writeOutcome } from './outcome-codec.ts'
import type { Outcome } from './mutation.ts'

/** Entries of a chunk: small enough to be rewritten for a single write, large enough that full chunks are rare. */
const CHUNK_ENTRIES = 64
/** Full chunks and the current one: with one chunk just begun, DEDUPE_SEQUENCES_MAX are still remembered. */
const CHUNKS_MAX = DEDUPE_SEQUENCES_MAX / CHUNK_ENTRIES + 1

export interface Session {
  /** The count of request ids when the session was last renewed: its place in the order of forgetting. */
  arrival: number
  floor: number
  /** Numbers of the full chunks: firstChunk … nextChunk − 1. */
  firstChunk: number
  nextChunk: number
  /** Sequences in order of arrival, chunk by chunk; the last list is the current chunk. */
  chunks: number[][]
  outcomes: Map<number, Outcome>
  /** Full chunks that the store does not have yet, and chunks that it must forget. */
  unsaved: number[]
  dropped: number[]
}

export const newSession = (arrival: number): Session => ({
  arrival,
  floor: 0,
  firstChunk: 0,
  nextChunk: 0,
  chunks: [[]],
  outcomes: new Map(),
  unsaved: [],
  dropped: [],
})

/** @returns what is known of a sequence: its outcome, that it is forgotten, or that it is new. */
export function recall(session: Session, sequence: number): Outcome | 'forgotten' | 'new' {
  const outcome = session.outcomes.get(sequence)
  if (outcome !== undefined) return outcome
  return sequence < session.floor ? 'forgotten' : 'new'
}

/** The first outcome of a sequence stays: a pack may carry the id of one of its own mutations. */
export function remember(session: Session, sequence: number, outcome: Outcome): void {
  if (session.outcomes.has(sequence)) return
  let current = session.chunks.at(-1) ?? []
  if (current.length === CHUNK_ENTRIES) {
    session.unsaved.push(session.nextChunk)
    session.nextChunk += 1
    current = []
    session.chunks.push(current)
    if (session.chunks.length > CHUNKS_MAX) forgetOldest(session)
  }
  current.push(sequence)
  session.outcomes.set(sequence, outcome)
}

function forgetOldest(session: Session): void {
  for (const sequence of session.chunks.shift() ?? []) {
    session.outcomes.delete(sequence)
    session.floor = Math.max(session.floor, sequence + 1)
  }
  const chunk = session.firstChunk
  session.firstChunk += 1
  const unsaved = session.unsaved.indexOf(chunk)
  if (unsaved >= 0) session.unsaved.splice(unsaved, 1)
  else session.dropped.push(chunk)
}

function writeEntries(writer: ByteWriter, session: Session, sequences: readonly number[]): void {
  writer.varint(sequences.length)
  for (const sequence of sequences) {
    writer.varint(sequence)
    const outcome = session.outcomes.get(sequence)
    if (outcome !== undefined) writeOutcome(writer, outcome)
  }
}

export function encodeHead(session: Session): Buffer {
  const writer = new ByteWriter(512)
  writer.varint(session.arrival)
  writer.varint(session.floor)
  writer.varint(session.firstChunk)
  writer.varint(session.nextChunk)
  writeEntries(writer, session, session.chunks.at(-1) ?? [])
  return writer.bytes()
}

/** @param chunk - its number, between firstChunk and nextChunk − 1 */
export function encodeChunk(session: Session, chunk: number): Buffer {
  const writer = new ByteWriter(512)
  writeEntries(writer, session, session.chunks[chunk - session.firstChunk] ?? [])
  return writer.bytes()
}

/** The head alone, to learn which chunks belong to it. @throws MALFORMED */
export function decodeHead(bytes: Uint8Array): Session {
  const reader = new ByteReader(bytes)
  const session: Session = {
    ...newSession(reader.varint()),
    floor: reader.varint(),
    firstChunk: reader.varint(),
    nextChunk: reader.varint(),
    chunks: [],
  }
  readEntries(reader, session)
  return session
}

/** Puts the full chunks, in order, before the current one. @throws MALFORMED */
export function addChunks(session: Session, chunks: readonly Uint8Array[]): void {
  const current = session.chunks.pop() ?? []
  for (const bytes of chunks) readEntries(new ByteReader(bytes), session)
  session.chunks.push(current)
}

function readEntries(reader: ByteReader, session: Session): void {
  const sequences: number[] = []
  for (let left = reader.varint(); left > 0; left--) {
    const sequence = reader.varint()
    sequences.push(sequence)
    session.outcomes.set(sequence, readOutcome(reader))
  }
  session.chunks.push(sequences)
}
