/** A scan as an async iterator: pulls as fast as its reader does, frees the call when the reader leaves. */
import type { ClientReadableStream } from '@grpc/grpc-js'
import type { ScanRequest, ScanResponse } from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { backoffMs, rest } from './backoff.ts'
import { EMPTY, toBuffer } from './bytes.ts'
import { checkedDeadline, checkedWhole } from './checks.ts'
import { closedError, failureOf, isServiceError } from './failure.ts'
import type { ScanOptions } from './index.ts'
import { freshness, type Link } from './link.ts'
import { toRow, type Row } from './row.ts'

export function scan(link: Link, keyspace: string, options: ScanOptions): AsyncIterableIterator<Row> {
  const bytes = (field: 'prefix' | 'start' | 'end'): Buffer => {
    const given = options[field]
    return given === undefined ? EMPTY : toBuffer(given, field)
  }
  return run(link, keyspace, options, {
    prefix: bytes('prefix'),
    start: bytes('start'),
    end: bytes('end'),
    left: options.limit === undefined ? Infinity : checkedWhole(options.limit, 'limit'),
  })
}

/** What is still to be delivered. */
interface Rest {
  readonly prefix: Buffer
  start: Buffer
  end: Buffer
  left: number
}

async function* run(link: Link, keyspace: string, options: ScanOptions, todo: Rest): AsyncGenerator<Row> {
  let failures = 0
  while (todo.left > 0) {
    if (link.closed.aborted) throw closedError()
    const call = link.rows.scan(toRequest(link, keyspace, options, todo), deadlineOf(options))
    try {
      for await (const row of rowsOf(link, call)) {
        failures = 0
        todo.left -= 1
        if (options.reverse === true) todo.end = row.key
        else todo.start = Buffer.concat([row.key, Buffer.of(0)])
        yield toRow(row)
      }
      return
    } catch (error) {
      if (!isServiceError(error)) throw error
      if (link.closed.aborted) throw closedError() // an end would look like the end of the rows
      const failure = failureOf(error, link.server)
      failures += 1
      if (options.restartable !== true || !failure.retriable || failure.reason === 'DEADLINE_EXCEEDED') {
        throw failure
      }
      await rest(backoffMs(failures), link.closed)
    }
  }
}

async function* rowsOf(link: Link, call: ClientReadableStream<ScanResponse>) {
  const cancel = (): void => call.cancel()
  call.on('error', cancel) // an 'error' after the loop has been left must not stop the process
  link.closed.addEventListener('abort', cancel)
  try {
    for await (const response of call as AsyncIterable<ScanResponse>) {
      link.token.advanceAll(response.token)
      yield* response.rows
    }
  } finally {
    link.closed.removeEventListener('abort', cancel)
    call.cancel()
  }
}

const toRequest = (link: Link, keyspace: string, options: ScanOptions, todo: Rest): ScanRequest => ({
  keyspace,
  prefix: todo.prefix,
  start: todo.start,
  end: todo.end,
  limit: todo.left === Infinity ? 0 : todo.left,
  reverse: options.reverse ?? false,
  keysOnly: options.keysOnly ?? false,
  partitions: [],
  ...freshness(link, keyspace, options.consistency),
})

const deadlineOf = ({ deadlineMs }: ScanOptions): { readonly deadline?: number } =>
  deadlineMs === undefined ? {} : { deadline: Date.now() + checkedDeadline(deadlineMs) }
