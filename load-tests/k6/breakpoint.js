/**
 * Where does it end? The rate rises evenly to twenty times RATE in twenty minutes, and the run ends where operations fail or take over
 * four times P99_MS: `iterations` and `dropped_iterations` tell the rate that was reached. It is meant to fail: k6 exits with 99.
 */
import { P99_MS, RATE, VUS, lasting, operation, setup, summaryTrendStats } from './tidemark.js'

export { setup }
export default operation
const ends = (threshold) => [{ threshold, abortOnFail: true, delayAbortEval: lasting('10s') }]
export const options = {
  summaryTrendStats,
  scenarios: {
    breakpoint: {
      executor: 'ramping-arrival-rate',
      startRate: 1,
      stages: [{ target: 20 * RATE, duration: lasting('20m') }],
      ...VUS,
    },
  },
  thresholds: {
    grpc_req_duration: ends(`p(99)<${4 * P99_MS}`),
    checks: ends('rate>=0.99'),
    dropped_iterations: ends('count<100'),
  },
}
