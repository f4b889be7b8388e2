/**
 * Key → partition, as Kafka's Java clients do it: murmur2 of the key's bytes with seed 0x9747b28c, made positive, modulo
 * the number of partitions (org.apache.kafka.common.utils.Utils.murmur2, BuiltInPartitioner). FROZEN: a key that moved
 * would be lost. Vectors stand in proto/record.md.
 */
import { EMPTY } from './bytes.ts'
import type { Partition, PartitionBy } from './types.ts'

const M = 0x5bd1e995
const SEED = 0x9747b28c

/** @returns a signed 32-bit integer, as Java has it. */
export function murmur2(data: Uint8Array, length = data.length): number {
  let hash = SEED ^ length
  const words = length & ~3
  for (let at = 0; at < words; at += 4) {
    let word =
      (data[at] ?? 0) | ((data[at + 1] ?? 0) << 8) | ((data[at + 2] ?? 0) << 16) | ((data[at + 3] ?? 0) << 24)
    word = Math.imul(word, M)
    word ^= word >>> 24
    word = Math.imul(word, M)
    hash = Math.imul(hash, M) ^ word
  }
  const rest = length & 3
  if (rest === 3) hash ^= (data[words + 2] ?? 0) << 16
  if (rest >= 2) hash ^= (data[words + 1] ?? 0) << 8
  if (rest >= 1) hash = Math.imul(hash ^ (data[words] ?? 0), M)
  hash ^= hash >>> 13
  hash = Math.imul(hash, M)
  return hash ^ (hash >>> 15)
}

/** The partition of a key among `partitions`, 1 or more. */
export function partitionOf(key: Uint8Array, partitions: number, by: PartitionBy): Partition {
  const length = by.kind === 'key' ? key.length : prefixLength(key, by.separator)
  return ((murmur2(key, length) & 0x7fffffff) % partitions) as Partition
}

/** Empty where the whole key counts: what a `format` record says of it. */
export const separatorOf = (by: PartitionBy): Uint8Array => (by.kind === 'key' ? EMPTY : by.separator)

/** Bytes before the first separator; the whole key where it has none. */
function prefixLength(key: Uint8Array, separator: Uint8Array): number {
  const at = Buffer.from(key.buffer, key.byteOffset, key.length).indexOf(separator)
  return at < 0 ? key.length : at
}
