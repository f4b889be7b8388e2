/** Opens the node that the configuration describes: which log, which store, which membership. The only place that chooses. */
import { join } from 'node:path'
import { logTime } from '../../streams/core/types.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import type { Log } from '../../streams/log/log.ts'
import { meteredLog } from '../../streams/log/metered.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'
import type { Membership } from '../../streams/membership/membership.ts'
import { singleMembership } from '../../streams/membership/single.ts'
import { openNode } from '../../streams/node.ts'
import type { Telemetry } from '../../streams/ports.ts'
import { bootstrapFrom } from '../../streams/snapshot/bootstrap.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import { systemClock, systemRandom } from '../../streams/system.ts'
import { askPeerOf } from './ask-peer.ts'
import type { Config } from './config.ts'
import { copyOffers } from './copy-offers.ts'
import { kafkaSecurity } from './kafka-security.ts'
import { keptNodeId } from './node-id.ts'
import { openSnapshots } from './snapshot-place.ts'
import { peerProbe } from './peer-probe.ts'

export interface Opening {
  readonly telemetry: Telemetry
  /** Gives up while the node opens, for instance while no broker answers. */
  readonly signal: AbortSignal
  /** Another process with the id of this node came later: this one has no place in the cluster any more. */
  readonly replaced: (error: TidemarkError) => void
}

/** @throws STORE_*, TOPIC_UNSAFE, CONFIG_INVALID …: what refuses the node; CANCELLED by the signal while it waits for Kafka */
export async function openConfigured(config: Config, opening: Opening): Promise<TidemarkNode> {
  const { telemetry } = opening
  const nodeId = config.nodeId ?? (await keptNodeId(config.dataDirectory))
  const log = meteredLog(await openLog(config, nodeId, opening), telemetry.meters, telemetry.tracing)
  const closing: (() => Promise<void>)[] = [() => log.close()]
  try {
    const store = await openStore(join(config.dataDirectory, 'replicas'))
    closing.push(() => store.close())
    const snapshots = await openSnapshots(config)
    const offers = copyOffers({ cluster: config.cluster, zone: config.zone, snapshots, clock: systemClock })
    const membership = await openMembership(config, opening)
    closing.push(() => membership.close())
    return await openNode({
      bootstrap: bootstrapFrom({
        cluster: config.cluster,
        logIdentity: log.identity,
        store,
        offers,
        telemetry,
      }),
      askPeer: askPeerOf(config.cluster),
      verifyMs: config.verifyMs,
      cluster: config.cluster,
      nodeId,
      zone: config.zone,
      log,
      logKind: config.log,
      store,
      membership,
      clock: systemClock,
      random: systemRandom,
      telemetry,
      partitions: config.partitions,
      replication: config.replication,
      dev: config.dev || config.log === 'embedded',
    })
  } catch (caught) {
    for (const close of closing.reverse()) await close()
    throw caught
  }
}

/** Loads only the log that is asked for: a node on the embedded one carries no Kafka client. */
async function openLog(config: Config, nodeId: string, { telemetry, signal }: Opening): Promise<Log> {
  if (config.log === 'kafka') {
    const { openKafkaLog } = await import('../../streams/log/kafka/log.ts')
    const clientId = `${config.cluster}.${nodeId}`
    return openKafkaLog({
      brokers: config.kafkaBrokers,
      ...kafkaSecurity(config),
      dev: config.dev,
      telemetry,
      signal,
      clientId,
      meters: telemetry.meters,
    })
  }
  const { openEmbeddedLog } = await import('../../streams/log/embedded/embedded-log.ts')
  return openEmbeddedLog({ directory: join(config.dataDirectory, 'log'), clock: () => logTime(Date.now()) })
}

/** Nodes find each other by way of the log that they share; a node on the embedded one is alone. */
async function openMembership(config: Config, { telemetry, replaced }: Opening): Promise<Membership> {
  if (config.log === 'embedded') return singleMembership()
  const { openKafkaMembership } = await import('../../streams/membership/kafka/membership.ts')
  const probe = peerProbe()
  const membership = openKafkaMembership({
    brokers: config.kafkaBrokers,
    ...kafkaSecurity(config),
    cluster: config.cluster,
    clock: systemClock,
    telemetry,
    meters: telemetry.meters,
    alive: probe.alive,
    replaced,
  })
  return {
    ...membership,
    async close() {
      await membership.close()
      probe.close()
    },
  }
}
