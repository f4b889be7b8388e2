/**
 * Watch: one message for each pull of the face's watch, so that what gathered while the peer was slow goes out together.
 * The stream ends when the peer leaves, when the node drains (NODE_DRAINING: resume on another node with the last token),
 * or with the error of the watch.
 */
import { Metadata, type ServerWritableStream } from '@grpc/grpc-js'
import {
  KeyValueServiceService as methods,
  type WatchRequest,
} from '../../proto/generated/tidemark/v1/key_value_service.ts'
import { unreachable } from '../../streams/core/assert.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { WATCH_PROGRESS_MS_MAX } from '../../streams/core/limits.ts'
import { partition } from '../../streams/core/types.ts'
import type { KeyRange, WatchOptions } from '../../streams/face.ts'
import { type HandlerOf, type Serving, type Streaming, nodeFor, serverStreaming, writable } from './calls.ts'
import type { keyValueDefinition } from './definitions.ts'
import { rangeOf, rangeOfKey, rangeOfPrefix } from './range.ts'
import { isForwarded } from './routing/hop.ts'
import { checkToken, keyspaceName, refuseField } from './validate.ts'
import { WatchEncoder } from './watch-codec.ts'

export function keyValueWatch(serving: Serving): HandlerOf<typeof keyValueDefinition.watch> {
  const { draining } = serving
  const { counts } = serving.totals
  const encoder = new WatchEncoder(serving.node.description.logIdentity)

  const watch: Streaming<WatchRequest, Buffer> = async (request, call) => {
    const name = keyspaceName(request.keyspace)
    const keyspace = nodeFor(serving, call).keyspace(name)
    // What goes to another node is delivered by that.
    const tracing = isForwarded(call) ? undefined : serving.tracing
    const watching = await keyspace.watch(optionsOf(request))
    // The watch is taken on, though nothing may happen for long: a node that asks in place of a client waits for this.
    call.sendMetadata(new Metadata())
    let over = false
    const deliver = async (): Promise<void> => {
      for await (const message of watching) {
        if (over) return
        counts['watch.events'] += message.events.length
        const delivered = tracing?.delivering(name, message)
        const more = call.write(encoder.encode(message))
        if (!more) {
          counts['watch.waits'] += 1
          await writable(call)
        }
        delivered?.()
        if (over) return
      }
    }
    // A pull may wait as long as nothing happens: leaving and draining do not wait for it.
    const ended = leaving(call, draining)
    try {
      await Promise.race([deliver(), ended.promise])
    } finally {
      over = true
      ended.forget()
      watching.return?.().catch(serving.bug)
    }
  }
  return serverStreaming(serving, methods.watch, watch)
}

/** Resolves when the peer has left, rejects when the node drains. */
function leaving(
  call: ServerWritableStream<unknown, unknown>,
  draining: AbortSignal,
): { readonly promise: Promise<void>; forget(): void } {
  let leave = (): void => {}
  let drain = (): void => {}
  const promise = new Promise<void>((resolve, reject) => {
    leave = resolve
    drain = () => {
      reject(new TidemarkError('NODE_DRAINING', 'the node is shutting down: resume the watch on another one'))
    }
  })
  call.on('cancelled', leave)
  draining.addEventListener('abort', drain)
  if (call.cancelled) leave()
  else if (draining.aborted) drain()
  return {
    promise,
    forget() {
      call.off('cancelled', leave)
      draining.removeEventListener('abort', drain)
    },
  }
}

function optionsOf(request: WatchRequest): WatchOptions {
  const progress = request.progressIntervalMs
  if (progress > WATCH_PROGRESS_MS_MAX) {
    throw refuseField('progress_interval_ms', `${progress} ms, the limit is ${WATCH_PROGRESS_MS_MAX}`)
  }
  return {
    range: selected(request.selector),
    resume: checkToken(request.resume, 'resume'),
    initialRows: request.initialRows,
    partitions: request.partitions.length === 0 ? undefined : [...new Set(request.partitions)].map(partition),
    progressIntervalMs: progress === 0 ? undefined : progress,
    exact: request.exact,
    previousRows: request.previousRows,
  }
}

function selected(selector: WatchRequest['selector']): KeyRange {
  switch (selector?.$case) {
    case undefined:
      return { start: Buffer.alloc(0), end: undefined }
    case 'key':
      return rangeOfKey(selector.value)
    case 'prefix':
      return rangeOfPrefix(selector.value)
    case 'range':
      return rangeOf(selector.value.start, selector.value.end)
    default:
      return unreachable(selector)
  }
}
