/**
 * The one catalogue of failures. Each reason is part of the interface: it goes over the wire in `google.rpc.ErrorInfo`,
 * clients branch on it, the docs are held against it by a test, and it is never renamed or given another meaning.
 */
/** gRPC's canonical codes that Tidemark answers with. */
export type GrpcCode =
  | 'INVALID_ARGUMENT'
  | 'DEADLINE_EXCEEDED'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'RESOURCE_EXHAUSTED'
  | 'FAILED_PRECONDITION'
  | 'ABORTED'
  | 'OUT_OF_RANGE'
  | 'UNIMPLEMENTED'
  | 'INTERNAL'
  | 'UNAVAILABLE'
  | 'DATA_LOSS'
  | 'CANCELLED'

export interface CatalogueRow {
  readonly grpc: GrpcCode
  readonly http: number
  /** Whether the same call may be sent again as it is (a write only with the same request id). */
  readonly retriable: boolean
  /** What it means. */
  readonly meaning: string
  /** What the caller should do. */
  readonly action: string
}

const row = (
  grpc: GrpcCode,
  http: number,
  retriable: boolean,
  meaning: string,
  action: string,
): CatalogueRow => ({ grpc, http, retriable, meaning, action })

// One row, one line: it is read as a table.
// prettier-ignore
export const CATALOGUE = {
  // The request is wrong as it stands.
  MESSAGE_MALFORMED: row('INVALID_ARGUMENT', 400, false, 'the request is not a valid message of its type', 'send the message that proto/tidemark/v1 defines'),
  FIELD_INVALID: row('INVALID_ARGUMENT', 400, false, 'a field has a value that it cannot have', 'correct the field that the message names'),
  KEY_EMPTY: row('INVALID_ARGUMENT', 400, false, 'the key has no byte', 'use a key of 1 to 4,096 bytes'),
  KEY_TOO_LONG: row('INVALID_ARGUMENT', 400, false, 'the key is over the limit', 'use a key of 1 to 4,096 bytes'),
  VALUE_TOO_LARGE: row('INVALID_ARGUMENT', 413, false, 'the value is over the limit of the keyspace', 'store a smaller value, or split it'),
  BATCH_TOO_LARGE: row('INVALID_ARGUMENT', 413, false, 'the request holds more operations or bytes than one request may', 'split the request'),
  TTL_INVALID: row('INVALID_ARGUMENT', 400, false, 'the time to live is not between 1 ms and the limit', 'give a ttl in milliseconds inside the limit'),
  REQUEST_ID_INVALID: row('INVALID_ARGUMENT', 400, false, 'the request id is over 64 bytes or not <session>/<sequence>', 'give an id of 1 to 64 bytes'),
  TXN_SPANS_PARTITIONS: row('INVALID_ARGUMENT', 400, false, 'the keys of the transaction live in more than one partition', 'use keys of one partition, for instance in a keyspace that is partitioned by prefix'),
  TOKEN_INVALID: row('INVALID_ARGUMENT', 400, false, 'the token is not of this cluster or names a partition that does not exist', 'drop the token'),
  TOKEN_BEYOND_LOG: row('OUT_OF_RANGE', 400, false, 'the token names an offset that the log has not reached', 'drop the token: it is of another log, or the log lost its end'),
  // The state says no.
  KEYSPACE_NOT_FOUND: row('NOT_FOUND', 404, false, 'there is no keyspace of this name', 'create it, or correct the name'),
  KEYSPACE_EXISTS: row('ALREADY_EXISTS', 409, false, 'a keyspace of this name exists with other settings', 'use the existing one, or another name'),
  VERSION_MISMATCH: row('FAILED_PRECONDITION', 409, false, 'the row does not have the version that the condition asks for', 'read the row again and decide anew'),
  NOT_A_NUMBER: row('FAILED_PRECONDITION', 409, false, 'the row that should be incremented is not decimal text of a signed 64-bit number', 'put a number first'),
  NUMBER_OVERFLOW: row('FAILED_PRECONDITION', 409, false, 'the sum does not fit into a signed 64-bit number', 'use a smaller delta'),
  REQUEST_ID_FORGOTTEN: row('FAILED_PRECONDITION', 409, false, 'the sequence is older than what the dedupe window of its session remembers: this record changed nothing, an earlier one with the id may have', 'read the row to learn what stands'),
  NOT_LEADER: row('FAILED_PRECONDITION', 409, false, 'the node does not lead the partition', 'ask the node that the metadata names as leader'),
  COMPACTED: row('OUT_OF_RANGE', 410, false, 'the history that the request needs is no longer kept', 'start again from the earliest position that the message names, or from now with initial rows'),
  OUTCOME_EXPIRED: row('OUT_OF_RANGE', 410, false, 'the outcome of this position is no longer kept', 'read the row instead'),
  OUTCOME_UNKNOWN: row('NOT_FOUND', 404, false, 'no record stands at this position (a control record, an aborted transaction or a gap)', 'ask for the offset that the ack of the write named'),
  // The record in the log was rejected by apply (only as outcomes of direct producing; the front refuses the same earlier).
  RECORD_MALFORMED: row('INVALID_ARGUMENT', 400, false, 'the record breaks the format of proto/record.md', 'correct the producer'),
  UNKNOWN_OPERATION: row('INVALID_ARGUMENT', 400, false, 'the header tm-op names no operation', 'correct the producer'),
  MISPLACED_KEY: row('INVALID_ARGUMENT', 400, false, 'the key belongs to another partition', 'set the partitioner of the producer to murmur2 (proto/record.md)'),
  DUPLICATE_KEY: row('INVALID_ARGUMENT', 400, false, 'a pack or a branch of a transaction changes one key twice', 'send the mutations apart'),
  STALE_EPOCH: row('ABORTED', 409, false, 'a control record of a leader that has been replaced', 'nothing: the new leader acts'),
  SETTING_FIXED: row('FAILED_PRECONDITION', 409, false, 'the change would move keys to other partitions or make the largest value smaller, which no keyspace can', 'create a new keyspace and copy the rows'),
  // The node cannot answer now.
  OVERLOADED: row('RESOURCE_EXHAUSTED', 429, true, 'a bound of the node is reached (bytes in flight, watchers, streams)', 'wait and retry'),
  LOG_UNAVAILABLE: row('UNAVAILABLE', 503, true, 'the log cannot be reached; whether a write was appended is unknown', 'retry with the same request id'),
  WRITE_UNKNOWN: row('UNAVAILABLE', 503, true, 'the node stopped before the outcome of the write was known', 'retry with the same request id'),
  NODE_DRAINING: row('UNAVAILABLE', 503, true, 'the node is shutting down', 'retry on another node'),
  NODE_UNREACHABLE: row('UNAVAILABLE', 503, true, 'no connection to the node, or it was lost before the answer came (made by clients, and by a node that asked another one)', 'check the address and that the node runs; retry a write with the same request id'),
  PARTITION_RESTORING: row('UNAVAILABLE', 503, true, 'the replica has not caught up with the log yet', 'retry, or read with EVENTUAL'),
  PARTITION_ELSEWHERE: row('UNAVAILABLE', 503, true, 'the node has no replica of this partition', 'go to a node that the map of the cluster names for it'),
  PARTITION_STOPPED: row('UNAVAILABLE', 503, false, 'the replica stopped serving this partition, for the reason that the message gives', 'see the runbook of that reason'),
  WATCH_TOO_SLOW: row('RESOURCE_EXHAUSTED', 429, true, 'the watcher did not keep up and was cut off', 'resume with the token of the last event'),
  DEADLINE_EXCEEDED: row('DEADLINE_EXCEEDED', 504, true, 'the deadline passed first; the outcome of a write is unknown', 'retry with the same request id and a longer deadline'),
  CANCELLED: row('CANCELLED', 499, false, 'the caller cancelled', 'nothing'),
  NOT_IMPLEMENTED: row('UNIMPLEMENTED', 501, false, 'this version of the node does not offer the call', 'see the release notes'),
  INTERNAL: row('INTERNAL', 500, false, 'a bug in Tidemark', 'report it with the log of the node'),
  // Reasons for which a partition stops (invariant I5 and I9) or a node refuses to start.
  LOG_TRIMMED: row('DATA_LOSS', 503, false, 'the log no longer holds the offset that the replica needs next', 'restore the replica from a snapshot'),
  LOG_TRUNCATED: row('DATA_LOSS', 503, false, 'the log ends before the offset that the replica has applied', 'find out which broker lost records; rebuild the replica'),
  TOPIC_RECREATED: row('DATA_LOSS', 503, false, 'the topic was deleted and created again: its identity is another', 'rebuild the replica from the new topic, or restore the old one'),
  PARTITIONS_CHANGED: row('FAILED_PRECONDITION', 503, false, 'the topic has another number of partitions than the keyspace was created with', 'create a new keyspace and copy the rows'),
  REPLICA_DIVERGED: row('DATA_LOSS', 503, false, 'the replica has other rows, or came to them otherwise, than most replicas of the partition, or than a replay of the log: its store is damaged, or its build applies differently', 'nothing: it is built again; report it with the versions of both nodes'),
  TOPIC_UNSAFE: row('FAILED_PRECONDITION', 503, false, 'the topic is configured so that acknowledged writes can be lost', 'apply the change that the message names, or set TIDEMARK_DEV=1 on a development machine'),
  FORMAT_TOO_NEW: row('FAILED_PRECONDITION', 503, false, 'the log holds a record of a newer format than this node knows', 'upgrade the node'),
  STORE_CORRUPT: row('DATA_LOSS', 503, false, 'the data directory is damaged', 'delete the folder `replicas` in it: they are built again from the log; a damaged `log` needs its backup'),
  STORE_FOREIGN: row('FAILED_PRECONDITION', 503, false, 'the data directory belongs to another cluster, node or log', 'give the node its own TIDEMARK_DATA_DIR'),
  STORE_LOCKED: row('FAILED_PRECONDITION', 503, false, 'another process has the data directory open', 'stop that process, or give the node its own TIDEMARK_DATA_DIR'),
  STORE_UNWRITABLE: row('FAILED_PRECONDITION', 503, false, 'the data directory cannot be written', 'correct its owner and mode'),
  DISK_FULL: row('RESOURCE_EXHAUSTED', 507, true, 'the disk has no room', 'free room: the node resumes by itself'),
  // Copies of replicas and snapshots.
  SNAPSHOT_CORRUPT: row('DATA_LOSS', 500, false, 'a copy of a replica or an object of a snapshot is not what was written', 'use an older snapshot or another node; find out what damaged this one'),
  SNAPSHOT_FOREIGN: row('FAILED_PRECONDITION', 409, false, 'the copy or the snapshot is of another cluster, log, topic or format', 'use one of this cluster'),
  SNAPSHOT_NOT_FOUND: row('NOT_FOUND', 404, false, 'there is no such snapshot, or no complete one', 'create one, or correct the name'),
  SNAPSHOT_STORE_UNAVAILABLE: row('UNAVAILABLE', 503, true, 'the place of the snapshots cannot be reached or refuses', 'check TIDEMARK_SNAPSHOT_URL, its endpoint and its credentials'),
  COPY_EXPIRED: row('ABORTED', 409, true, 'the copy that should go on is no longer open', 'begin a new copy'),
  TRIM_REFUSED: row('FAILED_PRECONDITION', 409, false, 'trimming the log there would take what is not safe elsewhere', 'create and verify a snapshot first'),
  CONFIG_INVALID: row('FAILED_PRECONDITION', 500, false, 'the settings are wrong', 'correct the settings that the message lists'),
  NODE_REPLACED: row('FAILED_PRECONDITION', 503, false, 'another process runs with the node id of this one, and came later', 'give each node its own TIDEMARK_NODE_ID and data directory; the later process goes on'),
  PORT_TAKEN: row('FAILED_PRECONDITION', 500, false, 'another process listens on the address', 'stop it, or choose another address'),
} as const satisfies Record<string, CatalogueRow>

export type Reason = keyof typeof CATALOGUE

export const isReason = (text: string): text is Reason => Object.hasOwn(CATALOGUE, text)
