/** What a mutation counts for in the bounds of the writer. */
import type { Mutation } from '../core/mutation.ts'

/** Not less than the bytes of the mutation in a pack, as far as PACK_BYTES_TARGET and the bound of a record need it. */
export function bytesOf(mutation: Mutation): number {
  let bytes = 64 + (mutation.requestId?.length ?? 0) + (mutation.traceparent?.length ?? 0)
  if (mutation.kind === 'put')
    return bytes + mutation.key.length + mutation.value.length + (mutation.contentType?.length ?? 0)
  if (mutation.kind !== 'txn') return bytes + mutation.key.length
  for (const compare of mutation.compares)
    bytes += compare.key.length + (compare.target === 'value' ? compare.value.length : 8)
  for (const changes of [mutation.thenChanges, mutation.elseChanges])
    for (const change of changes)
      bytes += change.key.length + (change.kind === 'put' ? change.value.length : 20) + 16
  return bytes
}
