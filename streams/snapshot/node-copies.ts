/** What a node does for the copies of others and for snapshots: gives copies of its replicas, and trims the log that it reads. */
import type { Partition } from '../core/types.ts'
import type { ReplicaCopies } from '../face.ts'
import type { Log } from '../log/log.ts'
import type { Clock, Random } from '../ports.ts'
import type { Replica } from '../replica/replica.ts'
import { CopySessions } from './copy-sessions.ts'
import type { CopyResume, ReplicaCopy } from './copy-sessions.ts'
import { trimPartition } from './trim.ts'
import type { TrimPoint, Trimmed } from './trim.ts'

export interface NodeCopiesOptions {
  readonly cluster: string
  readonly log: Log
  readonly clock: Clock
  readonly random: Random
  /** This node's replica. @throws where it has none, saying why */
  readonly replica: (keyspace: string, partition: Partition) => Replica
  /** All replicas of this node. */
  readonly replicas: () => Iterable<Replica>
}

export class NodeCopies implements ReplicaCopies {
  readonly #options: NodeCopiesOptions
  readonly #sessions: CopySessions

  constructor(options: NodeCopiesOptions) {
    this.#options = options
    this.#sessions = new CopySessions(options)
  }

  give(keyspace: string, partition: Partition, resume?: CopyResume): ReplicaCopy {
    const { cluster, log } = this.#options
    const replica = this.#options.replica(keyspace, partition)
    // What it has is suspect, or of a topic that is gone.
    if (replica.stopped !== undefined) throw replica.refusal()
    if (resume !== undefined) return this.#sessions.resume(resume)
    const { store, prefix, topic } = replica
    return this.#sessions.begin({ store, prefix, cluster, logIdentity: log.identity, topic })
  }

  trim(point: TrimPoint, dryRun: boolean): Promise<Trimmed> {
    const own = [...this.#options.replicas()].find(
      ({ topic, state, stopped }) =>
        topic === point.topic && state.partition === point.partition && stopped === undefined,
    )
    return trimPartition(this.#options.log, point, own?.state.next, dryRun)
  }

  /** Before the store is closed: copies hold snapshots of it. */
  close(): void {
    this.#sessions.close()
  }
}
