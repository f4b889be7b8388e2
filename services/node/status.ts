/**
 * The only way from a TidemarkError to what gRPC sends: code, message, and in the trailer `grpc-status-details-bin` a
 * google.rpc.Status with ErrorInfo always, RetryInfo where the same call may be sent again, and BadRequest where the request
 * itself is wrong (AIP-193). The trailer is bounded, because peers bound the headers that they take.
 */
import { Metadata, status as grpcStatus } from '@grpc/grpc-js'
import { CATALOGUE, type Reason, type TidemarkError } from '../../streams/core/errors.ts'
import { RETRY_DELAY_MS, STATUS_METADATA_BYTES_MAX, STATUS_TEXT_MAX } from '../../streams/core/limits.ts'
import { BadRequest, ErrorInfo, RetryInfo } from '../../proto/generated/google/rpc/error_details.ts'
import { Status } from '../../proto/generated/google/rpc/status.ts'

export const ERROR_DOMAIN = 'tidemark'
export const STATUS_DETAILS_TRAILER = 'grpc-status-details-bin'

const TYPE_PREFIX = 'type.googleapis.com/google.rpc.'

export interface GrpcError {
  readonly code: grpcStatus
  readonly details: string
  readonly metadata: Metadata
}

/** The error as gRPC's server takes it from a handler. */
export function toGrpcError(error: TidemarkError): GrpcError {
  const trailer = new Metadata()
  trailer.set(STATUS_DETAILS_TRAILER, Buffer.from(Status.encode(toStatus(error)).finish()))
  return { code: grpcCode(error.reason), details: clip(error.message), metadata: trailer }
}

export const grpcCode = (reason: Reason): grpcStatus => grpcStatus[CATALOGUE[reason].grpc]

export function toStatus(error: TidemarkError): Status {
  const row = CATALOGUE[error.reason]
  const metadata = bounded(error.metadata)
  const message = clip(error.message)
  const details = [
    detail('ErrorInfo', ErrorInfo.encode({ reason: error.reason, domain: ERROR_DOMAIN, metadata })),
  ]
  if (row.retriable) {
    const delay = { seconds: Math.floor(RETRY_DELAY_MS / 1000), nanos: (RETRY_DELAY_MS % 1000) * 1_000_000 }
    details.push(detail('RetryInfo', RetryInfo.encode({ retryDelay: delay })))
  }
  const field = error.metadata['field'] ?? FIELD_OF[error.reason]
  if (row.grpc === 'INVALID_ARGUMENT' && field !== undefined) {
    details.push(
      detail('BadRequest', BadRequest.encode({ fieldViolations: [{ field, description: message }] })),
    )
  }
  return { code: grpcCode(error.reason), message, details }
}

/** Where the reason alone says which field is wrong. */
const FIELD_OF: Partial<Record<Reason, string>> = {
  KEY_EMPTY: 'key',
  KEY_TOO_LONG: 'key',
  VALUE_TOO_LARGE: 'value',
  TTL_INVALID: 'ttl_ms',
  REQUEST_ID_INVALID: 'request_id',
  TOKEN_INVALID: 'token',
}

const detail = (
  name: 'ErrorInfo' | 'RetryInfo' | 'BadRequest',
  encoded: { finish(): Uint8Array },
): Status['details'][number] => ({ typeUrl: TYPE_PREFIX + name, value: Buffer.from(encoded.finish()) })

/** Never ends inside a surrogate pair: gRPC's server cannot send half of one. */
const clip = (text: string): string =>
  text.length <= STATUS_TEXT_MAX
    ? text
    : `${text.slice(0, STATUS_TEXT_MAX).replace(/[\uD800-\uDBFF]$/, '')} …`

/** As many entries as fit; a token of a thousand partitions is left out: the stream's last message has it as well. */
function bounded(metadata: Readonly<Record<string, string>>): Record<string, string> {
  const kept: Record<string, string> = {}
  let room = STATUS_METADATA_BYTES_MAX
  for (const [name, value] of Object.entries(metadata)) {
    const bytes = name.length + Buffer.byteLength(value)
    if (bytes > room) continue
    room -= bytes
    kept[name] = value
  }
  return kept
}
