/**
 * The catalogue to a Datadog agent, or anything else that speaks DogStatsD, where DD_AGENT_HOST or DD_DOGSTATSD_URL names one: counts as
 * differences since the last time, durations as distributions. Nothing is sent for a call: all is gathered first, so the agent costs the same
 * at any load. An agent that is away costs a log line and what was not delivered.
 *
 * A bucket of durations goes out as one sample, its mean, that stands for so many: DogStatsD's sample rate is that weight. (hot-shots would
 * throw dice for a sample rate, so lines are made here.) `env`, `service`, `version` and DD_TAGS are added by hot-shots.
 */
import { DATADOG_INTERVAL_MS } from '../../../streams/core/limits.ts'
import type { Config } from '../config.ts'
import type { Logger } from '../logger.ts'
import { METRIC_NAMES, PREFIX, datadogName, metricOf } from './catalogue.ts'
import { type Measured, look } from './look.ts'
import { READINGS, type Sample, type Spread, type Tags } from './readings.ts'

/** Bytes of a packet: what fits an Ethernet frame, and what the agent reads at a time from a Unix socket. */
const UDP_BYTES = 1432
const SOCKET_BYTES = 8192
/** Milliseconds for which lines gather before a packet that is not full goes out. */
const FLUSH_MS = 500

/** What is used of hot-shots' client; its types leave out `send`. */
export interface Sender {
  send(line: string, tags: Tags): void
  check(name: string, status: number, options: undefined, tags: Tags): void
}

export type DatadogSettings = Pick<Config, 'datadogHost' | 'datadogUrl'>

/** @returns what sends the rest and ends it */
export async function reportToDatadog(
  config: DatadogSettings,
  measured: Measured & { readonly telemetry: { errors: number } },
  logger: Logger,
): Promise<() => Promise<void>> {
  const { datadogHost, datadogUrl } = config
  if (datadogHost === undefined && datadogUrl === undefined) return () => Promise.resolve()
  const { StatsD } = await import('hot-shots')
  const description = measured.node?.description
  let failing = false
  const failed = (error: Error): void => {
    measured.telemetry.errors += 1
    if (!failing) logger.warn(`cannot send metrics to the Datadog agent: ${error.message}`)
    failing = true
  }
  const client = new StatsD({
    ...(datadogHost === undefined ? {} : { host: datadogHost }),
    maxBufferSize: datadogUrl?.startsWith('unix:') === true ? SOCKET_BYTES : UDP_BYTES,
    bufferFlushInterval: FLUSH_MS,
    cacheDns: true,
    // Of itself it would tell under names that are not in the catalogue.
    includeDatadogTelemetry: false,
    globalTags: description === undefined ? {} : { cluster: description.cluster, node: description.nodeId },
    errorHandler: failed,
  })
  const sent = new Map<string, number>()
  const tell = (): void => {
    const before = measured.telemetry.errors
    report(client as unknown as Sender, measured, sent)
    if (failing && before === measured.telemetry.errors) failing = false
  }
  tell()
  const timer = setInterval(tell, DATADOG_INTERVAL_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    tell()
    return new Promise((resolve) => client.close(() => resolve()))
  }
}

const OK = 0
const CRITICAL = 2

/** Sends what there is; `sent` remembers totals. The first time counts of 0 go out too, so that each series begins with the node. */
export function report(client: Sender, measured: Measured, sent: Map<string, number>): void {
  const now = look(measured)
  const count = (name: string, total: number, tags: Tags): void => {
    const series = seriesOf(name, tags)
    const before = sent.get(series)
    sent.set(series, total)
    const more = total - (before ?? 0)
    if (more > 0 || before === undefined) client.send(`${name}:${more}|c`, tags)
  }
  const weigh = (name: string, { tags, distribution }: Spread): void => {
    distribution.count.forEach((calls, bucket) => {
      const series = seriesOf(name, { ...tags, bucket: String(bucket) })
      const more = calls - (sent.get(series) ?? 0)
      if (more <= 0) return
      const seconds = distribution.seconds[bucket] ?? 0
      const mean = (seconds - (sent.get(`${series} seconds`) ?? 0)) / more
      sent.set(series, calls)
      sent.set(`${series} seconds`, seconds)
      client.send(`${name}:${mean}|d${weight(more)}`, tags)
    })
  }
  for (const metric of METRIC_NAMES) {
    const name = datadogName(metric)
    const { type } = metricOf(metric)
    const read: readonly (Sample | Spread)[] = READINGS[metric](now)
    for (const each of read)
      if ('distribution' in each) weigh(name, each)
      else if (type === 'count') count(name, each.value, each.tags)
      else client.send(`${name}:${each.value}|g`, each.tags)
  }
  client.check(`${PREFIX}.can_serve`, now.ready ? OK : CRITICAL, undefined, {})
  client.check(`${PREFIX}.log.can_connect`, now.vitals?.logHealthy === true ? OK : CRITICAL, undefined, {})
}

const seriesOf = (name: string, tags: Tags): string => `${name} ${Object.values(tags).join(' ')}`

/** The agent takes 1 / rate, cut to a whole number: a little more than the number itself survives the rounding of both divisions. */
const weight = (samples: number): string => (samples === 1 ? '' : `|@${1 / (samples + 0.001)}`)
