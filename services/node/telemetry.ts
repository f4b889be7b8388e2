/** What the replicas and the log report: counted for the metrics, and logged where an operator cares. */
import type { TidemarkError } from '../../streams/core/errors.ts'
import type { Partition } from '../../streams/core/types.ts'
import { newMeters } from '../../streams/meters.ts'
import type { Telemetry } from '../../streams/ports.ts'
import type { Logger } from './logger.ts'

export function createTelemetry(logger: Logger): Telemetry {
  const meters = newMeters()
  return {
    meters,
    stopped(keyspace: string, partition: Partition, error: TidemarkError): void {
      const { reason } = error
      meters.tallies['partitions.stopped'].add(reason)
      const message = `partition ${partition} of keyspace ${keyspace} stopped serving: ${error.message} (${reason})`
      logger.error({ keyspace, partition, reason }, message)
    },
    trouble(sentence: string): void {
      meters.counts.troubles += 1
      logger.warn(sentence)
    },
    recovered: (sentence) => logger.info(sentence),
  }
}
