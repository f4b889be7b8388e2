/**
 * A scan as an async iterator: pulls as fast as its reader does, frees the call when the reader leaves. One node does it, and has
 * from others what it does not hold. When that node is lost another goes on after the last row delivered, with what the scan has
 * shown as token: no row comes twice or is left out, and those that follow are at least as new.
 */
import type { ClientReadableStream } from '@grpc/grpc-js'
import type { ScanRequest, ScanResponse } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { Consistency, type Token } from '../../proto/generated/tidemark/v1/types.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { backoffMs, rest } from './backoff.ts'
import { EMPTY, toBuffer } from './bytes.ts'
import { checkedDeadline, checkedWhole } from './checks.ts'
import { closedError, failureOf, isServiceError } from './failure.ts'
import { asOfField, freshness, type Context, type FreshnessFields } from './context.ts'
import type { NodeLink } from './node-link.ts'
import { toRow, type Row } from './row.ts'
import type { ScanOptions } from './types.ts'

export function scan(context: Context, keyspace: string, options: ScanOptions): AsyncIterableIterator<Row> {
  const bytes = (field: 'prefix' | 'start' | 'end'): Buffer => {
    const given = options[field]
    return given === undefined ? EMPTY : toBuffer(given, field)
  }
  return run(context, keyspace, options, {
    prefix: bytes('prefix'),
    start: bytes('start'),
    end: bytes('end'),
    left: options.limit === undefined ? Infinity : checkedWhole(options.limit, 'limit'),
    shown: undefined,
    ...asOfField(options.asOf),
  })
}

/** What is still to be delivered. */
interface Rest {
  readonly prefix: Buffer
  readonly asOf: Token | undefined
  start: Buffer
  end: Buffer
  left: number
  /** What the rows delivered are of; undefined before the node said so. */
  shown: Token | undefined
}

async function* run(
  context: Context,
  keyspace: string,
  options: ScanOptions,
  todo: Rest,
): AsyncGenerator<Row> {
  const { router, closed } = context
  let failures = 0
  let since = 0
  while (todo.left > 0) {
    if (closed.aborted) throw closedError()
    const link = router.linkOf(undefined, true)
    link.use()
    const call = link.rows.scan(toRequest(context, keyspace, options, todo), deadlineOf(options))
    try {
      for await (const row of rowsOf(context, link, call, todo)) {
        failures = 0
        todo.left -= 1
        if (options.reverse === true) todo.end = row.key
        else todo.start = Buffer.concat([row.key, Buffer.of(0)])
        yield toRow(row)
      }
      return
    } catch (error) {
      if (!isServiceError(error)) throw error
      if (closed.aborted) throw closedError() // an end would look like the end of the rows
      const failure = failureOf(error, link.address)
      if (failures === 0) since = performance.now()
      failures += 1
      const elsewhere = router.failed(link, undefined, failure)
      const late = performance.now() - since > (options.deadlineMs ?? context.deadlineMs)
      if (!goesOn(failure, options.restartable, router.clustered && !late, elsewhere)) throw failure
      if (!elsewhere || failures > 1) await rest(backoffMs(failures), closed)
    }
  }
}

function goesOn(
  failure: TidemarkError,
  restartable: boolean | undefined,
  clustered: boolean,
  elsewhere: boolean,
): boolean {
  if (failure.reason === 'DEADLINE_EXCEEDED') return false
  return (failure.retriable || elsewhere) && (restartable ?? clustered)
}

async function* rowsOf(
  { token, closed }: Context,
  link: NodeLink,
  call: ClientReadableStream<ScanResponse>,
  todo: Rest,
) {
  const cancel = (): void => call.cancel()
  call.on('error', cancel) // an 'error' after the loop has been left must not stop the process
  closed.addEventListener('abort', cancel)
  link.calls.add(call)
  try {
    for await (const response of call as AsyncIterable<ScanResponse>) {
      token.advanceAll(response.token)
      todo.shown = response.token ?? todo.shown
      yield* response.rows
    }
  } finally {
    closed.removeEventListener('abort', cancel)
    link.calls.delete(call)
    call.cancel()
  }
}

const toRequest = (context: Context, keyspace: string, options: ScanOptions, todo: Rest): ScanRequest => ({
  keyspace,
  prefix: todo.prefix,
  start: todo.start,
  end: todo.end,
  limit: todo.left === Infinity ? 0 : todo.left,
  reverse: options.reverse ?? false,
  keysOnly: options.keysOnly ?? false,
  partitions: [],
  asOf: todo.asOf,
  ...freshnessAfter(freshness(context, keyspace, options.consistency), todo.shown),
})

/** What promises nothing must not go back all the same, once rows have been shown. */
const freshnessAfter = (asked: FreshnessFields, shown: Token | undefined): FreshnessFields =>
  shown === undefined || asked.consistency !== Consistency.CONSISTENCY_EVENTUAL
    ? asked
    : { consistency: Consistency.CONSISTENCY_SESSION, token: shown }

const deadlineOf = ({ deadlineMs }: ScanOptions): { readonly deadline?: number } =>
  deadlineMs === undefined ? {} : { deadline: Date.now() + checkedDeadline(deadlineMs) }
