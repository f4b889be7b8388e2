/** What is compared, by name: one seed is one random trace on both sides. */
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { Prng } from '../../streams/core/testing/prng.ts'
import { compare, parting, type Compared } from './compare.ts'
import { logCalls } from './log-calls.ts'
import { simulatedLogSide, type RealKafka } from './log-sides.ts'
import { traceLog } from './log-trace.ts'
import { realNodeSide, simulatedNodeSide } from './node-sides.ts'
import { traceNode } from './node-trace.ts'
import { rocksStoreSide, simulatedStoreSide } from './store-sides.ts'
import { storeCalls, traceStore } from './store-trace.ts'

/** Steps that a workload thinks of; a trace is some of them. */
const STEPS = 300

export const LEVELS = ['log', 'store', 'node'] as const
export type Level = (typeof LEVELS)[number]

export const compareAt: Readonly<Record<Level, (seed: number, kafka: RealKafka) => Promise<Compared>>> = {
  log: (seed, kafka) =>
    compare(seed, logCalls, async (calls) =>
      parting(calls, await traceLog(simulatedLogSide(seed), calls), await traceLog(kafka.side(), calls)),
    ),

  store: (seed) =>
    compare(seed, storeCalls, async (calls) => {
      const side = await rocksStoreSide(new Prng(seed))
      try {
        const real = await traceStore(side, calls)
        // What a loss of power leaves is no promise: the simulated disk must be able to lose as much.
        const simulated = await traceStore(simulatedStoreSide(), calls, real.left)
        return parting(calls, simulated.lines, real.lines)
      } finally {
        await side.close()
      }
    }),

  async node(seed, kafka) {
    const { steps } = await traceNode(simulatedNodeSide(seed), seed, STEPS)
    return compare(seed, fc.subarray([...steps], { minLength: 1 }), async (some) => {
      const side = await realNodeSide(kafka.bootstrap, kafka.log, `reality-${randomBytes(6).toString('hex')}`)
      try {
        const real = await traceNode(side, seed, some)
        // The simulated brokers stamp their records as the real one did: then all that follows from time is the same.
        const simulated = await traceNode(simulatedNodeSide(seed, await side.stamps()), seed, some)
        return parting([], simulated.lines, real.lines)
      } finally {
        await side.close()
      }
    })
  },
}
