/**
 * All at once: a fifth of RATE, then within seconds five times RATE for a minute, then a fifth again. In the spike up to one in a
 * hundred may be refused (that is what bounds are for) and times do not count; right after it everything must be as before.
 */
import { P99_MS, RATE, VUS, lasting, operation, setup, summaryTrendStats } from './tidemark.js'

export { setup }
export default operation
const calm = { executor: 'constant-arrival-rate', rate: Math.max(1, Math.round(RATE / 5)), ...VUS }
const seconds = (text) => Number(text.slice(0, -1))
const [before, rise, top, after] = ['1m', '5s', '1m', '2m'].map(lasting)
/** Of rest, in which what the spike left behind is answered. */
const rest = lasting('20s')
const spike = seconds(rise) * 2 + seconds(top)

export const options = {
  summaryTrendStats,
  scenarios: {
    before: { ...calm, duration: before },
    spike: {
      executor: 'ramping-arrival-rate',
      startTime: before,
      startRate: calm.rate,
      stages: [
        { target: RATE * 5, duration: rise },
        { target: RATE * 5, duration: top },
        { target: calm.rate, duration: rise },
      ],
      ...VUS,
    },
    after: { ...calm, startTime: `${seconds(before) + spike + seconds(rest)}s`, duration: after },
  },
  thresholds: {
    'checks{scenario:before}': ['rate==1'],
    'checks{scenario:spike}': ['rate>=0.99'],
    'checks{scenario:after}': ['rate==1'],
    'grpc_req_duration{scenario:before}': [`p(99)<${P99_MS}`],
    'grpc_req_duration{scenario:after}': [`p(99)<${P99_MS}`],
    'dropped_iterations{scenario:after}': ['count==0'],
  },
}
