/** Counts of the calls of one method, in plain arrays: the hot path adds, a scrape reads. */
import { status as grpcStatus } from '@grpc/grpc-js'
import { type Distribution, newDistribution, record } from '../../streams/meters.ts'

const CODES = grpcStatus.UNAUTHENTICATED + 1

export interface CallMeter {
  readonly method: string
  /** Calls that ended, by gRPC code. */
  readonly ended: Float64Array
  readonly duration: Distribution
  inFlight: number
}

export const newCallMeter = (method: string): CallMeter => ({
  method,
  ended: new Float64Array(CODES),
  duration: newDistribution(),
  inFlight: 0,
})

/** @returns the moment, for `callEnded` */
export function callBegan(meter: CallMeter): number {
  meter.inFlight += 1
  return performance.now()
}

/** @param now - the moment, where the caller knows it */
export function callEnded(
  meter: CallMeter,
  code: grpcStatus,
  began: number,
  now: number = performance.now(),
): void {
  meter.inFlight -= 1
  meter.ended[code] = (meter.ended[code] ?? 0) + 1
  record(meter.duration, (now - began) / 1000)
}
