/**
 * A hash of all that a replica holds at one offset and that every replica must hold there: rows, what is due, tombstones, request
 * ids, state. The chain of effects proves what apply did; this proves what lies in the store now, also where nothing wrote to it
 * since. It reads the whole replica from one cursor, history too, so that the checksums of the store are looked at on the way.
 *
 * Not hashed is what each replica may keep as it likes: history and its bounds, and tombstones that are past their bound (the offset
 * decides which, so that it does not matter who has dropped them already). Rows are hashed in ranges that end where the key says so,
 * so that a row more or less moves no other range, and what differs can be named.
 *
 *   hash := SHA-256(for each part: name until hash)      part := SHA-256(for each entry: table key value)
 */
import { createHash, type Hash } from 'node:crypto'
import { ByteWriter, EMPTY, MALFORMED, asBuffer, readUint64 } from '../core/bytes.ts'
import { TidemarkError } from '../core/errors.ts'
import { replicaSpan } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import {
  CONTENT_RANGES,
  CONTENT_RANGES_MAX,
  HASHED_UNIT_BYTES,
  SCAN_CHUNK_BYTES,
  SCAN_CHUNK_ROWS,
} from '../core/limits.ts'
import { murmur2 } from '../core/partitioner.ts'
import { decodeState, encodeState } from '../core/state.ts'
import type { Offset } from '../core/types.ts'
import type { Cursor, Entry, Store } from '../store/store.ts'

export interface Content {
  /** All records below it are applied. */
  readonly at: Offset
  /** Of all parts, lower-case hexadecimal. */
  readonly hash: string
  readonly parts: readonly ContentPart[]
}

export interface ContentPart {
  readonly name: 'sessions' | 'tombstones' | 'state' | 'rows' | 'arrivals' | 'expiries'
  /** The key of the last row of a range; undefined for the last one, and for what is no row. */
  readonly until: Uint8Array | undefined
  readonly hash: string
}

export interface ContentSource {
  readonly store: Store
  readonly prefix: Prefix
  /** What the replica has applied, and how many living rows it has. */
  readonly next: Offset
  readonly rows: number
  /** As in ReplicaBounds. */
  readonly tombstoneRecords: number
}

/** The tables by their letter (core/keys.ts), in the order in which they lie; those without a name are read and not hashed. */
const TABLES: ReadonlyMap<number, ContentPart['name'] | undefined> = new Map([
  [0x64, 'sessions'],
  [0x65, undefined],
  [0x67, 'tombstones'],
  [0x6d, 'state'],
  [0x72, 'rows'],
  [0x74, 'arrivals'],
  [0x78, 'expiries'],
])
const PREFIX_BYTES = 4
const TOMBSTONE_FLAG = 1

/** Hashes what the store holds at the moment when it is made, in steps. Close it: it pins a snapshot of the store. */
export class ContentHasher {
  /** Entries read so far. */
  entries = 0
  readonly #at: Offset
  /** Tombstones that were made before it may be gone elsewhere. */
  readonly #kept: number
  readonly #cursor: Cursor
  /** Of 2^32 hashes of keys, those below it end a range. */
  readonly #cut: number
  readonly #parts: ContentPart[] = []
  readonly #run = new ByteWriter(SCAN_CHUNK_BYTES)
  #name: ContentPart['name'] | undefined
  #hash: Hash | undefined

  constructor({ store, prefix, next, rows, tombstoneRecords }: ContentSource) {
    this.#at = next
    this.#kept = next - tombstoneRecords
    this.#cut = (2 ** 32 * CONTENT_RANGES) / Math.max(rows, CONTENT_RANGES)
    this.#cursor = store.cursor(replicaSpan(prefix))
  }

  /** Reads on. @returns how much it was, in units of HASHED_PER_SECOND; 0 at the end. @throws STORE_CORRUPT */
  step(): number {
    const entries = this.#cursor.next(SCAN_CHUNK_ROWS)
    let units = 0
    for (const entry of entries) {
      units += Math.max(1, entry.value.length / HASHED_UNIT_BYTES)
      this.#take(entry)
    }
    this.entries += entries.length
    this.#flush()
    return units
  }

