/**
 * The settings of a broker for tests: KRaft, broker and controller in one process, loopback only, small and quick to
 * start. What could hide a fault of Tidemark stays as a careful operator has it: no topic is made by accident, an
 * unclean leader is never elected.
 */

export interface BrokerAddress {
  /** Kafka's node id, from 1. */
  readonly id: number
  readonly port: number
  readonly controllerPort: number
}

export type Settings = Readonly<Record<string, string | number | boolean>>

export function brokerSettings(
  self: BrokerAddress,
  all: readonly BrokerAddress[],
  logDir: string,
  changes: Settings = {},
): Settings {
  const copies = all.length
  return {
    'process.roles': 'broker,controller',
    'node.id': self.id,
    'controller.quorum.voters': all.map((b) => `${b.id}@127.0.0.1:${b.controllerPort}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${self.port},CONTROLLER://127.0.0.1:${self.controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${self.port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'log.dirs': logDir,

    'auto.create.topics.enable': false,
    'unclean.leader.election.enable': false,
    'group.initial.rebalance.delay.ms': 0,

    // Kafka's own topics: as few partitions as tests need, as many copies as there are brokers.
    'offsets.topic.num.partitions': 4,
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.num.partitions': 4,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': copies > 1 ? 2 : 1,
    'share.coordinator.state.topic.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': copies > 1 ? 2 : 1,

    // A killed broker may come back only when the controller has given up its old session: 2 s or 4 s instead of 9.
    'broker.heartbeat.interval.ms': 400,
    'broker.session.timeout.ms': copies > 1 ? 4000 : 2000,

    // Threads and buffers for a laptop. The cleaner's default buffer alone is 128 MiB.
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'num.recovery.threads.per.data.dir': 2,
    'log.cleaner.dedupe.buffer.size': 4 * 1024 * 1024,
    ...changes,
  }
}

/** As a Java properties file; keys and values of ours need no more escaping than the backslash. */
export const propertiesText = (settings: Settings): string =>
  Object.entries(settings)
    .map(([name, value]) => `${name}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('')
