/**
 * An unclean election: a broker that was down comes back as leader, though it was not in sync. What it does not have is lost, acknowledged or
 * not, and other records come to stand at those offsets. No promise about what is in the log holds then; one does: no replica goes on
 * serving what the log does not hold (invariant I5).
 */
import type { BrokerPartition } from './broker-partition.ts'
import type { Site } from './faults.ts'

/** The broker is down from now on. @returns what brings it back, as leader */
export function loseRecords(
  { kafka, world }: Site,
  partition: BrokerPartition,
  target: number,
): (() => void) | undefined {
  const broker = kafka.brokers[target % kafka.brokers.length] ?? 0
  // With two of three down nothing could be appended.
  if (kafka.down.size > 0) return undefined
  kafka.down.add(broker)
  if (partition.leader === broker) {
    partition.loseLeader()
    const [next] = [...partition.inSync].filter((other) => other !== broker)
    if (next !== undefined) partition.elect(next)
  }
  partition.shrink(broker)
  return () => {
    kafka.down.delete(broker)
    partition.loseLeader()
    partition.elect(broker, true)
    world.note(`lost: ${partition.losses.map(({ from, to }) => `${from}..${to}`).join()}`)
    kafka.stirAll()
  }
}

/** Whether acknowledged records were lost. */
export const hasLost = ({ kafka }: Site): boolean =>
  kafka.all.some(({ partitions }) => partitions.some(({ losses }) => losses.length > 0))
