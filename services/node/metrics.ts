/** Metrics in Prometheus' text format: read from what stands anyway when they are asked for, so that counting costs calls nothing. */
import { status as grpcStatus } from '@grpc/grpc-js'
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import type { ReplicaStatus, TidemarkNode } from '../../streams/face.ts'
import { type CallMeter, LATENCY_BOUNDS_SECONDS } from './call-meter.ts'
import { VERSION } from './package-root.ts'

export interface Measured {
  /** Undefined until it is open. */
  readonly node: TidemarkNode | undefined
  readonly meters: ReadonlyMap<string, CallMeter>
  readonly appliedRecords: ReadonlyMap<string, number>
}

export interface Metrics {
  readonly contentType: string
  text(): Promise<string>
}

export function createMetrics(measured: Measured): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  callMetrics(registry, measured)
  nodeMetrics(registry, measured)
  replicaMetrics(registry, measured)
  return {
    contentType: registry.contentType,
    text: async () => `${await registry.metrics()}\n${latencyText(measured.meters.values())}`,
  }
}

function callMetrics(registry: Registry, { meters }: Measured): void {
  new Counter({
    name: 'tidemark_grpc_requests_total',
    help: 'gRPC calls that ended, by method and status code.',
    labelNames: ['method', 'code'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { method, ended } of meters.values()) {
        ended.forEach((count, code) => {
          if (count > 0) this.inc({ method, code: grpcStatus[code] ?? String(code) }, count)
        })
      }
    },
  })
  new Gauge({
    name: 'tidemark_grpc_requests_in_flight',
    help: 'gRPC calls that have not ended, streams included.',
    labelNames: ['method'],
    registers: [registry],
    collect() {
      for (const { method, inFlight } of meters.values()) this.set({ method }, inFlight)
    },
  })
}

const LATENCY = 'tidemark_grpc_request_duration_seconds'

/** prom-client's histogram counts by itself; ours has been counted, and needs only to be written. */
function latencyText(meters: Iterable<CallMeter>): string {
  const lines = [
    `# HELP ${LATENCY} How long gRPC calls took, streams from beginning to end.`,
    `# TYPE ${LATENCY} histogram`,
  ]
  for (const { method, buckets, seconds } of meters) {
    if (buckets.every((calls) => calls === 0)) continue
    let count = 0
    buckets.forEach((calls, index) => {
      count += calls
      const bound = LATENCY_BOUNDS_SECONDS[index] ?? '+Inf'
      lines.push(`${LATENCY}_bucket{method="${method}",le="${bound}"} ${count}`)
    })
    lines.push(
      `${LATENCY}_sum{method="${method}"} ${seconds}`,
      `${LATENCY}_count{method="${method}"} ${count}`,
    )
  }
  return `${lines.join('\n')}\n`
}

function nodeMetrics(registry: Registry, measured: Measured): void {
  new Gauge({
    name: 'tidemark_build_info',
    help: 'Always 1; the version is the label.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version: VERSION }, 1)
  new Gauge({
    name: 'tidemark_ready',
    help: '1 while all replicas are live and the log answers.',
    registers: [registry],
    collect() {
      this.set(measured.node?.ready === true ? 1 : 0)
    },
  })
  new Counter({
    name: 'tidemark_applied_records_total',
    help: 'Records of the log applied by this process.',
    labelNames: ['keyspace'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [keyspace, records] of measured.appliedRecords) this.inc({ keyspace }, records)
    },
  })
}

const REPLICA_GAUGES: readonly (readonly [
  name: string,
  help: string,
  value: (replica: ReplicaStatus) => number,
])[] = [
  ['applied_offset', 'Offset of the next record to apply.', ({ next }) => next],
  ['log_end_offset', 'End of the partition in the log, as last seen.', ({ logEnd }) => logEnd],
  [
    'lag_records',
    'Records in the log that are not applied yet.',
    ({ next, logEnd }) => Math.max(0, logEnd - next),
  ],
  ['rows', 'Living rows.', ({ rows }) => rows],
  ['rejected_records', 'Records that apply rejected since the partition began.', ({ rejected }) => rejected],
  [
    'history_start_offset',
    'Earliest offset from which a watch resumes exactly.',
    ({ historyStart }) => historyStart,
  ],
]

function replicaMetrics(registry: Registry, measured: Measured): void {
  for (const [name, help, value] of REPLICA_GAUGES) {
    new Gauge({
      name: `tidemark_replica_${name}`,
      help,
      labelNames: ['keyspace', 'partition'],
      registers: [registry],
      collect() {
        this.reset()
        for (const replica of measured.node?.replicas() ?? []) {
          this.set({ keyspace: replica.keyspace, partition: replica.partition }, value(replica))
        }
      },
    })
  }
  new Gauge({
    name: 'tidemark_replicas',
    help: 'Replicas by state: restoring, live, stopped.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      this.reset()
      for (const state of ['restoring', 'live', 'stopped']) this.set({ state }, 0)
      for (const replica of measured.node?.replicas() ?? []) this.inc({ state: replica.state })
    },
  })
}
