/** The load of every day: RATE, reached in a minute, for ten; none may fail, and times stay as they should be. */
import { RATE, VUS, lasting, operation, setup, summaryTrendStats, thresholds } from './tidemark.js'

export { setup }
export default operation
export const options = {
  summaryTrendStats,
  scenarios: {
    load: {
      executor: 'ramping-arrival-rate',
      startRate: 1,
      stages: [
        { target: RATE, duration: lasting('1m') },
        { target: RATE, duration: lasting('10m') },
        { target: 0, duration: lasting('30s') },
      ],
      ...VUS,
    },
  },
  thresholds: thresholds(),
}
