/**
 * From a failed gRPC call back to a TidemarkError, for clients and for nodes that ask other nodes. Nodes send
 * `google.rpc.ErrorInfo` with a reason of the catalogue; what carries none was made by gRPC itself or by something
 * between, and is mapped by its code. The way there is node/status.ts.
 */
import { status, type Metadata, type ServiceError } from '@grpc/grpc-js'
import { ErrorInfo } from '../proto/generated/google/rpc/error_details.ts'
import { Status } from '../proto/generated/google/rpc/status.ts'
import { isReason, TidemarkError, type Reason } from '../streams/core/errors.ts'

export function failureOf(error: ServiceError, server: string): TidemarkError {
  const info = errorInfoOf(error.metadata)
  const options = { metadata: info?.metadata ?? {}, cause: error }
  if (info !== undefined && isReason(info.reason))
    return new TidemarkError(info.reason, error.details, options)
  const reason = BY_CODE[error.code] ?? 'INTERNAL'
  const message =
    reason === 'NODE_UNREACHABLE'
      ? `no answer from ${server}: ${plain(error.details)}`
      : `${server} answered ${status[error.code]}: ${error.details}`
  return new TidemarkError(reason, message, options)
}

/** The answer of a pipeline, or of a node that is newer than this client and knows more reasons. */
export function failureFor(
  reason: string,
  message: string,
  metadata: Readonly<Record<string, string>> = {},
): TidemarkError {
  if (isReason(reason)) return new TidemarkError(reason, message, { metadata })
  return new TidemarkError('INTERNAL', `${message} (${reason}, which this client does not know)`, {
    metadata,
  })
}

export const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && !(error instanceof TidemarkError) && 'code' in error && 'details' in error

/**
 * CANCELLED without an ErrorInfo is a connection that the node tore down: a call that its caller cancels ends before its
 * status is looked at. RESOURCE_EXHAUSTED is gRPC's own bound of a message, which a retry does not change.
 */
const BY_CODE: Readonly<Partial<Record<status, Reason>>> = {
  [status.CANCELLED]: 'NODE_UNREACHABLE',
  [status.UNAVAILABLE]: 'NODE_UNREACHABLE',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.UNIMPLEMENTED]: 'NOT_IMPLEMENTED',
  [status.RESOURCE_EXHAUSTED]: 'BATCH_TOO_LARGE',
  [status.INVALID_ARGUMENT]: 'MESSAGE_MALFORMED',
}

/** grpc-js wraps the one interesting sentence: "No connection established. Last error: connect ECONNREFUSED …". */
const plain = (details: string): string => {
  const last = /Last error: (?:Error: )?(.*?)(?:\.? ?Resolution note:.*)?$/s.exec(details)?.[1]
  return last ?? details
}

function errorInfoOf(trailers: Metadata | undefined): ErrorInfo | undefined {
  const [details] = trailers?.get('grpc-status-details-bin') ?? []
  if (!Buffer.isBuffer(details)) return undefined
  try {
    const info = Status.decode(details).details.find(({ typeUrl }) =>
      typeUrl.endsWith('/google.rpc.ErrorInfo'),
    )
    return info === undefined ? undefined : ErrorInfo.decode(info.value)
  } catch {
    return undefined // a proxy's trailer that is no Status: the code of the call still says enough
  }
}
