/** What all calls of one client share, and how one unary call is made. */
import type { ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js'
import type { ClusterServiceClient } from '../../proto/generated/tidemark/v1/cluster_service.ts'
import type { KeyspaceServiceClient } from '../../proto/generated/tidemark/v1/keyspace_service.ts'
import type { KeyValueServiceClient } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { Consistency, Durability, type Token } from '../../proto/generated/tidemark/v1/types.ts'
import { backoffMs, rest } from './backoff.ts'
import { checkedDeadline } from './checks.ts'
import { closedError, failureOf } from './failure.ts'
import type { ConsistencyName } from './index.ts'
import type { Pipeline } from './pipeline.ts'
import type { SessionToken } from './session-token.ts'

export interface Link {
  readonly server: string
  readonly rows: KeyValueServiceClient
  readonly keyspaces: KeyspaceServiceClient
  readonly cluster: ClusterServiceClient
  /** One for each connection; a key always takes the same one. */
  readonly pipelines: readonly [Pipeline, ...Pipeline[]]
  readonly token: SessionToken
  readonly consistency: ConsistencyName
  readonly deadlineMs: number
  readonly retryUnreachable: boolean
  readonly emptyMetadata: Metadata
  /** Aborted by close(). */
  readonly closed: AbortSignal
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

export function freshness(link: Link, keyspace: string, name: ConsistencyName | undefined): FreshnessFields {
  const consistency = CONSISTENCY[name ?? link.consistency]
  const token = consistency === Consistency.CONSISTENCY_SESSION ? link.token.of(keyspace) : undefined
  return { consistency, token }
}

type Send<Response> = (
  metadata: Metadata,
  options: { readonly deadline: number },
  done: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

/** One unary call that may be repeated: retried until its deadline where a retry can mend it. */
export async function ask<Response>(
  link: Link,
  deadlineMs: number | undefined,
  send: Send<Response>,
): Promise<Response> {
  const deadline = Date.now() + (deadlineMs === undefined ? link.deadlineMs : checkedDeadline(deadlineMs))
  for (let failures = 1; ; failures += 1) {
    if (link.closed.aborted) throw closedError()
    try {
      return await once(link, deadline, send)
    } catch (error) {
      const failure = failureOf(error as ServiceError, link.server)
      const pause = backoffMs(failures)
      const hopeless = failure.reason === 'NODE_UNREACHABLE' && !link.retryUnreachable
      if (!failure.retriable || hopeless || Date.now() + pause >= deadline) throw failure
      await rest(pause, link.closed)
    }
  }
}

const once = <Response>(link: Link, deadline: number, send: Send<Response>): Promise<Response> =>
  new Promise((resolve, reject) => {
    send(link.emptyMetadata, { deadline }, (error, response) => {
      if (error === null) resolve(response)
      else reject(error)
    })
  })
