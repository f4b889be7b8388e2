/** Does it work at all? A few operations in a second, for ten seconds; none may fail. */
import { RATE, VUS, lasting, operation, setup, summaryTrendStats, thresholds } from './tidemark.js'

export { setup }
export default operation
export const options = {
  summaryTrendStats,
  scenarios: {
    smoke: { executor: 'constant-arrival-rate', rate: Math.min(RATE, 20), duration: lasting('10s'), ...VUS },
  },
  thresholds: thresholds(),
}
