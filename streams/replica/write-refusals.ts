/** What the writer refuses, in one wording. */
import { TidemarkError } from '../core/errors.ts'
import { WRITES_IN_FLIGHT_MAX, WRITE_BYTES_IN_FLIGHT_MAX } from '../core/limits.ts'
import type { Replica } from './replica.ts'

export const late = (when: string): TidemarkError =>
  new TidemarkError('DEADLINE_EXCEEDED', `the deadline of the write passed ${when}`)

/** Why nothing is written through this replica: it stopped, or it cannot apply for want of room. */
export const refusalOf = (replica: Replica): TidemarkError | undefined =>
  replica.status === 'stopped' ? replica.refusal() : replica.waiters.held

export const draining = (more = ''): TidemarkError =>
  new TidemarkError('NODE_DRAINING', `the node is shutting down${more}`)

export const unknown = (why: string): TidemarkError => new TidemarkError('WRITE_UNKNOWN', why)

export const overloaded = (count: number, bytes: number): TidemarkError =>
  new TidemarkError(
    'OVERLOADED',
    `the node has ${count} writes of ${bytes} bytes in flight, it takes ${WRITES_IN_FLIGHT_MAX} and ${WRITE_BYTES_IN_FLIGHT_MAX}: retry later`,
  )
