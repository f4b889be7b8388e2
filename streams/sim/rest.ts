/** Whether a simulated cluster is at rest: every partition has its replicas and its leader, and all of them stand at the end of the log. */
import type { Partition } from '../core/types.ts'
import type { Site } from './faults.ts'
import { KEYSPACE, TOPIC, type Machine } from './machine.ts'

/** Why it is not at rest; empty when it is. */
export function unrest({ machines, group, kafka }: Site, replication: number): readonly string[] {
  const why: string[] = []
  const wanted = machines.filter((machine) => machine.wanted)
  for (const { id, running } of wanted) if (running === undefined) why.push(`${id} does not serve`)
  const placed = group.map.topics.find(({ topic }) => topic === TOPIC)?.placements ?? []
  if (placed.length === 0) why.push('the map has no partitions')
  const copies = Math.min(replication, wanted.length)
  placed.forEach(({ leader, replicas, warming }, at) => {
    const name = `partition ${at}`
    if (leader === undefined) why.push(`${name} has no leader`)
    if (replicas.length !== copies || warming.length > 0)
      why.push(`${name} has replicas (${replicas.join()}) and warming (${warming.join()}), not ${copies}`)
    const end = kafka.partition(TOPIC, at as Partition)?.end ?? 0
    for (const machine of wanted) {
      const fault = wrongOn(machine, at, replicas, leader, end)
      if (fault !== undefined) why.push(`${name} on ${machine.id} ${fault}`)
    }
  })
  return why
}

function wrongOn(
  { id, running }: Machine,
  partition: number,
  replicas: readonly string[],
  leader: string | undefined,
  end: number,
): string | undefined {
  const found = running?.node
    .replicas()
    .find((one) => one.keyspace === KEYSPACE && (one.partition as number) === partition)
  if (!replicas.includes(id)) return found === undefined ? undefined : 'should not be'
  if (found === undefined) return 'is not there'
  const { state, next, stopped } = found
  if (stopped !== undefined) return `is stopped: ${stopped.message}`
  if (state !== 'live' || (next as number) !== end) return `is ${state} at ${next} of ${end}`
  return found.leader === leader ? undefined : `follows ${found.leader}, not ${leader}`
}
