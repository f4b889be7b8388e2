/**
 * The map of the cluster: which nodes live, which of them hold a replica of which partition, and who leads it. One node computes
 * it (the leader of the consumer group) from what all members say of themselves; all get the same. It tells where to go, never
 * what is true: a stale map costs a hop or a retry.
 */
import type { Offset, Partition, PartitionBy } from './types.ts'

export interface ClusterMap {
  /** Rises with every new map of one cluster, as long as the group's metadata lives. */
  readonly generation: number
  /** By id. */
  readonly nodes: readonly MapNode[]
  /** By topic. */
  readonly topics: readonly MapTopic[]
}

export interface MapNode {
  readonly nodeId: string
  /** Another for each start of the node. */
  readonly incarnation: string
  /** Where peers and clients reach its gRPC services: `host:port`. */
  readonly address: string
  /** Failure domain; replicas of a partition are spread over zones. Empty: none is known. */
  readonly zone: string
  /** It gives up what it leads and holds, and gets nothing new. */
  readonly draining: boolean
}

export interface MapTopic extends TopicNeeds {
  /** Indexed by partition. */
  readonly placements: readonly MapPlacement[]
}

/** Where one partition is. */
export interface MapPlacement {
  /** Id of the node that leads; undefined while leadership moves or nobody can. */
  readonly leader: string | undefined
  /**
   * Nodes that serve a live replica, the leader included; by id. A node that is in neither list drops its replica when `replicas` is not
   * empty and `warming` is, or at once if it is not live. It says so before it deletes anything. One that drains deletes nothing.
   */
  readonly replicas: readonly string[]
  /** Nodes that build a replica; they do not serve it yet. By id; while nobody serves one, the node that is furthest comes first. */
  readonly warming: readonly string[]
  /**
   * The leader got the leadership by a handover: incarnation of the node that asked for it. While that one lives, leadership is not moved
   * to make it even. Who takes the leadership says it again in `HeldReplica.handedBy`.
   */
  readonly handedBy?: string | undefined
}

/** What a keyspace asks of the cluster; members learn it from the log. */
export interface TopicNeeds {
  readonly topic: string
  /** Of the topic's incarnation, as the log has it now; what a store was built from may be another. */
  readonly identity: string
  readonly partitions: number
  /** Replicas wanted for each partition; fewer where there are fewer nodes. */
  readonly replication: number
  /** The keyspace's settings; undefined until the member has read them from the log. */
  readonly settings: MapSettings | undefined
}

export interface MapSettings {
  readonly partitionBy: PartitionBy
  readonly valueBytesMax: number
  readonly packing: boolean
}

/** What a member says of itself. */
export interface MemberState extends MapNode {
  readonly topics: readonly TopicNeeds[]
  readonly held: readonly HeldReplica[]
  /** Leaderships that this node, their leader, wants to hand to another. */
  readonly handovers: readonly Handover[]
}

/** One replica that a member has, serving or not. */
export interface HeldReplica {
  readonly topic: string
  readonly partition: Partition
  /** The offset of the next record to apply, when this was said. */
  readonly applied: Offset
  /** True once it reached the end of the log as it was when the replica was opened, and while it has not stopped. */
  readonly live: boolean
  /**
   * True from the moment at which the node got a map that names it as leader, before it acts, until it has given that up: the next map
   * must not name another in between.
   */
  readonly leading: boolean
  /** It is live and too far from the end of the log to lead while another is near it (`isBehind`). Absent: it is near. */
  readonly behind?: boolean | undefined
  /** While leading: as the map said it that named this node. */
  readonly handedBy?: string | undefined
}

export interface Handover {
  readonly topic: string
  readonly partition: Partition
  /** Id of the node that shall lead. */
  readonly to: string
}

export const EMPTY_MAP: ClusterMap = { generation: 0, nodes: [], topics: [] }
