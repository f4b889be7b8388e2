/** More than every day: RATE, then one and a half times, then twice as much, five minutes each. Slower is fine, failing is not. */
import { P99_MS, RATE, VUS, lasting, operation, setup, summaryTrendStats, thresholds } from './tidemark.js'

export { setup }
export default operation
const step = (times) => [
  { target: Math.round(RATE * times), duration: lasting('1m') },
  { target: Math.round(RATE * times), duration: lasting('5m') },
]
export const options = {
  summaryTrendStats,
  scenarios: {
    stress: {
      executor: 'ramping-arrival-rate',
      startRate: 1,
      stages: [...step(1), ...step(1.5), ...step(2), { target: 0, duration: lasting('1m') }],
      ...VUS,
    },
  },
  thresholds: thresholds({ p99Ms: 4 * P99_MS }),
}
