/**
 * Reads a copy and checks all that it proves: checksum and order of each chunk, then counts and hash of the whole, that the
 * state among its entries is the one that the header tells, and that nothing stands behind the end. Whoever installs, keeps
 * or verifies a copy reads it through here.
 */
import { createHash } from 'node:crypto'
import { compareBytes } from '../core/bytes.ts'
import { metaKey, replicaPrefix } from '../core/keys.ts'
import { COPY_ENTRY_BYTES_MAX } from '../core/limits.ts'
import { decodeState } from '../core/state.ts'
import { corrupt, decodeChunk, decodeHeader, decodeTrailer, readEntries } from './chunk.ts'
import type { Chunk, CopyHeader, CopyTrailer } from './chunk.ts'

/** The place of the state among the keys without prefix. */
const META = metaKey(replicaPrefix(0)).subarray(4)

export class CopyReader {
  readonly #hash = createHash('sha256')
  readonly #take: (key: Buffer, value: Buffer) => void
  #sequence = 0
  #entries = 0
  #bytes = 0
  #header: CopyHeader | undefined
  #trailer: CopyTrailer | undefined
  /** Pieces of a run that goes on. */
  #parts: Buffer[] = []
  #last: Buffer = Buffer.alloc(0)
  #metaSeen = false

  /** @param take - gets each entry, in order; both are views of the chunk. Nothing is proved before `finish` returned. */
  constructor(take: (key: Buffer, value: Buffer) => void = () => undefined) {
    this.#take = take
  }

  /** Undefined before the first chunk. */
  get header(): CopyHeader | undefined {
    return this.#header
  }
  get trailer(): CopyTrailer | undefined {
    return this.#trailer
  }
  /** The sequence that the next chunk must have. */
  get sequence(): number {
    return this.#sequence
  }
  get entries(): number {
    return this.#entries
  }

  /** @throws SNAPSHOT_CORRUPT, SNAPSHOT_FOREIGN */
  accept(bytes: Uint8Array): void {
    const chunk = decodeChunk(bytes)
    if (this.#trailer !== undefined) throw corrupt(`chunk ${chunk.sequence} stands behind the end`)
    if (chunk.sequence !== this.#sequence)
      throw corrupt(`chunk ${chunk.sequence} stands where chunk ${this.#sequence} belongs`)
    if ((this.#header === undefined) !== (chunk.kind === 'header'))
      throw corrupt(`chunk ${chunk.sequence} is of kind ${chunk.kind}, which cannot stand there`)
    if (chunk.kind === 'trailer') {
      this.#end(chunk)
      return
    }
    this.#hash.update(bytes)
    this.#sequence += 1
    this.#bytes += chunk.body.length
    if (chunk.kind === 'header') this.#header = decodeHeader(chunk.body)
    else this.#run(chunk)
  }

  /** @throws SNAPSHOT_CORRUPT where the copy has not come to its end */
  finish(): { readonly header: CopyHeader; readonly trailer: CopyTrailer } {
    if (this.#header === undefined || this.#trailer === undefined)
      throw corrupt(`it ends after ${this.#sequence} chunks, before its trailer`)
    return { header: this.#header, trailer: this.#trailer }
  }

  #run({ kind, body }: Chunk): void {
    if (kind === 'part') {
      const pending = this.#parts.reduce((sum, part) => sum + part.length, body.length)
      if (pending > COPY_ENTRY_BYTES_MAX) throw corrupt(`an entry has over ${COPY_ENTRY_BYTES_MAX} bytes`)
      // A copy: the chunk belongs to whoever handed it over.
      this.#parts.push(Buffer.from(body))
      return
    }
    const run = this.#parts.length === 0 ? body : Buffer.concat([...this.#parts, body])
    this.#parts = []
    this.#entries += readEntries(run, (key, value) => {
      // 0xff would lie past the span of the replica.
      if (key.length === 0 || key[0] === 0xff || compareBytes(key, this.#last) <= 0)
        throw corrupt(`entry ${this.#entries} has a key that cannot stand there`)
      this.#last = key
      if (key.length === META.length && compareBytes(key, META) === 0) this.#meta(value)
      this.#take(key, value)
    })
    this.#last = Buffer.from(this.#last)
  }

  #meta(value: Buffer): void {
    this.#metaSeen = true
    const { header } = this
    let fits = false
    try {
      const state = decodeState(value)
      fits =
        header !== undefined &&
        state.next === header.next &&
        state.partition === header.partition &&
        state.partitions === header.partitions &&
        state.topicIdentity === header.topicIdentity &&
        state.rows === header.rows &&
        compareBytes(state.chain, header.chain) === 0
    } catch {
      // Malformed: it fits nothing.
    }
    if (!fits) throw corrupt('its state is another than its header says')
  }

  #end({ body }: Chunk): void {
    const trailer = decodeTrailer(body)
    if (this.#parts.length > 0) throw corrupt('it ends inside an entry')
    if (!this.#metaSeen) throw corrupt('it holds no state')
    if (trailer.entries !== this.#entries || trailer.bytes !== this.#bytes)
      throw corrupt(
        `it has ${this.#entries} entries in ${this.#bytes} bytes, its trailer says ${trailer.entries} in ${trailer.bytes}`,
      )
    if (compareBytes(trailer.sha256, this.#hash.digest()) !== 0) throw corrupt('its hash is another')
    this.#trailer = trailer
  }
}