  /** After the last step. */
  finish(): Content {
    this.#endPart(undefined)
    const all = new ByteWriter(4096)
    for (const { name, until, hash } of this.#parts) {
      all.text(name)
      all.sized(until ?? EMPTY)
      all.text(hash)
    }
    const hash = createHash('sha256').update(all.bytes()).digest('hex')
    return { at: this.#at, hash, parts: this.#parts }
  }

  close(): void {
    this.#cursor.close()
  }

  #take({ key, value }: Entry): void {
    const name = TABLES.get(key[PREFIX_BYTES] ?? 0)
    if (name !== this.#name) this.#endPart(undefined)
    this.#name = name
    if (name === undefined || this.#isPast(name, key, value)) return
    this.#run.sized(key.subarray(PREFIX_BYTES))
    this.#run.sized(name === 'state' ? comparable(value) : value)
    if (this.#run.length >= SCAN_CHUNK_BYTES) this.#flush()
    if (name !== 'rows' || this.#parts.length >= CONTENT_RANGES_MAX) return
    const row = key.subarray(PREFIX_BYTES + 1)
    if (murmur2(row) >>> 0 < this.#cut) this.#endPart(row)
  }

  /** A tombstone that each replica drops when it likes. */
  #isPast(name: ContentPart['name'], key: Uint8Array, value: Uint8Array): boolean {
    if (name === 'tombstones') return readUint64(key, PREFIX_BYTES + 1) < this.#kept
    if (name !== 'rows' || ((value[0] ?? 0) & TOMBSTONE_FLAG) === 0) return false
    // What is too short to be a row is hashed as it is: it differs.
    return (
      value.length >= 9 &&
      asBuffer(value).readUInt32BE(1) * 2 ** 32 + asBuffer(value).readUInt32BE(5) < this.#kept
    )
  }

  #flush(): void {
    if (this.#run.length === 0) return
    this.#hash ??= createHash('sha256')
    this.#hash.update(this.#run.view())
    this.#run.reset()
  }

  #endPart(until: Uint8Array | undefined): void {
    this.#flush()
    if (this.#name !== undefined && this.#hash !== undefined)
      this.#parts.push({
        name: this.#name,
        until: until === undefined ? undefined : Uint8Array.prototype.slice.call(until),
        hash: this.#hash.digest('hex'),
      })
    this.#hash = undefined
  }
}

/** The state without what each replica has for itself. @throws STORE_CORRUPT */
function comparable(stored: Uint8Array): Uint8Array {
  try {
    const none = 0 as Offset
    return encodeState({ ...decodeState(stored), historyStart: none, historyBytes: 0, tombstoneStart: none })
  } catch (caught) {
    if (caught !== MALFORMED) throw caught
    throw new TidemarkError('STORE_CORRUPT', 'the state of a replica is damaged')
  }
}

/** As it may have come over the wire: an empty key is none. */
interface NamedHash {
  readonly name: string
  readonly until: Uint8Array | undefined
  readonly hash: string
}

/** What one has and the other has not, or has otherwise, in words. */
export function differences(one: readonly NamedHash[], other: readonly NamedHash[]): readonly string[] {
  const found = [...one.filter((part) => !holds(other, part)), ...other.filter((part) => !holds(one, part))]
  return [...new Set(found.map(nameOf))]
}

function nameOf({ name, until = EMPTY }: NamedHash): string {
  if (name !== 'rows') return name
  return until.length === 0 ? 'the last rows' : `rows up to ${JSON.stringify(asBuffer(until).toString())}`
}

const holds = (parts: readonly NamedHash[], wanted: NamedHash): boolean =>
  parts.some((part) => nameOf(part) === nameOf(wanted) && part.hash === wanted.hash)
