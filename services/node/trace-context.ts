/** W3C trace context of a call: taken over when it is well formed, left alone otherwise. */
import type { Metadata } from '@grpc/grpc-js'

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** @returns empty text when there is none */
export function traceparentOf(call: { readonly metadata: Metadata }): string {
  const found = call.metadata.get('traceparent')[0]
  return typeof found === 'string' && isTraceparent(found) ? found : ''
}

export const isTraceparent = (text: string): boolean => TRACEPARENT.test(text)
