/**
 * The mark of a request that a node has sent on: who gets it answers from its own replicas or fails with
 * PARTITION_ELSEWHERE, and never sends it on again. So no request goes further than one hop, whatever the maps say.
 */
import { Metadata } from '@grpc/grpc-js'

const HOP_HEADER = 'tidemark-hop'

/** Never changed: all calls to peers share it. */
const HOP = new Metadata()
HOP.set(HOP_HEADER, '1')

export const hopMetadata = (): Metadata => HOP

export const isForwarded = (call: { readonly metadata: Metadata }): boolean =>
  call.metadata.get(HOP_HEADER).length > 0
