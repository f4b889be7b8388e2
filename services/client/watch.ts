/**
 * A watch that survives its connection. It knows, for each partition, up to which record everything has been handed to
 * the reader, and asks for what follows that after a loss: nothing is missing, nothing comes twice. Initial rows and
 * deltas have no place inside them to go on from: they come again, announced by a mark. One node delivers it, and has from others
 * what it does not hold; when it is lost, another goes on.
 */
import type { ClientReadableStream } from '@grpc/grpc-js'
import {
  WatchEvent_Kind as Kind,
  WatchMark as Mark,
  type WatchEvent,
  type WatchRequest,
  type WatchResponse,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import type { Token } from '../../proto/generated/tidemark/v1/types.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { backoffMs, rest } from './backoff.ts'
import { EMPTY, toBuffer } from './bytes.ts'
import { checkedWhole } from './checks.ts'
import { closedError, endedError, failureOf, isServiceError } from './failure.ts'
import type { Watch, WatchChange, WatchItem, WatchOptions } from './types.ts'
import type { Context } from './context.ts'
import type { NodeLink } from './node-link.ts'
import { toRow, type Row } from './row.ts'
import { parseToken, tokenText } from './session-token.ts'

export function watch(context: Context, keyspace: string, options: WatchOptions): Watch {
  const follower = new Follower(context, keyspace, options)
  const items = follower.items()
  // Pulled before anyone asks: so it connects, and `started` settles, although nobody reads yet.
  let first: Promise<IteratorResult<WatchItem, undefined>> | undefined = items.next()
  first.catch(() => undefined)
  return {
    started: follower.started,
    next: () => {
      const result = first ?? items.next()
      first = undefined
      return result
    },
    // A generator takes a return() only after its pending next(): ending the call first ends that too.
    return: () => {
      follower.end()
      return items.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/** Partition → offset: everything up to and including it was handed to the reader. Replaced, never changed. */
type Seen = ReadonlyMap<number, number>

class Follower {
  readonly started: Promise<void>
  readonly #context: Context
  readonly #keyspace: string
  readonly #options: WatchOptions
  readonly #selector: WatchRequest['selector']
  readonly #ended = new AbortController()
  /** A partition that is not in it is followed from now. */
  #seen: Seen
  #logIdentity: string
  /** The rows as they stand come first: asked for, and not delivered to their end yet. */
  #initial: boolean
  /** Inside initial rows or a delta: `seen` rests where it was, because nothing between can be resumed. */
  #phase: 'initial' | 'delta' | 'live' = 'live'
  #voidable = false
  #call: ClientReadableStream<WatchResponse> | undefined
  #settleStarted: (error?: TidemarkError) => void = () => undefined
  #hasStarted = false

  constructor(context: Context, keyspace: string, options: WatchOptions) {
    this.#context = context
    this.#keyspace = keyspace
    this.#options = options
    this.#selector = selectorOf(options)
    this.#initial = options.initialRows ?? false
    if (this.#initial && options.resume !== undefined) {
      throw new TidemarkError('FIELD_INVALID', 'a watch resumes or begins with initial rows, not both')
    }
    const token = options.resume === undefined ? undefined : parseToken(options.resume)
    this.#seen = advanced(new Map<number, number>(), token, keyspace)
    this.#logIdentity = token?.logIdentity ?? ''
    this.started = new Promise((resolve, reject) => {
      this.#settleStarted = (error) => (error === undefined ? resolve() : reject(error))
    })
    this.started.catch(() => undefined) // the reader of the watch learns the same failure
  }

  end(): void {
    this.#ended.abort()
    this.#call?.cancel()
    this.#settleStarted(closedError())
  }

  async *items(): AsyncGenerator<WatchItem, undefined> {
    const { closed, router } = this.#context
    const end = (): void => this.end()
    closed.addEventListener('abort', end)
    if (closed.aborted) end()
    let failures = 0
    try {
      while (!this.#ended.signal.aborted) {
        const link = router.linkOf(undefined, true)
        const call = (this.#call ??= this.#open(link))
        let failure = endedError(link.address)
        try {
          for await (const response of call as AsyncIterable<WatchResponse>) {
            failures = 0
            this.#hasStarted = true
            this.#settleStarted()
            yield* this.#deliver(response)
          }
        } catch (error) {
          if (!isServiceError(error)) throw error
          failure = failureOf(error, link.address)
        } finally {
          link.calls.delete(call)
          call.cancel()
          this.#call = undefined
        }
        if (this.#ended.signal.aborted) return undefined
        const elsewhere = router.failed(link, undefined, failure)
        yield* this.#recover(failure, elsewhere)
        failures += 1
        if (!elsewhere || failures > 1) await rest(backoffMs(failures), this.#ended.signal)
      }
      return undefined
    } catch (error) {
      const failure = TidemarkError.from(error)
      this.#settleStarted(failure)
      throw failure
    } finally {
      closed.removeEventListener('abort', end)
      end()
    }
  }

  #open(link: NodeLink): ClientReadableStream<WatchResponse> {
    link.use()
    const positions = Array.from(this.#seen, ([partition, offset]) => ({
      keyspace: this.#keyspace,
      partition,
      offset,
    }))
    const call = link.rows.watch({
      keyspace: this.#keyspace,
      selector: this.#selector,
      resume:
        positions.length === 0 || this.#initial ? undefined : { logIdentity: this.#logIdentity, positions },
      initialRows: this.#initial,
      partitions: [...(this.#options.partitions ?? [])],
      progressIntervalMs: checkedWhole(this.#options.progressMs ?? 0, 'progressMs'),
      exact: this.#options.exact ?? false,
      previousRows: this.#options.previousRows ?? false,
    })
    call.on('error', () => undefined) // an 'error' after the reader has left must not stop the process
    link.calls.add(call)
    this.#phase = this.#initial ? 'initial' : 'live'
    return call
  }

  *#deliver(response: WatchResponse): Generator<WatchItem> {
    const { events, token, mark } = response
    if (token !== undefined && token.logIdentity !== '') this.#logIdentity = token.logIdentity
    if (mark === Mark.WATCH_MARK_DELTA_BEGIN) {
      this.#phase = 'delta'
      yield { type: 'delta-begin', token: this.#tokenText(this.#seen) }
    }
    const before = this.#seen
    const phase = this.#phase
    for (const [index, event] of events.entries()) {
      this.#voidable ||= phase === 'initial'
      yield toChange(event, () => {
        if (phase === 'initial') return undefined
        return this.#tokenText(phase === 'live' ? seenAfter(before, events, index) : before)
      })
    }
    if (mark === Mark.WATCH_MARK_INITIAL_END) {
      this.#phase = 'live'
      this.#initial = false
      this.#voidable = false
    }
    if (this.#phase === 'live') this.#seen = advanced(this.#seen, token, this.#keyspace)
    if (mark === Mark.WATCH_MARK_INITIAL_END) {
      yield { type: 'initial-end', token: this.#tokenText(this.#seen) }
    }
    if (mark === Mark.WATCH_MARK_PROGRESS && this.#options.progressMs !== undefined) {
      yield { type: 'progress', token: this.#tokenText(this.#seen) }
    }
  }

  /** Prepares for the next attempt. @throws the failure where another attempt cannot mend it */
  *#recover(failure: TidemarkError, elsewhere: boolean): Generator<WatchItem> {
    if (failure.reason === 'COMPACTED' && this.#options.onCompacted === 'restart') {
      this.#seen = new Map()
      this.#initial = true
      this.#voidable = true
    } else if (!elsewhere) {
      if (!failure.retriable) throw failure
      const hasty = !this.#hasStarted && !this.#context.router.retryUnreachable
      if (failure.reason === 'NODE_UNREACHABLE' && hasty) throw failure
    }
    if (!this.#voidable) return
    this.#voidable = false
    yield { type: 'restart', token: undefined }
  }

  #tokenText(seen: Seen): string | undefined {
    if (seen.size === 0) return undefined
    const positions = Array.from(seen, ([partition, offset]) => ({
      keyspace: this.#keyspace,
      partition,
      offset,
    }))
    return tokenText({ logIdentity: this.#logIdentity, positions })
  }
}

function selectorOf({ key, prefix, start, end }: WatchOptions): WatchRequest['selector'] {
  const ranged = start !== undefined || end !== undefined
  if ([key !== undefined, prefix !== undefined, ranged].filter(Boolean).length > 1) {
    throw new TidemarkError(
      'FIELD_INVALID',
      'a watch follows a key, or a prefix, or a range from start to end',
    )
  }
  if (key !== undefined) return { $case: 'key', value: toBuffer(key, 'key') }
  if (prefix !== undefined) return { $case: 'prefix', value: toBuffer(prefix, 'prefix') }
  if (!ranged) return undefined
  const value = {
    start: start === undefined ? EMPTY : toBuffer(start, 'start'),
    end: end === undefined ? EMPTY : toBuffer(end, 'end'),
  }
  return { $case: 'range', value }
}

function advanced(seen: Seen, token: Token | undefined, keyspace: string): Seen {
  if (token === undefined || token.positions.length === 0) return seen
  const next = new Map(seen)
  for (const position of token.positions) {
    if (position.keyspace === keyspace) next.set(position.partition, position.offset)
  }
  return next
}

/** What has been seen once the event at `index` of a message is done with; a record counts when its last event is. */
function seenAfter(before: Seen, events: readonly WatchEvent[], index: number): Seen {
  const seen = new Map(before)
  for (let at = 0; at <= index; at += 1) {
    const row = events[at]?.row
    const next = events[at + 1]?.row
    if (row === undefined) continue
    if (next?.partition !== row.partition || next.version !== row.version)
      seen.set(row.partition, row.version)
  }
  return seen
}

const TYPES: Readonly<Partial<Record<Kind, WatchChange['type']>>> = {
  [Kind.KIND_PUT]: 'put',
  [Kind.KIND_DELETED]: 'deleted',
  [Kind.KIND_EXPIRED]: 'expired',
}

/** Makes the token only when it is asked for. */
class Change implements WatchChange {
  readonly type: WatchChange['type']
  readonly row: Row
  readonly timeMs: number
  readonly previous: Row | undefined
  readonly traceparent: string
  readonly #token: () => string | undefined

  constructor(type: WatchChange['type'], row: Row, event: WatchEvent, token: () => string | undefined) {
    this.type = type
    this.row = row
    this.timeMs = event.timeMs
    this.previous = event.previous === undefined ? undefined : toRow(event.previous)
    this.traceparent = event.traceparent
    this.#token = token
  }

  get token(): string | undefined {
    return this.#token()
  }
}

export function toChange(event: WatchEvent, token: () => string | undefined): WatchChange {
  const type = TYPES[event.kind]
  if (type === undefined || event.row === undefined) {
    throw new TidemarkError(
      'INTERNAL',
      `the node sent an event of kind ${event.kind} that this client does not know`,
    )
  }
  return new Change(type, toRow(event.row), event, token)
}
