/** One unary call that may be repeated: tried, on other nodes where there are some, until its deadline. */
import type { ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js'
import { backoffMs, rest } from './backoff.ts'
import { checkedDeadline } from './checks.ts'
import { type Context, metadataOf } from './context.ts'
import { closedError, failureOf } from './failure.ts'
import type { NodeLink } from './node-link.ts'
import type { Place } from './routes.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'

export type Send<Response> = (
  link: NodeLink,
  metadata: Metadata,
  options: { readonly deadline: number },
  done: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall

export interface AskOptions {
  readonly deadlineMs: number | undefined
  /** What it is about; undefined = any node can do it. */
  readonly place?: Place
  /** The nearest replica will do. Default: the leader is best. */
  readonly near?: boolean
  /** Instead of the node that the place says. */
  readonly choose?: () => NodeLink
  /** Ends it: nobody waits for the answer any more. */
  readonly cancelled?: AbortSignal
  /** Told before each attempt. */
  readonly onAttempt?: (link: NodeLink) => void
}

export const deadlineOf = (context: Context, deadlineMs: number | undefined): number =>
  Date.now() + (deadlineMs === undefined ? context.deadlineMs : checkedDeadline(deadlineMs))

export async function ask<Response>(
  context: Context,
  options: AskOptions,
  send: Send<Response>,
): Promise<Response> {
  const { router } = context
  const { place, near = false, cancelled } = options
  const deadline = deadlineOf(context, options.deadlineMs)
  let last: TidemarkError | undefined
  for (let failures = 1; ; failures += 1) {
    if (context.closed.aborted) throw closedError()
    const link = options.choose?.() ?? router.linkOf(place, near)
    options.onAttempt?.(link)
    try {
      return await askOnce(context, link, deadline, send, cancelled)
    } catch (error) {
      const failure = failureOf(error as ServiceError, link.address)
      if (cancelled?.aborted === true) throw failure
      // The deadline passed while it waited for a connection: why there was none says more.
      if (failure.reason === 'DEADLINE_EXCEEDED' && last !== undefined && link.unconnected) throw last
      last = failure
      await beforeNext(context, failure, failures, deadline, router.failed(link, place, failure, near))
    }
  }
}

/** Rests before the next attempt, unless another node is there. @throws the failure where there is to be none */
export async function beforeNext(
  context: Context,
  failure: TidemarkError,
  failures: number,
  deadline: number,
  elsewhere: boolean,
): Promise<void> {
  if (elsewhere && Date.now() < deadline) return
  const hopeless = failure.reason === 'NODE_UNREACHABLE' && !context.router.retryUnreachable
  const pause = backoffMs(failures)
  if (!failure.retriable || hopeless || Date.now() + pause >= deadline) throw failure
  await rest(pause, context.closed)
}

/** @throws ServiceError */
export function askOnce<Response>(
  context: Context,
  link: NodeLink,
  deadline: number,
  send: Send<Response>,
  cancelled?: AbortSignal,
): Promise<Response> {
  link.use()
  return new Promise((resolve, reject) => {
    const cancel = (): void => call.cancel()
    const call = send(link, metadataOf(context), { deadline }, (error, response) => {
      link.calls.delete(call)
      cancelled?.removeEventListener('abort', cancel)
      if (error === null) resolve(response)
      else reject(error)
    })
    link.calls.add(call)
    cancelled?.addEventListener('abort', cancel)
  })
}
