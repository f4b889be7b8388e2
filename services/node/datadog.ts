/**
 * Metrics to a Datadog agent (DogStatsD), where DD_AGENT_HOST or DD_DOGSTATSD_URL names one. The same counts as /metrics, sent
 * as differences at an interval; tags come from DD_ENV, DD_SERVICE, DD_VERSION and DD_TAGS by hot-shots itself.
 */
import { status as grpcStatus } from '@grpc/grpc-js'
import type { StatsD } from 'hot-shots'
import { DATADOG_INTERVAL_MS } from '../../streams/core/limits.ts'
import type { CallMeter } from './call-meter.ts'
import type { Config } from './config.ts'
import type { Logger } from './logger.ts'
import type { Measured } from './metrics.ts'

/** Bytes of a packet that fits an Ethernet frame. */
const PACKET_BYTES = 1432

/** @returns what ends it */
export async function reportToDatadog(
  config: Pick<Config, 'datadogHost' | 'datadogUrl'>,
  measured: Measured,
  logger: Logger,
): Promise<() => void> {
  if (config.datadogHost === undefined && config.datadogUrl === undefined) return () => undefined
  const { StatsD } = await import('hot-shots')
  let failing = false
  const client = new StatsD({
    prefix: 'tidemark.',
    ...(config.datadogHost === undefined ? {} : { host: config.datadogHost }),
    maxBufferSize: PACKET_BYTES,
    errorHandler(error) {
      if (!failing) logger.warn(`cannot send metrics to the Datadog agent: ${error.message}`)
      failing = true
    },
  })
  const sent = new Map<string, number>()
  const timer = setInterval(() => report(client, measured, sent), DATADOG_INTERVAL_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    report(client, measured, sent)
    client.close(() => undefined)
  }
}

/** Sends what has changed since the last time; `sent` remembers the totals. */
export function report(
  client: Pick<StatsD, 'increment' | 'gauge'>,
  { node, meters, appliedRecords }: Measured,
  sent: Map<string, number>,
): void {
  const count = (name: string, total: number, tags: Record<string, string>): void => {
    const series = `${name} ${Object.values(tags).join(' ')}`
    const more = total - (sent.get(series) ?? 0)
    if (more > 0) client.increment(name, more, tags)
    sent.set(series, total)
  }
  for (const meter of meters.values()) reportCalls(meter, count, client)
  for (const [keyspace, records] of appliedRecords) count('applied.records', records, { keyspace })
  const replicas = node?.replicas() ?? []
  client.gauge('ready', node?.ready === true ? 1 : 0)
  for (const state of ['restoring', 'live', 'stopped']) {
    client.gauge('replicas', replicas.filter((replica) => replica.state === state).length, { state })
  }
  for (const { keyspace, partition, next, logEnd, rows } of replicas) {
    const tags = { keyspace, partition: String(partition) }
    client.gauge('replica.lag_records', Math.max(0, logEnd - next), tags)
    client.gauge('replica.rows', rows, tags)
  }
}

function reportCalls(
  { method, ended, seconds, inFlight }: CallMeter,
  count: (name: string, total: number, tags: Record<string, string>) => void,
  client: Pick<StatsD, 'gauge'>,
): void {
  ended.forEach((total, code) => {
    if (total > 0) count('grpc.requests', total, { method, code: grpcStatus[code] ?? String(code) })
  })
  if (seconds > 0) count('grpc.request_seconds', seconds, { method })
  client.gauge('grpc.requests_in_flight', inFlight, { method })
}
