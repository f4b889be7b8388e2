/**
 * From what operations cost on one machine to what a larger cluster can do, resource by resource. No more than arithmetic: scaling.md says
 * what it leaves out.
 */
import type { ScaleSample } from './cell.ts'
import type { MapCosts } from './map-costs.ts'

/** Microseconds of processor time for one operation. */
export interface UnitCosts {
  /** Of a put: what it costs once, and what each replica adds. */
  readonly putOnce: number
  readonly putEachReplica: number
  readonly putBroker: number
  readonly get: number
  /** Of one round of the read index, which serves all reads that wait for it. */
  readonly roundBroker: number
}

/** A node is one core of JavaScript; a broker has eight cores; both have a line of 10 Gbit/s, used to 70 %. */
export const MACHINE = {
  brokerCores: 8,
  lineBytes: 0.7 * 1.25e9,
  valueBytes: 100,
  overheadBytes: 60,
} as const

/** Of Kafka, as it comes: the record that holds the group must fit. */
export const GROUP_RECORD_BYTES_MAX = 1024 * 1024

/** Replicas of each partition, and copies of each record that brokers keep. */
const REPLICAS = 3
const COPIES = 3

/** Least squares over all cells: a put costs its nodes `once + replicas * each`. */
export function unitCosts(samples: readonly ScaleSample[]): UnitCosts {
  const of = (workload: ScaleSample['workload']): readonly ScaleSample[] =>
    samples.filter((sample) => sample.workload === workload)
  const puts = of('put')
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  const [x, y] = [mean(puts.map(({ replicas }) => replicas)), mean(puts.map(({ nodeMicros }) => nodeMicros))]
  const spread = puts.reduce((sum, { replicas }) => sum + (replicas - x) ** 2, 0)
  const slope = puts.reduce((sum, { replicas, nodeMicros }) => sum + (replicas - x) * (nodeMicros - y), 0)
  const each = spread === 0 ? 0 : Math.max(0, slope / spread)
  // Noise must not make the call cost less than nothing.
  const putOnce = Math.max(0, y - each * x)
  return {
    putOnce,
    putEachReplica: (y - putOnce) / x,
    putBroker: mean(puts.map(({ brokerMicros }) => brokerMicros)),
    get: mean(of('get, eventual').map(({ nodeMicros }) => nodeMicros)),
    // At few calls in a second what the broker does for nobody would count as theirs.
    roundBroker: mean(
      of('get, linearizable, one at a time').map(({ brokerMicros, idleBroker, perSecond }) =>
        Math.max(0, brokerMicros - (1e6 * idleBroker) / perSecond),
      ),
    ),
  }
}

export interface Reach {
  readonly nodes: number
  readonly brokers: number
  /** Operations in a second that the resource bears; the least of a kind is what the cluster can do. */
  readonly puts: Readonly<
    Record<'processors of nodes' | 'processors of brokers' | 'lines of brokers', number>
  >
  readonly gets: Readonly<Record<'processors of nodes', number>>
  /** Microseconds that a broker's processors need to answer one round of every node: a linearizable read waits no less. */
  readonly roundMicros: number
  readonly map: MapCosts
  /** Where the group's record does not fit any more. */
  readonly mapFits: boolean
}

/** @param brokers - so many carry the log */
export function reach(costs: UnitCosts, nodes: number, brokers: number, map: MapCosts): Reach {
  const { brokerCores, lineBytes, valueBytes, overheadBytes } = MACHINE
  const replicas = Math.min(REPLICAS, nodes)
  const record = valueBytes + overheadBytes
  return {
    ...{ nodes, brokers, map },
    puts: {
      'processors of nodes': (nodes * 1e6) / (costs.putOnce + replicas * costs.putEachReplica),
      // The measured broker had one copy to keep; each further one is fetched by a broker and appended by it.
      'processors of brokers': (brokers * brokerCores * 1e6) / (costs.putBroker * COPIES),
      // What leaves the brokers: the other copies, and what the replicas read.
      'lines of brokers': (brokers * lineBytes) / (record * (COPIES - 1 + replicas)),
    },
    gets: { 'processors of nodes': (nodes * 1e6) / costs.get },
    // Each node asks every broker once a round, also who leads; brokers answer on all their cores.
    roundMicros: (nodes * costs.roundBroker) / brokerCores,
    mapFits: map.groupRecordBytes <= GROUP_RECORD_BYTES_MAX,
  }
}

/** The resource that ends first, and where. */
export function least(limits: Readonly<Record<string, number>>): {
  readonly what: string
  readonly rate: number
} {
  const [[what, rate] = ['nothing', Infinity]] = Object.entries(limits).sort(([, a], [, b]) => a - b)
  return { what, rate }
}
