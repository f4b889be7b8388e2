/**
 * What people do in a simulation, and only when nothing else can help: a partition of which nobody has a live replica, because the disks of
 * all that had one are damaged, is built again from the log after its operator has deleted the folder of replicas, as the error asks; and
 * likewise where a node says that it cannot read what it holds.
 */
import type { Reason } from '../core/errors.ts'
import { REBUILD_MS } from '../core/limits.ts'
import type { Site } from './faults.ts'
import { KEYSPACE, type Machine } from './machine.ts'

/** Milliseconds between two looks; twice what a cluster needs to help itself. */
const LOOK_MS = REBUILD_MS / 2

/** Reasons whose action in the catalogue is to delete or rebuild the replica. */
const REBUILT: ReadonlySet<Reason> = new Set(['STORE_CORRUPT', 'REPLICA_DIVERGED', 'LOG_TRUNCATED'])

/** @returns what ends it */
export function onCall(site: Site, helped: () => void): () => void {
  let stop = (): void => undefined
  const look = (): void => {
    for (const machine of site.machines) {
      if (!isHopeless(site, machine)) continue
      site.world.note(`the operator replaces the disk of ${machine.id}`)
      helped()
      machine.kill(1000, 100)
      machine.disk.wipe()
    }
    stop = site.world.after(undefined, LOOK_MS, look)
  }
  stop = site.world.after(undefined, LOOK_MS, look)
  return () => {
    stop()
  }
}

function isHopeless({ machines }: Site, { running, complains }: Machine): boolean {
  if (complains) return true
  const serves = (other: Machine, partition: number): boolean =>
    other.running?.node
      .replicas()
      .some(
        (one) => one.keyspace === KEYSPACE && (one.partition as number) === partition && one.state === 'live',
      ) === true
  return (running?.node.replicas() ?? []).some(
    ({ keyspace, partition, stopped }) =>
      keyspace === KEYSPACE &&
      stopped !== undefined &&
      REBUILT.has(stopped.reason) &&
      !machines.some((other) => serves(other, partition)),
  )
}
