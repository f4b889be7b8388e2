/** Failures that the client itself makes or words; what a node answered is read in ../failure.ts. */
import { TidemarkError } from '../../streams/core/errors.ts'
import type { Operation } from './operation.ts'

export { failureFor, failureOf, isServiceError } from '../failure.ts'

export const closedError = (): TidemarkError =>
  new TidemarkError('CANCELLED', 'this client is closed; connect anew')

export const endedError = (server: string): TidemarkError =>
  new TidemarkError('NODE_UNREACHABLE', `${server} ended the stream`)

export const doubtfulError = ({ reason, message, metadata, cause }: TidemarkError): TidemarkError =>
  new TidemarkError(reason, `${message}; whether the write was applied is unknown`, { metadata, cause })

/** What the deadline of an operation found it doing. @param cause - what kept it, where that is known */
export function lateError(
  operation: Operation,
  connected: boolean,
  server: string,
  cause: TidemarkError | undefined,
): TidemarkError {
  const { deadlineMs, exposed, isRead } = operation
  const metadata = { deadline_ms: String(deadlineMs), sent: String(exposed) }
  const because = cause === undefined ? '' : `; the last failure was: ${cause.message}`
  if (exposed) {
    const doubt = isRead ? '' : '; whether the write was applied is unknown'
    const message = `no answer within ${deadlineMs} ms${doubt}${because}`
    return new TidemarkError('DEADLINE_EXCEEDED', message, { metadata, cause })
  }
  if (!connected) {
    const message = `no connection to ${server} within ${deadlineMs} ms; nothing was sent${because}`
    return new TidemarkError('NODE_UNREACHABLE', message, { metadata, cause })
  }
  const message = `it waited ${deadlineMs} ms for its turn behind other operations of this client; nothing was sent`
  return new TidemarkError('DEADLINE_EXCEEDED', message, { metadata, cause })
}
