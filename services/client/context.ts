/** What all calls of one client share. */
import { Metadata } from '@grpc/grpc-js'
import { Consistency, Durability, type Token } from '../../proto/generated/tidemark/v1/types.ts'
import type { Router } from './router.ts'
import { parseToken, type SessionToken } from './session-token.ts'
import type { ConsistencyName } from './types.ts'

export interface Context {
  readonly router: Router
  readonly token: SessionToken
  readonly consistency: ConsistencyName
  readonly deadlineMs: number
  readonly emptyMetadata: Metadata
  /** The trace context of what is asked now. */
  readonly traceparent?: (() => string | undefined) | undefined
  /** Aborted by close(). */
  readonly closed: AbortSignal
}

/** What a call carries beside its request. */
export function metadataOf({ traceparent, emptyMetadata }: Context): Metadata {
  const text = traceparent?.()
  if (text === undefined) return emptyMetadata
  const metadata = new Metadata()
  metadata.set('traceparent', text)
  return metadata
}

export const CONSISTENCY: Readonly<Record<ConsistencyName, Consistency>> = {
  linearizable: Consistency.CONSISTENCY_LINEARIZABLE,
  session: Consistency.CONSISTENCY_SESSION,
  eventual: Consistency.CONSISTENCY_EVENTUAL,
}

export const DURABILITY: Readonly<Record<'applied' | 'logged', Durability>> = {
  applied: Durability.DURABILITY_APPLIED,
  logged: Durability.DURABILITY_LOGGED,
}

/** What a read demands, as its request says it. */
export interface FreshnessFields {
  readonly consistency: Consistency
  readonly token: Token | undefined
}

export function freshness(
  context: Context,
  keyspace: string,
  name: ConsistencyName | undefined,
): FreshnessFields {
  const consistency = CONSISTENCY[name ?? context.consistency]
  const token = consistency === Consistency.CONSISTENCY_SESSION ? context.token.of(keyspace) : undefined
  return { consistency, token }
}

/** True where the nearest replica will do: the others are best read from the leader. */
export const readsNear = (context: Context, name: ConsistencyName | undefined): boolean =>
  (name ?? context.consistency) !== 'linearizable'

/** The token of a read of the past, as its request says it; undefined: of what stands. @throws TOKEN_INVALID */
export const asOfField = (asOf: string | undefined): { readonly asOf: Token | undefined } => ({
  asOf: asOf === undefined ? undefined : parseToken(asOf),
})
