/**
 * A node from start to end. It begins in the order HTTP (so that orchestrators see that it lives), log and replicas, gRPC, and
 * tells the cluster where it is reached; it drains in the order: health says NOT_SERVING, others take over what it leads, streams
 * end, no new call is taken, calls in flight finish, replicas and log close, HTTP closes.
 */
import { addressText, type Address } from './address.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import { DRAIN_MS } from '../../streams/core/limits.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import type { Meters } from '../../streams/meters.ts'
import type { CallMeter } from './call-meter.ts'
import { type Serving, isFatal } from './calls.ts'
import type { Config } from './config.ts'
import { type HttpServer, serveHttp } from './http.ts'
import { type Logger, traceFields } from './logger.ts'
import { reportToDatadog } from './metrics/dogstatsd.ts'
import { createMetrics } from './metrics/prometheus.ts'
import { watchRuntime } from './metrics/runtime.ts'
import { watchSnapshots } from './metrics/snapshot-watch.ts'
import { type Opening, openConfigured } from './open.ts'
import { VERSION } from './package-root.ts'
import { RoutedNode } from './routing/routed-node.ts'
import { type GrpcServer, serveGrpc } from './server.ts'
import { openSnapshots } from './snapshot-place.ts'
import { createTelemetry } from './telemetry.ts'
import type { NodeTracing } from './tracing/open.ts'

export interface RunningNode {
  readonly node: TidemarkNode
  readonly grpc: Address
  readonly http: Address
  /** What the node says once it serves. */
  readonly greeting: string
  /** Resolves when it has stopped, whoever asked for that; with the reason where it stopped by itself. */
  readonly stopped: Promise<TidemarkError | undefined>
  /** Drains, then closes everything. Idempotent. @param why - the node cannot go on, for this reason */
  stop(why?: TidemarkError): Promise<void>
}

export interface Surroundings {
  readonly logger: Logger
  /** Gives up while the node opens, for instance while no broker answers. */
  readonly signal: AbortSignal
  /** Memory can no longer be trusted: ends the process. */
  readonly fatal: (bug: unknown) => void
  /** Opens the node; by default as the configuration says. */
  readonly open?: (config: Config, opening: Opening) => Promise<TidemarkNode>
}

/** @throws TidemarkError for whatever refuses the node; nothing is left open then. */
export async function startNode(config: Config, surroundings: Surroundings): Promise<RunningNode> {
  const { logger, signal, fatal, open = openConfigured } = surroundings
  const draining = new AbortController()
  const counting = createTelemetry(logger)
  const tracing = await openTraces(config, counting.meters, logger)
  const telemetry = { ...counting, tracing: tracing?.log }
  const meters = new Map<string, CallMeter>()
  const { meters: totals } = telemetry
  const snapshots = await openSnapshots(config)
  const runtime = watchRuntime()
  const measured = {
    node: undefined as TidemarkNode | undefined,
    meters,
    totals,
    runtime,
    snapshots: snapshots && watchSnapshots(snapshots, config.cluster, logger),
    dataDirectory: config.dataDirectory,
    telemetry: { errors: 0 },
  }
  const stopMeasuring = (): void => {
    runtime.stop()
    measured.snapshots?.stop()
  }
  const readiness = {
    get node() {
      return measured.node
    },
    draining: draining.signal,
  }
  const http = await serveHttp(config.httpListen, readiness, createMetrics(measured))
  let node: TidemarkNode | undefined
  // Who asks the node to end while it begins is heard once it has begun.
  let stop: (why?: TidemarkError) => void
  const stopAsked = new Promise<TidemarkError | undefined>((resolve) => (stop = resolve))
  const replaced = (why: TidemarkError): void => {
    logger.fatal({ reason: why.reason }, `${why.message}: the node ends`)
    stop(why)
  }
  try {
    node = await open(config, { telemetry, signal, replaced })
    measured.node = node
    const routed = new RoutedNode(node, totals.tallies['router.forwards'])
    const serving: Serving = {
      node: routed,
      local: node,
      snapshots,
      draining: draining.signal,
      meters,
      totals,
      tracing: tracing?.calls,
      bug(bug) {
        if (isFatal(bug)) {
          fatal(bug)
          return
        }
        const ids = tracing?.calls.idsOf(bug)
        const traced = ids === undefined ? {} : traceFields(config.logFormat)(ids)
        logger.error({ err: bug, ...traced }, 'a bug: a call failed with INTERNAL')
      },
      drain: () => stop(),
    }
    const grpc = await serveGrpc(serving, config.grpcListen, config.connectionAgeMs)
    node.join(addressText(config.grpcAdvertise ?? grpc.address))
    const stopSending = await reportToDatadog(config, measured, logger)
    const stopReporting = async (): Promise<void> => {
      await tracing?.close()
      await stopSending()
      stopMeasuring()
    }
    const result = finish({ config, logger, node: routed, grpc, http, draining, stopReporting })
    void stopAsked.then((why) => result.stop(why))
    return result
  } catch (caught) {
    await node?.close(Date.now())
    stopMeasuring()
    await http.stop()
    throw caught
  }
}

