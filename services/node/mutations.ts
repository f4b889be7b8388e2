/** Mutations of one row: from a request, unary or of a frame, to the face, which checks them. */
import type { DeleteMutation, IncrementMutation, PutMutation } from '../../streams/core/mutation.ts'
import { offset } from '../../streams/core/types.ts'

type Building<T> = { -readonly [Name in keyof T]: T[Name] }

interface Write {
  readonly key: Uint8Array
  readonly ifVersion?: number | undefined
}

/** Sets only what is there: the optional properties of the face are absent, never undefined. Empty text = none. */
function conditions(
  mutation: Building<PutMutation | DeleteMutation | IncrementMutation>,
  write: Write,
  requestId: string,
  traceparent: string,
): void {
  if (write.ifVersion !== undefined) mutation.ifVersion = offset(write.ifVersion)
  if (requestId !== '') mutation.requestId = requestId
  if (traceparent !== '') mutation.traceparent = traceparent
}

export interface Put extends Write {
  readonly value: Uint8Array
  readonly ttlMs?: number | undefined
  readonly contentType: string
}

export function toPut(put: Put, requestId: string, traceparent: string): PutMutation {
  const mutation: Building<PutMutation> = { kind: 'put', key: put.key, value: put.value }
  if (put.ttlMs !== undefined) mutation.ttlMs = put.ttlMs
  if (put.contentType !== '') mutation.contentType = put.contentType
  conditions(mutation, put, requestId, traceparent)
  return mutation
}

export function toDelete(write: Write, requestId: string, traceparent: string): DeleteMutation {
  const mutation: Building<DeleteMutation> = { kind: 'delete', key: write.key }
  conditions(mutation, write, requestId, traceparent)
  return mutation
}

export interface Increment extends Write {
  /** Decimal text, signed 64 bit. */
  readonly delta: string
  readonly ttlMs?: number | undefined
}

export function toIncrement(write: Increment, requestId: string, traceparent: string): IncrementMutation {
  const mutation: Building<IncrementMutation> = {
    kind: 'increment',
    key: write.key,
    delta: BigInt(write.delta),
  }
  if (write.ttlMs !== undefined) mutation.ttlMs = write.ttlMs
  conditions(mutation, write, requestId, traceparent)
  return mutation
}
