/** What travels to the log for a writer: which mutations and control records become one record, and how many bytes they count. */
import { assert, must } from '../core/assert.ts'
import { encodeBarrier, encodeMutation, encodePack } from '../core/encode.ts'
import { PackWriter } from '../core/messages.ts'
import type { Mutation } from '../core/mutation.ts'
import type { NewRecord, Offset } from '../core/types.ts'
import { isSampled } from '../tracing.ts'
import type { Replica } from './replica.ts'

/** What travels: a mutation, a control record of this node, or one barrier for all that wait for it. */
export type Item =
  | { readonly kind: 'mutation'; readonly mutation: Mutation }
  | { readonly kind: 'control'; readonly record: NewRecord }
  | { readonly kind: 'barrier' }

/**
 * One record of what waits: a control record or transaction alone, one barrier for any number, a single mutation as a record of
 * its own, several as a pack.
 * @param own - a request id that was never used; a mutation alone travels under its own, if it has one
 */
export function makeRecord(
  waiting: readonly { readonly item: Item }[],
  own: string,
): { readonly record: NewRecord; readonly requestId: string } {
  const first = must(waiting[0], 'a record to write').item
  if (first.kind !== 'mutation') {
    const control = first.kind === 'control' ? first.record : encodeBarrier()
    const headers = new Map([...control.headers, ['tm-request-id', Buffer.from(own)] as const])
    return { record: { ...control, headers }, requestId: own }
  }
  if (waiting.length === 1) {
    const requestId = first.mutation.requestId ?? own
    const record = encodeMutation({ ...first.mutation, requestId })
    const { traceparent } = first.mutation
    if (traceparent === undefined || !isSampled(traceparent)) return { record, requestId }
    return { record: { ...record, traces: [traceparent] }, requestId }
  }
  const pack = new PackWriter()
  let traces: string[] | undefined
  for (const { item } of waiting) {
    assert(item.kind === 'mutation' && item.mutation.kind !== 'txn', 'a pack holds mutations of rows only')
    pack.add(item.mutation)
    const { traceparent } = item.mutation
    if (traceparent !== undefined && isSampled(traceparent)) (traces ??= []).push(traceparent)
  }
  const record = encodePack(pack.finish(), own)
  return { record: traces === undefined ? record : { ...record, traces }, requestId: own }
}

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

/** What the writer of a control record is told. */
export const offsetOf = (_: Replica, { offset }: { readonly offset: Offset }): Offset => offset

export const nameOf = (replica: Replica): string => `${replica.topic}/${replica.state.partition}`