/** OpenTelemetry is loaded only where there is a receiver. */
async function openTraces(
  config: Config,
  { tallies }: Meters,
  logger: Logger,
): Promise<NodeTracing | undefined> {
  const { tracesEndpoint, tracesExporter } = config
  if (tracesEndpoint === undefined || tracesExporter === 'none') return undefined
  const { openTracing } = await import('./tracing/open.ts')
  return openTracing(config, tracesEndpoint, tallies['traces.spans'], logger)
}

interface Parts {
  readonly config: Config
  readonly logger: Logger
  readonly node: TidemarkNode
  readonly grpc: GrpcServer
  readonly http: HttpServer
  readonly draining: AbortController
  readonly stopReporting: () => Promise<void>
}

function finish({ config, logger, node, grpc, http, draining, stopReporting }: Parts): RunningNode {
  const forget = node.onReady((ready) => {
    const replicas = `${node.replicas().length} replicas`
    if (ready) logger.info(`ready: all ${replicas} are live`)
    else if (stopping === undefined)
      logger.warn(`not ready: of ${replicas} some are not live, or the log does not answer`)
  })
  const drain = async (): Promise<void> => {
    const deadline = Date.now() + DRAIN_MS
    // The others take over what this node leads while it still answers.
    await node.drain(Date.now() + DRAIN_MS / 2)
    draining.abort()
    if (!(await grpc.stop(deadline)))
      logger.warn(`calls were cut off that did not finish in ${DRAIN_MS / 1000} s`)
    await node.close(Math.max(deadline, Date.now() + CLOSE_MS))
    forget()
    await stopReporting()
    await http.stop()
    logger.info('stopped')
  }
  let ended: (why: TidemarkError | undefined) => void
  const stopped = new Promise<TidemarkError | undefined>((resolve) => (ended = resolve))
  let stopping: Promise<void> | undefined
  return {
    node,
    grpc: grpc.address,
    http: http.address,
    greeting: greetingOf(config, grpc.address, http.address),
    stopped,
    stop(why) {
      stopping ??= drain().finally(() => ended(why))
      return stopping
    },
  }
}

/** Milliseconds that replicas and log get to close where calls used up all the time there was. */
const CLOSE_MS = 1000

function greetingOf(config: Config, grpc: Address, http: Address): string {
  const log =
    config.log === 'embedded'
      ? `embedded log in ${config.dataDirectory}`
      : `log on Kafka at ${config.kafkaBrokers.join(', ')}, replicas in ${config.dataDirectory}`
  return `tidemark ${VERSION} listening on grpc://${addressText(grpc)} and http://${addressText(http)}, ${log}`
}
