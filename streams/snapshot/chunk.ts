/**
 * The form of a copy: all that one replica has in its store at one offset, as a sequence of chunks that carry their own proof.
 * It travels between nodes and lies in snapshots. FROZEN grammar (u32 big endian, varints and sized bytes as in core/bytes.ts):
 *
 *   copy    := header (rows | part)* trailer
 *   chunk   := kind:u8 sequence:u32 length:u32 body(length) crc:u32        crc = CRC-32C of all before it
 *   header  := kind 1: format cluster logIdentity topic topicIdentity partition partitions next rows chain(32)
 *   rows    := kind 2: entry*            ends with an entry
 *   part    := kind 3: a piece of the same run of entries that goes on in the next chunk
 *   entry   := key value                 both sized; the key without the prefix of the replica, rising
 *   trailer := kind 4: entries bytes sha256(32)    of all chunks before it: bytes of their bodies, hash of all of them
 *
 * Sequences rise by one from 0. An entry stands in one chunk, unless it alone is larger than a chunk may be.
 */
import { crc32c } from '@node-rs/crc32'
import { ByteReader, ByteWriter, asBuffer } from '../core/bytes.ts'
import { TidemarkError } from '../core/errors.ts'
import type { Offset, Partition } from '../core/types.ts'

export const COPY_FORMAT = 1

/** Which replica a copy is of, and as of when. */
export interface CopyHeader {
  readonly cluster: string
  readonly logIdentity: string
  readonly topic: string
  readonly topicIdentity: string
  readonly partition: Partition
  readonly partitions: number
  /** All records below it are applied, none from it on. */
  readonly next: Offset
  /** Living rows. */
  readonly rows: number
  /** The chain hash of the replica at `next`. */
  readonly chain: Uint8Array
}

export interface CopyTrailer {
  readonly entries: number
  /** Of all bodies before. */
  readonly bytes: number
  /** SHA-256 over all chunks before. */
  readonly sha256: Uint8Array
}

const KINDS = ['header', 'rows', 'part', 'trailer'] as const
export type ChunkKind = (typeof KINDS)[number]

export interface Chunk {
  readonly kind: ChunkKind
  readonly sequence: number
  readonly body: Buffer
}

/** Bytes before the body; behind it stand CRC_BYTES. */
const HEAD_BYTES = 9
const CRC_BYTES = 4
const HASH_BYTES = 32

/** Bytes of a chunk beside its body. */
export const CHUNK_OVERHEAD_BYTES = HEAD_BYTES + CRC_BYTES

export function encodeChunk(kind: ChunkKind, sequence: number, body: Uint8Array): Buffer {
  const chunk = Buffer.allocUnsafe(HEAD_BYTES + body.length + CRC_BYTES)
  chunk[0] = KINDS.indexOf(kind) + 1
  chunk.writeUInt32BE(sequence, 1)
  chunk.writeUInt32BE(body.length, 5)
  chunk.set(body, HEAD_BYTES)
  chunk.writeUInt32BE(crc32c(chunk.subarray(0, -CRC_BYTES)), chunk.length - CRC_BYTES)
  return chunk
}

/** Checks length and checksum. @throws SNAPSHOT_CORRUPT */
export function decodeChunk(bytes: Uint8Array): Chunk {
  const chunk = asBuffer(bytes)
  if (chunk.length < CHUNK_OVERHEAD_BYTES) throw corrupt(`a chunk has ${chunk.length} bytes`)
  const kind = KINDS[chunk.readUInt8(0) - 1]
  const sequence = chunk.readUInt32BE(1)
  const end = chunk.length - CRC_BYTES
  if (
    chunk.readUInt32BE(5) !== end - HEAD_BYTES ||
    chunk.readUInt32BE(end) !== crc32c(chunk.subarray(0, end))
  )
    throw corrupt(`chunk ${sequence} is damaged: length or checksum do not fit`)
  if (kind === undefined)
    throw corrupt(`chunk ${sequence} has kind ${chunk[0]}, which this version does not know`)
  return { kind, sequence, body: chunk.subarray(HEAD_BYTES, end) }
}

/** Bytes of the chunk that begins at the start of `bytes`; undefined where too few stand there to tell. */
export const chunkBytes = (bytes: Buffer): number | undefined =>
  bytes.length < HEAD_BYTES ? undefined : bytes.readUInt32BE(5) + CHUNK_OVERHEAD_BYTES

export function encodeHeader(header: CopyHeader): Buffer {
  const writer = new ByteWriter(256)
  writer.varint(COPY_FORMAT)
  writer.text(header.cluster)
  writer.text(header.logIdentity)
  writer.text(header.topic)
  writer.text(header.topicIdentity)
  writer.varint(header.partition)
  writer.varint(header.partitions)
  writer.varint(header.next)
  writer.varint(header.rows)
  writer.raw(header.chain)
  return writer.bytes()
}

/** @throws SNAPSHOT_CORRUPT, SNAPSHOT_FOREIGN for a format of a newer version */
export const decodeHeader = (body: Uint8Array): CopyHeader =>
  strictly('the header', body, (reader) => {
    const format = reader.varint()
    if (format !== COPY_FORMAT)
      throw new TidemarkError(
        'SNAPSHOT_FOREIGN',
        `the copy has format ${format}, this node reads format ${COPY_FORMAT}: use a version of Tidemark that wrote it`,
      )
    return {
      cluster: reader.text(),
      logIdentity: reader.text(),
      topic: reader.text(),
      topicIdentity: reader.text(),
      partition: reader.varint() as Partition,
      partitions: reader.varint(),
      next: reader.varint() as Offset,
      rows: reader.varint(),
      chain: Buffer.from(reader.raw(HASH_BYTES)),
    }
  })

export function encodeTrailer(trailer: CopyTrailer): Buffer {
  const writer = new ByteWriter(64)
  writer.varint(trailer.entries)
  writer.varint(trailer.bytes)
  writer.raw(trailer.sha256)
  return writer.bytes()
}

/** @throws SNAPSHOT_CORRUPT */
export const decodeTrailer = (body: Uint8Array): CopyTrailer =>
  strictly('the trailer', body, (reader) => ({
    entries: reader.varint(),
    bytes: reader.varint(),
    sha256: Buffer.from(reader.raw(HASH_BYTES)),
  }))

/** Reads all of it, or refuses it. */
function strictly<T>(what: string, body: Uint8Array, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(body)
  let value: T
  try {
    value = read(reader)
  } catch (caught) {
    if (caught instanceof TidemarkError) throw caught
    throw corrupt(`${what} is malformed`)
  }
  if (!reader.done) throw corrupt(`${what} has bytes behind its end`)
  return value
}

/** Hands over the entries of a run in its order; both are views. @throws SNAPSHOT_CORRUPT */
export function readEntries(run: Buffer, take: (key: Buffer, value: Buffer) => void): number {
  const reader = new ByteReader(run)
  let entries = 0
  try {
    while (!reader.done) {
      const keyBytes = reader.varint()
      const key = run.subarray(reader.at, reader.at + keyBytes)
      reader.at += keyBytes
      const valueBytes = reader.varint()
      const value = run.subarray(reader.at, reader.at + valueBytes)
      reader.at += valueBytes
      if (reader.at > run.length) throw corrupt('an entry reaches past the end of its chunk')
      take(key, value)
      entries += 1
    }
  } catch (caught) {
    if (caught instanceof TidemarkError) throw caught
    throw corrupt('an entry is malformed')
  }
  return entries
}

export const corrupt = (what: string): TidemarkError =>
  new TidemarkError('SNAPSHOT_CORRUPT', `the copy is damaged: ${what}`)
