/** What a node is put together from. */
import type { Log } from '../log/log.ts'
import type { Membership } from '../membership/membership.ts'
import type { AskPeer, Clock, Random, Telemetry } from '../ports.ts'
import type { ReplicaBounds } from '../replica/bounds.ts'
import type { Store } from '../store/store.ts'
import type { Bootstrap } from './open-replica.ts'

export interface NodeOptions {
  readonly cluster: string
  readonly nodeId: string
  /** Failure domain; empty = not known. */
  readonly zone: string
  readonly log: Log
  readonly logKind: 'embedded' | 'kafka' | 'memory'
  readonly store: Store
  readonly membership: Membership
  readonly clock: Clock
  readonly random: Random
  readonly telemetry: Telemetry
  /** Partitions of keyspaces that do not say otherwise. */
  readonly partitions: number
  readonly replication: number
  /** Development: topics that can lose acknowledged writes are served all the same. */
  readonly dev: boolean
  /** By default SPARE_MS of limits.ts. */
  readonly spareMs?: number | undefined
  /** How much of the past replicas keep; by default that of limits.ts. */
  readonly bounds?: Partial<ReplicaBounds> | undefined
  /** Builds a replica from something better than the whole log; without it, or where it finds nothing, the log is replayed. */
  readonly bootstrap?: Bootstrap | undefined
  /** Asks other nodes what their replicas can be compared by; without it a replica that differs from others cannot be found out. */
  readonly askPeer?: AskPeer | undefined
  /** Milliseconds after which a leader has the content of its partitions compared again; 0 or undefined = never. */
  readonly verifyMs?: number | undefined
}
