/** For hours: seven tenths of RATE, for DURATION (4h). What leaks, fills or drifts shows here; look at memory, disk and lag besides. */
import { RATE, VUS, lasting, operation, setup, summaryTrendStats, thresholds } from './tidemark.js'

export { setup }
export default operation
export const options = {
  summaryTrendStats,
  scenarios: {
    soak: {
      executor: 'constant-arrival-rate',
      rate: Math.max(1, Math.round(RATE * 0.7)),
      duration: lasting(__ENV.DURATION || '4h'),
      ...VUS,
    },
  },
  thresholds: thresholds(),
}
