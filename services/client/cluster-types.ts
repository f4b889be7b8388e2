/** What callers of the client see of keyspaces and the cluster. Types only. */
import type { Bytes } from './bytes.ts'
import type { TidemarkError } from '../../streams/core/errors.ts'

export interface CallOptions {
  /** Milliseconds until the call ends with DEADLINE_EXCEEDED (or NODE_UNREACHABLE). Default: that of the client. */
  readonly deadlineMs?: number
}

export interface KeyspaceDescription {
  readonly name: string
  /** Its Kafka topic. */
  readonly topic: string
  readonly partitions: number
  /** Keys are placed by the part before its first occurrence; empty = by the whole key. */
  readonly partitionByPrefix: Uint8Array
  readonly valueBytesMax: number
  readonly packingDisabled: boolean
  /** Replicas of each partition; fewer where there are fewer nodes. */
  readonly replication: number
  /** Rows written without a time to live get this one, milliseconds; 0 = they stay. */
  readonly defaultTtlMs: number
}

export interface CreateKeyspaceOptions extends CallOptions {
  /** Fixed for ever. Default: the node's. */
  readonly partitions?: number
  readonly partitionByPrefix?: Bytes
  /** Default: 1 MiB. */
  readonly valueBytesMax?: number
  /** Writes single mutations as plain records only, for raw consumers of the topic. */
  readonly packingDisabled?: boolean
  /** Replicas of each partition on nodes. Default: the node's. */
  readonly replication?: number
  /** Rows written without a time to live get this one. Default: they stay. */
  readonly defaultTtlMs?: number
}

/** What is absent stays. */
export interface UpdateKeyspaceOptions extends CallOptions {
  readonly replication?: number
  /** 0 = rows stay. */
  readonly defaultTtlMs?: number
  /** May only grow. */
  readonly valueBytesMax?: number
  readonly packingDisabled?: boolean
}

export interface CutOptions extends CallOptions {
  /** 1 to 40 characters. The same name again gives the same cut. Default: a new one. */
  readonly name?: string
  /** Default: all there are. */
  readonly keyspaces?: readonly string[]
}

/** A point through all partitions, to read as of and to back up. */
export interface Cut {
  readonly name: string
  /** For `asOf` of reads. */
  readonly token: string
  /** By keyspace and partition: everything up to and including the offset is in it. */
  readonly positions: readonly {
    readonly keyspace: string
    readonly partition: number
    readonly offset: number
    /** Log time there, milliseconds since 1970; 0 = no longer known. */
    readonly timeMs: number
  }[]
  /** The name had been used before: this is the cut of then. */
  readonly repeatedName: boolean
}

export interface Keyspaces {
  /**
   * Puts a barrier into every partition. All that was acknowledged to anyone before the call is in the cut; nothing that begins after
   * it has resolved is. What is written to different partitions meanwhile may fall on either side.
   */
  cut(options?: CutOptions): Promise<Cut>
  /** Creating it again with the same settings is fine. */
  create(name: string, options?: CreateKeyspaceOptions): Promise<KeyspaceDescription>
  list(options?: CallOptions): Promise<readonly KeyspaceDescription[]>
  /** @throws KEYSPACE_NOT_FOUND */
  describe(name: string, options?: CallOptions): Promise<KeyspaceDescription>
  /** @returns the keyspace as it stands now */
  update(name: string, options: UpdateKeyspaceOptions): Promise<KeyspaceDescription>
  /** Deletes it with all its rows and its topic, for ever. @param confirmName - the same name again */
  delete(name: string, confirmName: string, options?: CallOptions): Promise<void>
}

export interface ReplicaDescription {
  readonly keyspace: string
  readonly partition: number
  readonly state: 'restoring' | 'live' | 'stopped'
  /** All records below this offset are applied. */
  readonly applied: number
  /** End of the partition in the log as last seen, and how long ago that was. */
  readonly logEnd: number
  readonly logEndAgeMs: number
  readonly epoch: number
  readonly leader: string
  readonly rows: number
  readonly chainHash: string
  readonly timeMs: number
  readonly rejected: number
  readonly historyStart: number
  /** Empty while it runs. */
  readonly stoppedReason: string
  readonly stoppedMessage: string
  /** The chain at the last checkpoints, oldest first. */
  readonly checkpoints: readonly { readonly at: number; readonly chainHash: string }[]
}

export interface ClusterDescription {
  readonly cluster: string
  readonly logIdentity: string
  readonly nodeId: string
  readonly version: string
  readonly logKind: string
  readonly format: number
  readonly replicas: readonly ReplicaDescription[]
}

/** A node of the map, and what it says of itself. */
export interface NodeDescription extends ClusterNode {
  /** Undefined: it did not answer. */
  readonly description: ClusterDescription | undefined
  readonly failure: TidemarkError | undefined
}

/** A node that lives. */
export interface ClusterNode {
  readonly nodeId: string
  /** Another for each start of the node. */
  readonly incarnation: string
  /** Where it serves gRPC. */
  readonly address: string
  /** Its failure domain; empty when none is known. */
  readonly zone: string
  /** It gives up what it holds. */
  readonly draining: boolean
}

/** Where one partition is; nodes by their id. */
export interface ClusterPlacement {
  /** Empty while leadership moves. */
  readonly leader: string
  /** Those that serve, the leader included. */
  readonly replicas: readonly string[]
  /** Those that build a replica and do not serve it yet. */
  readonly warming: readonly string[]
}

/** Where everything is. It tells where to go, never what is true. */
export interface ClusterMap {
  /** Rises with each new map. */
  readonly generation: number
  readonly nodes: readonly ClusterNode[]
  readonly keyspaces: readonly (KeyspaceDescription & {
    /** Indexed by partition. */
    readonly placements: readonly ClusterPlacement[]
  })[]
}
