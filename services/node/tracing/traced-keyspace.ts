/** A keyspace that makes a span of each traced operation of a Pipeline stream, and hands on the context of that span in place of the caller's. */
import { TidemarkError } from '../../../streams/core/errors.ts'
import type { Keyspace, WriteResult } from '../../../streams/face.ts'

/** What makes a span of an operation of a Pipeline stream. */
export interface OperationSpans {
  /** @param traceparent - its own; undefined: it came without */
  began(operation: string, keyspace: string, traceparent: string | undefined): OperationSpan | undefined
}

export interface OperationSpan {
  /** What the operation carries from here on. */
  readonly traceparent: string
  ended(thrown?: unknown): void
}

const NAMES = { put: 'Put', delete: 'Delete', increment: 'Increment', txn: 'Transact' } as const

export function tracedKeyspace(keyspace: Keyspace, spans: OperationSpans): Keyspace {
  const { name } = keyspace.info
  const submit: Keyspace['submit'] = (mutation, options, settle, reads) => {
    const span = spans.began(NAMES[mutation.kind], name, mutation.traceparent)
    if (span === undefined) {
      keyspace.submit(mutation, options, settle, reads)
      return
    }
    const settleTraced = (result: WriteResult | TidemarkError): void => {
      span.ended(result instanceof TidemarkError ? result : rejectionOf(result))
      settle(result)
    }
    keyspace.submit({ ...mutation, traceparent: span.traceparent }, options, settleTraced, reads)
  }
  return {
    info: keyspace.info,
    partitionOf: (key) => keyspace.partitionOf(key),
    write: (mutation, options, reads) =>
      new Promise((resolve, reject) => {
        const settle = (result: WriteResult | TidemarkError): void => {
          if (result instanceof TidemarkError) reject(result)
          else resolve(result)
        }
        submit(mutation, options, settle, reads)
      }),
    submit,
    async getMany(keys, freshness) {
      const begun = new Map<Uint8Array, OperationSpan>()
      if (freshness.traces !== undefined)
        for (const key of keys) {
          const traceparent = freshness.traces.get(key)
          const span = traceparent === undefined ? undefined : spans.began('Get', name, traceparent)
          if (span !== undefined) begun.set(key, span)
        }
      else {
        // One throw of the dice for all of them: they are answered together.
        const [key] = keys
        const span = spans.began('Get', name, undefined)
        if (key !== undefined && span !== undefined) begun.set(key, span)
      }
      if (begun.size === 0) return keyspace.getMany(keys, freshness)
      const traces = new Map([...begun].map(([key, { traceparent }]) => [key, traceparent]))
      return ending([...begun.values()], keyspace.getMany(keys, { ...freshness, traces }))
    },
    get: (key, freshness) => keyspace.get(key, freshness),
    getAt: (key, at, freshness) => keyspace.getAt(key, at, freshness),
    scan: (options) => keyspace.scan(options),
    watch: (options) => keyspace.watch(options),
    history: (key, limit, freshness) => keyspace.history(key, limit, freshness),
    barrier: (partition, requestId, deadline) => keyspace.barrier(partition, requestId, deadline),
    findBarrier: (partition, requestId, deadline) => keyspace.findBarrier(partition, requestId, deadline),
    outcome: (partition, offset, deadline) => keyspace.outcome(partition, offset, deadline),
  }
}

/** A write that the log rejected has ended well for the face; the caller gets an error. */
const rejectionOf = ({ outcome }: WriteResult): TidemarkError | undefined =>
  outcome?.status === 'rejected' ? new TidemarkError(outcome.reason, 'rejected by apply') : undefined

async function ending<Result>(spans: readonly OperationSpan[], result: Promise<Result>): Promise<Result> {
  try {
    const done = await result
    for (const span of spans) span.ended()
    return done
  } catch (caught) {
    for (const span of spans) span.ended(caught)
    throw caught
  }
}
