/** What the replicas and the log report: counted for the metrics, and logged where an operator cares. */
import type { TidemarkError } from '../../streams/core/errors.ts'
import type { Partition } from '../../streams/core/types.ts'
import type { Telemetry } from '../../streams/ports.ts'
import type { Logger } from './logger.ts'

export interface NodeTelemetry extends Telemetry {
  /** Records applied since the start, by keyspace. */
  readonly appliedRecords: ReadonlyMap<string, number>
}

export function createTelemetry(logger: Logger): NodeTelemetry {
  const appliedRecords = new Map<string, number>()
  return {
    appliedRecords,
    applied(keyspace: string, _partition: Partition, records: number): void {
      appliedRecords.set(keyspace, (appliedRecords.get(keyspace) ?? 0) + records)
    },
    stopped(keyspace: string, partition: Partition, error: TidemarkError): void {
      const { reason } = error
      const message = `partition ${partition} of keyspace ${keyspace} stopped serving: ${error.message} (${reason})`
      logger.error({ keyspace, partition, reason }, message)
    },
    trouble: (sentence) => logger.warn(sentence),
    recovered: (sentence) => logger.info(sentence),
  }
}
