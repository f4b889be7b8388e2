/**
 * The mark of a request that a node has sent on: who gets it answers from its own replicas or fails with
 * PARTITION_ELSEWHERE, and never sends it on again. So no request goes further than one hop, whatever the maps say.
 */
import { Metadata } from '@grpc/grpc-js'

const HOP_HEADER = 'tidemark-hop'

/** For all forwarded calls that carry no trace context. Never changed. */
const HOP = withHop(new Metadata())

function withHop(metadata: Metadata): Metadata {
  metadata.set(HOP_HEADER, '1')
  return metadata
}

/** @param traceparent - of the request that is sent on */
export function hopMetadata(traceparent?: string): Metadata {
  if (traceparent === undefined) return HOP
  const metadata = withHop(new Metadata())
  metadata.set('traceparent', traceparent)
  return metadata
}

export const isForwarded = (call: { readonly metadata: Metadata }): boolean =>
  call.metadata.get(HOP_HEADER).length > 0
