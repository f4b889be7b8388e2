/** Counts of the calls of one method, in plain arrays: the hot path adds, a scrape reads. */
import { status as grpcStatus } from '@grpc/grpc-js'

/** Upper bounds of the latency buckets, seconds: 100 µs to 10 s in steps of about 2.5. */
export const LATENCY_BOUNDS_SECONDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const

const CODES = grpcStatus.UNAUTHENTICATED + 1

export interface CallMeter {
  readonly method: string
  /** Calls that ended, by gRPC code. */
  readonly ended: Float64Array
  /** Calls by latency; the last bucket has those over all bounds. */
  readonly buckets: Float64Array
  seconds: number
  inFlight: number
}

export const newCallMeter = (method: string): CallMeter => ({
  method,
  ended: new Float64Array(CODES),
  buckets: new Float64Array(LATENCY_BOUNDS_SECONDS.length + 1),
  seconds: 0,
  inFlight: 0,
})

/** @returns the moment, for `callEnded` */
export function callBegan(meter: CallMeter): number {
  meter.inFlight += 1
  return performance.now()
}

export function callEnded(meter: CallMeter, code: grpcStatus, began: number): void {
  meter.inFlight -= 1
  meter.ended[code] = (meter.ended[code] ?? 0) + 1
  const seconds = (performance.now() - began) / 1000
  meter.seconds += seconds
  let bucket = 0
  while (bucket < LATENCY_BOUNDS_SECONDS.length && seconds > (LATENCY_BOUNDS_SECONDS[bucket] ?? 0))
    bucket += 1
  meter.buckets[bucket] = (meter.buckets[bucket] ?? 0) + 1
}
