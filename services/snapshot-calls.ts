/** Calls of SnapshotService: by nodes that build replicas from a peer's, and by the command line. */
import { type ClientReadableStream, type ServiceError, credentials } from '@grpc/grpc-js'
import { type CopyResponse, SnapshotServiceClient } from '../proto/generated/tidemark/v1/snapshot_service.ts'
import { TidemarkError } from '../streams/core/errors.ts'
import {
  COPY_RESUMES_MAX,
  KEEPALIVE_MS,
  KEEPALIVE_TIMEOUT_MS,
  MESSAGE_BYTES_MAX,
  RETRY_DELAY_MS,
} from '../streams/core/limits.ts'
import type { Clock } from '../streams/ports.ts'
import { failureOf } from './client/failure.ts'

/** Close it. */
export const snapshotClient = (address: string): SnapshotServiceClient =>
  new SnapshotServiceClient(address, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // Long streams stay away from the connection on which others wait for short answers.
    'grpc.use_local_subchannel_pool': 1,
  })

/** The messages of a stream; what ends it is a TidemarkError. The call is cancelled when nobody reads on. */
export async function* messagesOf<Response>(
  call: ClientReadableStream<Response>,
  address: string,
  signal?: AbortSignal,
): AsyncGenerator<Response> {
  const cancel = (): void => {
    call.cancel()
  }
  // What comes after nobody reads on.
  call.on('error', () => undefined)
  signal?.addEventListener('abort', cancel)
  try {
    if (signal?.aborted === true) throw new TidemarkError('CANCELLED', 'the call is no longer wanted')
    yield* call as AsyncIterable<Response>
  } catch (caught) {
    if (signal?.aborted === true)
      throw new TidemarkError('CANCELLED', 'the call is no longer wanted', { cause: caught })
    throw caught instanceof Error && 'code' in caught && 'details' in caught
      ? failureOf(caught as ServiceError, address)
      : caught
  } finally {
    signal?.removeEventListener('abort', cancel)
    call.cancel()
  }
}

export interface PeerReplica {
  readonly address: string
  readonly keyspace: string
  readonly partition: number
}

/** The chunks of a peer's replica. Where the connection breaks, the copy goes on at the chunk that is missing. */
export async function* peerCopy(
  { address, keyspace, partition }: PeerReplica,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const client = snapshotClient(address)
  let session = ''
  let fromSequence = 0
  let broken = 0
  try {
    for (;;) {
      const call = client.copy({ keyspace, partition, session, fromSequence })
      try {
        for await (const message of messagesOf<CopyResponse>(call, address, signal)) {
          if (message.session !== '') session = message.session
          fromSequence += 1
          broken = 0
          yield message.chunk
        }
        return
      } catch (caught) {
        const error = TidemarkError.from(caught)
        broken += 1
        if (session === '' || error.reason !== 'NODE_UNREACHABLE' || broken > COPY_RESUMES_MAX) throw error
        await clock.sleep(RETRY_DELAY_MS * 2 ** broken)
      }
    }
  } finally {
    client.close()
  }
}
