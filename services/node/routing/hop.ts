/**
 * The mark of a request that a node has sent on: who gets it answers from its own replicas or fails with
 * PARTITION_ELSEWHERE, and never sends it on again. So no request goes further than one hop, whatever the maps say.
 */
import { Metadata } from '@grpc/grpc-js'
import { type Partition, partition } from '../../../streams/core/types.ts'

const HOP_HEADER = 'tidemark-hop'
/** Numbers of the partitions that a request among nodes is about, with commas between. */
const PARTITIONS_HEADER = 'tidemark-partitions'

/** Never changed: all calls to peers share it. */
const HOP = new Metadata()
HOP.set(HOP_HEADER, '1')

export const hopMetadata = (): Metadata => HOP

export const isForwarded = (call: { readonly metadata: Metadata }): boolean =>
  call.metadata.get(HOP_HEADER).length > 0

/** The mark, with the partitions that a request is about; undefined: none in particular. */
export function withPartitions(mark: Metadata, partitions: readonly Partition[] | undefined): Metadata {
  if (partitions === undefined) return mark
  const metadata = mark.clone()
  metadata.set(PARTITIONS_HEADER, partitions.join())
  return metadata
}

/** The mark, with the trace of the first of many reads that go together. */
export function withTrace(mark: Metadata, traces: ReadonlyMap<unknown, string> | undefined): Metadata {
  const [traceparent] = traces?.values() ?? []
  if (traceparent === undefined) return mark
  const metadata = mark.clone()
  metadata.set('traceparent', traceparent)
  return metadata
}

/** Undefined where another node names none, or a client has sent the request. */
export function forwardedPartitions(call: { readonly metadata: Metadata }): Partition[] | undefined {
  const [text] = isForwarded(call) ? call.metadata.get(PARTITIONS_HEADER) : []
  return text === undefined
    ? undefined
    : String(text)
        .split(',')
        .map((number) => partition(Number(number)))
}
