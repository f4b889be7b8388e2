/** Opens the node that the configuration describes: which log, which store, which membership. The only place that chooses. */
import { join } from 'node:path'
import { logTime } from '../../streams/core/types.ts'
import type { TidemarkNode } from '../../streams/face.ts'
import type { Log } from '../../streams/log/log.ts'
import { singleMembership } from '../../streams/membership/single.ts'
import { openNode } from '../../streams/node.ts'
import type { Telemetry } from '../../streams/ports.ts'
import { openStore } from '../../streams/store/rocksdb.ts'
import { systemClock, systemRandom } from '../../streams/system.ts'
import type { Config } from './config.ts'
import { keptNodeId } from './node-id.ts'

/** @throws STORE_*, TOPIC_UNSAFE, CONFIG_INVALID …: what refuses the node; CANCELLED by the signal while it waits for Kafka */
export async function openConfigured(
  config: Config,
  telemetry: Telemetry,
  signal: AbortSignal,
): Promise<TidemarkNode> {
  const nodeId = config.nodeId ?? (await keptNodeId(config.dataDirectory))
  const log = await openLog(config, nodeId, telemetry, signal)
  const closing: (() => Promise<void>)[] = [() => log.close()]
  try {
    const store = await openStore(join(config.dataDirectory, 'replicas'))
    closing.push(() => store.close())
    return await openNode({
      cluster: config.cluster,
      nodeId,
      zone: config.zone,
      log,
      logKind: config.log,
      store,
      membership: singleMembership(),
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
async function openLog(
  config: Config,
  nodeId: string,
  telemetry: Telemetry,
  signal: AbortSignal,
): Promise<Log> {
  if (config.log === 'kafka') {
    const { openKafkaLog } = await import('../../streams/log/kafka/log.ts')
    const clientId = `${config.cluster}.${nodeId}`
    return openKafkaLog({ brokers: config.kafkaBrokers, dev: config.dev, telemetry, signal, clientId })
  }
  const { openEmbeddedLog } = await import('../../streams/log/embedded/embedded-log.ts')
  return openEmbeddedLog({ directory: join(config.dataDirectory, 'log'), clock: () => logTime(Date.now()) })
}
