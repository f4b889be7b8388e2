/** Finds the chunks of a copy in a stream of bytes, as objects of a snapshot are. */
import { COPY_PART_BYTES } from '../core/limits.ts'
import { CHUNK_OVERHEAD_BYTES, chunkBytes, corrupt } from './chunk.ts'

const CHUNK_BYTES_MAX = COPY_PART_BYTES + CHUNK_OVERHEAD_BYTES

/** @throws SNAPSHOT_CORRUPT where a length cannot be right, or the end comes inside a chunk; the rest is for whoever reads the chunks */
export async function* chunksFrom(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let waiting: Uint8Array[] = []
  let gathered = 0
  let wanted = 1
  for await (const piece of pieces) {
    waiting.push(piece)
    gathered += piece.length
    if (gathered < wanted) continue
    const all = Buffer.concat(waiting)
    let at = 0
    for (;;) {
      wanted = chunkBytes(all.subarray(at)) ?? CHUNK_OVERHEAD_BYTES
      if (wanted > CHUNK_BYTES_MAX) throw corrupt(`a chunk says that it has ${wanted} bytes`)
      if (all.length - at < wanted) break
      yield all.subarray(at, at + wanted)
      at += wanted
    }
    waiting = [all.subarray(at)]
    gathered = all.length - at
  }
  if (gathered > 0) throw corrupt(`it ends inside a chunk: ${gathered} of ${wanted} bytes are there`)
}
