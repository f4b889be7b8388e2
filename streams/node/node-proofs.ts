/** What others may ask of this node to compare replicas: what one can be held against, and to have all of a partition hashed. */
import { encodeProof } from '../core/encode.ts'
import type { Offset, Partition } from '../core/types.ts'
import { dueAt } from '../deadline.ts'
import type { ReplicaProof, ReplicaProofs } from '../face.ts'
import type { Clock, OffsetHash } from '../ports.ts'
import type { Replica } from '../replica/replica.ts'
import type { Writer } from '../replica/writer.ts'
import { type Equality, proofOf } from './equality.ts'

export interface NodeProofsOptions {
  /** This node's replica. @throws where it has none, saying why */
  readonly replica: (keyspace: string, partition: Partition) => Replica
  readonly equality: Equality
  readonly writer: Writer
  readonly clock: Clock
}

export class NodeProofs implements ReplicaProofs {
  readonly #options: NodeProofsOptions

  constructor(options: NodeProofsOptions) {
    this.#options = options
  }

  tell(keyspace: string, partition: Partition, suspicion?: OffsetHash): ReplicaProof {
    const replica = this.#options.replica(keyspace, partition)
    // What it has is suspect, or of a topic that is gone.
    if (replica.stopped !== undefined) throw replica.refusal()
    if (suspicion !== undefined) this.#options.equality.heard(replica, suspicion)
    return {
      chains: proofOf(replica).chains,
      contents: replica.evidence.hashings,
      wrong: this.#options.equality.wrong(replica),
    }
  }

  async rebuild(keyspace: string, partition: Partition): Promise<readonly string[]> {
    return this.#options.equality.giveUp(this.#options.replica(keyspace, partition))
  }

  async begin(keyspace: string, partition: Partition, deadline: number): Promise<Offset> {
    const replica = this.#options.replica(keyspace, partition)
    const { writer, clock } = this.#options
    const offset = await writer.control(replica, encodeProof(), dueAt(clock, deadline))
    return (offset + 1) as Offset
  }
}
