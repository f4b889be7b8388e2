/**
 * A Kafka for whoever needs one, from where there is one: the brokers of TIDEMARK_KAFKA_BROKERS, else Java and Maven,
 * else Docker. Tests use with-kafka.ts, which shares one of them.
 */
import { hasDocker, startKafkaInDocker } from './docker.ts'
import { NoJava } from './jars.ts'
import { startKafka } from './start.ts'
import type { KafkaBroker } from './broker.ts'

export interface AcquiredKafka {
  readonly from: 'environment' | 'java' | 'docker'
  /** `host:port` of each broker. */
  readonly bootstrap: readonly string[]
  /** The processes, to stop and start them; none where the brokers are someone else's. */
  readonly brokers: readonly KafkaBroker[]
  /** Gives it back; brokers that were started for it end. */
  release(): Promise<void>
}

/** @returns why there is no Kafka, as text, where none can be had. Faults of a Kafka that should start are thrown. */
export async function acquireKafka(): Promise<AcquiredKafka | string> {
  const given = process.env['TIDEMARK_KAFKA_BROKERS']
  if (given !== undefined && given !== '') {
    return { from: 'environment', bootstrap: given.split(','), brokers: [], release: () => Promise.resolve() }
  }
  try {
    const cluster = await startKafka()
    return { from: 'java', bootstrap: cluster.bootstrap, brokers: cluster.brokers, release: cluster.stop }
  } catch (error) {
    if (!(error instanceof NoJava)) throw error
    if (!(await hasDocker())) return `${error.message}; and no Docker daemon answers`
    const cluster = await startKafkaInDocker()
    return { from: 'docker', bootstrap: cluster.bootstrap, brokers: cluster.brokers, release: cluster.stop }
  }
}
