/**
 * Every bound of Tidemark, with its unit and its reason (invariant I8). Reaching one is a defined error or
 * back-pressure, never growth. A bound marked FROZEN decides what apply does: it belongs to the record format and
 * changes only with a new format version, because all replicas must agree on it for ever.
 */
import { assert } from './assert.ts'

const KiB = 1024
const MiB = 1024 * KiB

// ---- rows -----------------------------------------------------------------------------------------------------

/** Bytes of a key. FROZEN. Long enough for a path or a URL, short enough to stand in indexes. */
export const KEY_BYTES_MAX = 4096
/** Bytes of a value that any keyspace may allow. FROZEN. 16 MiB is where Kafka's own clients stop being happy. */
export const VALUE_BYTES_CEILING = 16 * MiB
/** Bytes of a value, the default of a keyspace: Kafka's own default message size. */
export const VALUE_BYTES_MAX = 1 * MiB
/** Bytes of a content type. FROZEN. RFC 6838 allows 127 + 1 + 127; parameters need some room. */
export const CONTENT_TYPE_BYTES_MAX = 512
/** Milliseconds of a time to live: 100 years; the sum with any log time stays a safe integer. FROZEN. */
export const TTL_MS_MAX = 100 * 365 * 24 * 3600 * 1000
/** Replicas of each partition that a keyspace may ask for: more than any cluster of these partitions has use for. FROZEN. */
export const REPLICATION_MAX = 1024
/** Bytes of a request id. FROZEN. */
export const REQUEST_ID_BYTES_MAX = 64

// ---- apply ----------------------------------------------------------------------------------------------------

/** Mutations of one pack. FROZEN. Bounds the work of one record. */
export const PACK_MUTATIONS_MAX = 16_384
/** Compares, and operations of each branch, of one transaction. FROZEN. etcd's default is 128. */
export const TXN_OPERATIONS_MAX = 1024
/** Milliseconds since 1970 that a log time may say: the year 10889. With TTL_MS_MAX added it stays a safe integer. FROZEN. */
export const LOG_TIME_MAX = 2 ** 48
/** Rows that one record expires at most; rows that are due and wait for the next record read as gone already. FROZEN. */
export const EXPIRIES_PER_RECORD_MAX = 512
/** Request ids (sessions count once) that a partition remembers before it forgets the one used longest ago. FROZEN. */
export const DEDUPE_IDS_MAX = 1 << 20
/** A session's place in that order is renewed only when it is older than this many ids: spares a write each time. FROZEN. */
export const DEDUPE_RENEW_IDS = 1 << 17
/** Bytes of a link of the chain of effects: SHA-256. FROZEN. */
export const CHAIN_BYTES = 32
/** Offsets between two checkpoints of the chain of effects. FROZEN: marks name them. */
export const CHECKPOINT_OFFSETS = 1024
/** Checkpoints that a replica remembers: one that is less than so many behind another can be compared with it. FROZEN. */
export const CHECKPOINTS_MAX = 4
/** Sequences that a session remembers with their outcome. FROZEN. Over what a client may have in flight (CLIENT_IN_FLIGHT_MAX). */
export const DEDUPE_SEQUENCES_MAX = 1024

// ---- replica --------------------------------------------------------------------------------------------------

/** Records applied in one store batch: large enough to spread its cost, small enough for a loop turn of a few ms. */
export const APPLY_RECORDS_MAX = 1000
/** Bytes of records applied in one store batch. */
export const APPLY_BYTES_MAX = 1 * MiB
/** Bytes of records fetched ahead of apply, for each partition: two fetches, so that one is applied while one travels. */
export const FETCH_AHEAD_BYTES_MAX = 4 * MiB
/** Bytes asked of one partition in one fetch. */
export const FETCH_PARTITION_BYTES = 1 * MiB
/** Bytes asked of one broker in one fetch. */
export const FETCH_BYTES_MAX = 8 * MiB
/**
 * Bytes that a batch of a direct producer may decompress to; past it, its records count as unreadable. FROZEN. Twice the
 * largest value: a few compressed bytes can ask for gigabytes.
 */
export const BATCH_BYTES_MAX = 2 * VALUE_BYTES_CEILING
/** Milliseconds that a fetch waits at the broker when there is nothing. */
export const FETCH_WAIT_MS = 250
/** Milliseconds that a fetch waits while some partition of the broker is left out of it, so that it can join the next one. */
export const FETCH_JOIN_MS = 5
/** Milliseconds after which a reader without records answers all the same, with the end of the log. */
export const READ_IDLE_MS = 1000
/** Milliseconds between two looks at the topics' identity, partitions and leaders. */
export const METADATA_REFRESH_MS = 2000
/** Milliseconds until a broker must have accepted a connection. */
export const KAFKA_CONNECT_MS = 3000
/** Milliseconds after which a request that should be answered at once counts as lost. */
export const KAFKA_REQUEST_MS = 1000
/** Milliseconds for requests that change topics. */
export const KAFKA_ADMIN_MS = 30_000
/** Times that a question to the leader of a partition is asked while leadership moves. */
export const KAFKA_LEADER_TRIES_MAX = 5
/** Milliseconds between two attempts after a fault: the first, and the longest. Doubled each time. */
export const KAFKA_RETRY_MS = 50
export const KAFKA_RETRY_MS_MAX = 1000
/** Records of history (undo, outcomes, exact watch resume) that a replica keeps for each partition. */
export const HISTORY_RECORDS_MAX = 100_000
/** Bytes of that history for each partition. */
export const HISTORY_BYTES_MAX = 64 * MiB
/** Bytes of one stored piece of history. Reading one outcome reads one piece. */
export const HISTORY_SEGMENT_BYTES = 64 * KiB
/** Records, and bytes, of the newest effects that a replica keeps in memory for its watchers: a slower one reads the history. */
export const RECENT_RECORDS_MAX = 4096
export const RECENT_BYTES_MAX = 2 * MiB
/** Records for which a deleted row's tombstone is kept, so that a watcher can resume by delta. */
export const TOMBSTONE_RECORDS_MAX = 1_000_000
/** Rows that a store iterator reads in one call: its memory is this many rows, or SCAN_CHUNK_BYTES. */
export const SCAN_CHUNK_ROWS = 500
export const SCAN_CHUNK_BYTES = 1 * MiB
/** Rows that are due and loaded for one batch of records: several records' worth. */
export const DUE_ROWS_LOADED = 8 * EXPIRIES_PER_RECORD_MAX
/** Bytes of rows as they were, over all partitions, that one scan of the past holds; past it, the history is read once more. */
export const PAST_BYTES_MAX = 32 * MiB
/** Such scans that one node has open at a time: a quarter of a GiB of rows together. */
export const PAST_SCANS_MAX = 8
/** Bytes of RocksDB's memory tables (1.5 times that under the heaviest writing): an idle node stays below 150 MB. */
export const STORE_MEMTABLE_BYTES = 64 * MiB
/** Bytes of RocksDB's block cache; the operating system caches files beside it. */
export const STORE_CACHE_BYTES = 32 * MiB
/** Milliseconds between two looks for rows that are due in an idle partition. */
export const TICK_MS = 50

// ---- writing --------------------------------------------------------------------------------------------------

/** Bytes of mutations of one node that are on their way (gathered or being appended) before writers wait. */
export const WRITE_BYTES_IN_FLIGHT_MAX = 32 * MiB
/** Mutations on their way, likewise. */
export const WRITES_IN_FLIGHT_MAX = 65_536
/** Bytes of one pack: the measured optimum of kafkajs is near 128 KiB. */
export const PACK_BYTES_TARGET = 128 * KiB
/** Bytes of one append to the log, over all partitions. */
export const APPEND_BYTES_MAX = 8 * MiB
/** Records for one partition in one append: kafkajs groups them in quadratic time. */
export const APPEND_RECORDS_MAX = 1000
/** Bytes of one record beside its value: key, headers and the framing of a pack. */
export const RECORD_OVERHEAD_BYTES_MAX = 64 * KiB
/** Bytes after which the embedded log starts another row for the records of one append: what one read decodes at least. */
export const LOG_RUN_BYTES = 256 * KiB
/** Bytes that the embedded log keeps of each partition for readers at its end; who lags further reads from disk. */
export const LOG_TAIL_BYTES_MAX = 1 * MiB
/** Bytes of the memory tables of the embedded log: it is written in order and read from the end. */
export const LOG_MEMTABLE_BYTES = 32 * MiB
/** Bytes of the block cache of the embedded log: it is read once, in order. */
export const LOG_CACHE_BYTES = 4 * MiB
/** Milliseconds after which a reader with nothing to read returns an empty batch, so that its log end stays fresh. */
export const LOG_IDLE_MS = 1000
/** Times that an append is tried again by a new producer before its writers are told LOG_UNAVAILABLE. */
export const APPEND_RETRIES_MAX = 3
/** Milliseconds before the first of these; four times as long before each next one. A change of leader takes about that. */
export const APPEND_RETRY_MS = 50
/** Milliseconds that the leader of a partition waits for its replicas before an append counts as failed. */
export const APPEND_ACK_MS = 3000
/**
 * Milliseconds after which the next append of a lane may go out although no leader has answered the one before: one that hangs
 * holds up the partitions of the others no longer than that.
 */
export const APPEND_FREE_MS = 100
/** Milliseconds between two looks whether the leader that an append waits for has been replaced. */
export const APPEND_LOOK_MS = 100
/** Looks until the brokers are asked who leads. */
export const APPEND_LOOKS_PER_REFRESH = 5
/** Appends that one node has in flight: while one waits for the disk of a broker, the next is encoded. */
export const APPEND_LANES = 2

// ---- membership -----------------------------------------------------------------------------------------------

/** Milliseconds between two heartbeats: how late a member hears that the group gathers. Twice that and a leader has moved. */
export const MEMBER_HEARTBEAT_MS = 100
/** Milliseconds after which the group forgets a member that is silent: the least that brokers allow by default. */
export const MEMBER_SESSION_MS = 6000
/** Milliseconds that the group waits for its members when it gathers. Peers put a dead one out long before. */
export const MEMBER_REBALANCE_MS = 6000
/** Milliseconds without a sign from the group's coordinator after which a node leads nothing: a third of the session. */
export const MEMBER_SILENT_MS = 2000
/** Milliseconds that a member which closes gives the coordinator to take note. */
export const MEMBER_LEAVE_MS = 2000
/** Milliseconds that changes of a member's state are gathered before it asks for a new map. */
export const MEMBER_GATHER_MS = 75
/** Milliseconds after which a member that is missing in the map asks for another one. */
export const MEMBER_MISSING_MS = 1000
/** Milliseconds between two questions who coordinates the group. */
export const COORDINATOR_CHECK_MS = 2000
/** Brokers that are asked for it. */
export const COORDINATOR_WITNESSES_MAX = 5
/** Milliseconds between two probes of a peer, and until one counts as failed. */
export const PROBE_MS = 300
/** Probes in a row that fail before the peer is put out of the group. */
export const PROBE_FAILURES = 3
/** The same while all probed peers are silent: it may be this node that is cut off. */
export const PROBE_FAILURES_ALONE = 9
/** Peers that one node probes, so that each is probed by as many. */
export const PROBED_PEERS = 2
/** Milliseconds before a peer that came back without a restart is put out again: the first time, and the longest. Doubled each time. */
export const EVICTION_REST_MS = 5000
export const EVICTION_REST_MS_MAX = 60_000

// ---- serving --------------------------------------------------------------------------------------------------

/** Bytes of one gRPC message that the node accepts: the largest value, and room for a batch. */
export const MESSAGE_BYTES_MAX = 20 * MiB
/** Operations in one Pipeline frame or one BatchGet. */
export const FRAME_OPERATIONS_MAX = 4096
/** Operations of one Pipeline stream without an answer; the node reads no further frame until some are answered. */
export const PIPELINE_IN_FLIGHT_MAX = 8192
/** Bytes of keys and values of one Pipeline stream without an answer, likewise. */
export const PIPELINE_BYTES_IN_FLIGHT_MAX = 8 * MiB
/** Calls of one HTTP/2 connection at a time: all watchers of a node, and room for unary calls. */
export const CALLS_PER_CONNECTION_MAX = 16_384
/** Watchers of one node. */
export const WATCHERS_MAX = 10_000
/** Bytes of events in one message of a watch; a record is never split, so one large record may pass it. */
export const WATCH_MESSAGE_BYTES = 256 * KiB
/** Milliseconds between progress marks of an idle watch, the default and the least. */
export const WATCH_PROGRESS_MS = 5000
export const WATCH_PROGRESS_MS_MIN = 100
/** Milliseconds after which a call without a deadline ends. */
export const CALL_DEADLINE_MS = 30_000
/** Keyspaces of one node. */
export const KEYSPACES_MAX = 1000
/** Partitions of one keyspace. */
export const PARTITIONS_MAX = 1024
/** Rows of history that one History call returns. */
export const HISTORY_ROWS_MAX = 1000
/** Positions of one token: four keyspaces of the largest size. */
export const TOKEN_POSITIONS_MAX = 4 * PARTITIONS_MAX
/** Characters of the name of a cut: a request id has room for it beside an offset. */
export const CUT_NAME_CHARS_MAX = 40
/** Bytes of a gRPC message of a call that carries no value and no list: a key and the largest token. */
export const SMALL_MESSAGE_BYTES_MAX = 1 * MiB
/** Bytes of rows in one message of a scan, about: large enough to spread the cost of a message, small enough to stay smooth. */
export const SCAN_MESSAGE_BYTES = 256 * KiB
/** Bytes of results in one Pipeline frame of the node, about; gRPC clients take 4 MiB unless they are told otherwise. */
export const PIPELINE_FRAME_BYTES = 1 * MiB
/** Reads of one Pipeline frame that are handed to the replicas together: a turn of the event loop of a few milliseconds. */
export const PIPELINE_READS_TOGETHER_MAX = 512
/** Milliseconds between two progress marks of a watch, at most: ten minutes. A timer cannot hold all that the field can. */
export const WATCH_PROGRESS_MS_MAX = 600_000
/** Milliseconds without a sign of life after which the node pings a gRPC connection, and that it waits for the answer. */
export const KEEPALIVE_MS = 30_000
export const KEEPALIVE_TIMEOUT_MS = 10_000
/** Milliseconds between two reports to a Datadog agent, which flushes as often by default. */
export const DATADOG_INTERVAL_MS = 10_000
/** Spans that wait for their receiver, 1 KiB or two each; further ones are dropped and counted. */
export const SPANS_WAITING_MAX = 4096
/** Spans of one request to the receiver. */
export const SPANS_TOGETHER_MAX = 512
/** Milliseconds that spans gather before they are sent. */
export const SPANS_GATHER_MS = 1000
/** Milliseconds after which a receiver that does not answer has lost what it was sent. */
export const SPANS_SEND_MS_MAX = 5000
/** Milliseconds that a node which ends waits for the receiver of its last spans. */
export const SPANS_CLOSE_MS_MAX = 1000
/** Milliseconds over which the lateness of timers is gathered before it is shown. */
export const EVENT_LOOP_WINDOW_MS = 10_000
/** Milliseconds between two looks at the place of the snapshots for the metrics. */
export const SNAPSHOT_LOOK_MS = 300_000
/** Partitions that metrics name because they lag most; the others stand in quantiles. */
export const WORST_PARTITIONS_MAX = 5
/** Milliseconds that a draining node gives calls in flight to finish; under the 30 s that Kubernetes gives a pod. */
export const DRAIN_MS = 10_000
/** Milliseconds after which a retriable call may be sent again at the earliest, as RetryInfo says. */
export const RETRY_DELAY_MS = 100
/** Bytes of the metadata of one error: it travels in a trailer, and grpc-java takes 8 KiB of headers by default. */
export const STATUS_METADATA_BYTES_MAX = 3 * KiB
/** Characters of the message of one error, likewise; it stands in two headers. */
export const STATUS_TEXT_MAX = 1024

// ---- cluster --------------------------------------------------------------------------------------------------

/** Nodes of one cluster: the work of a plan grows with their square. */
export const NODES_MAX = 256
/** Characters of a name in the map: an id, an address, a zone, a topic (249 in Kafka). */
export const MAP_TEXT_MAX = 512
/** Bytes of a map, or of what a member says of itself: Kafka keeps those of all members in one record of 1 MiB by default. */
export const MAP_BYTES_MAX = 256 * KiB
/** Bytes past which they are compressed; smaller ones can be read with Kafka's own tools. */
export const MAP_PLAIN_BYTES = 4 * KiB
/** Bytes that they may decompress to: a thousand keyspaces of 64 partitions, roughly. */
export const MAP_INFLATED_BYTES_MAX = 8 * MiB
/** Records from the end of the log at which a live replica calls itself behind: it leads only if no other can. */
export const LEADER_BEHIND_RECORDS = 100_000
/** Records from the end at which it is near again: a moment's work, and far from the bound above. Kafka Streams has the same. */
export const LEADER_NEAR_RECORDS = 10_000
/** Milliseconds between two looks at which topics the log has: keyspaces that others created or deleted show up within this. */
export const TOPICS_LOOK_MS = 3000
/** Milliseconds after which a member tells how far its replicas are, though nothing else changed: what an election goes by. */
export const PROGRESS_MS = 1000
/** Records of a partition that are read to learn whether its keyspace is set up; its creator writes the first one. */
export const HEAD_RECORDS_MAX = 1000
/** Milliseconds that a leader waits for the creator of a keyspace to set it up before it does so itself. */
export const FORMAT_GRACE_MS = 5000
/** Replicas that a node builds at a time from a long log: more would not be quicker, and slow down those that serve. */
export const BUILDS_AT_ONCE_MAX = 4
/** Records up to which building a replica takes no turn: it is done in a moment. */
export const BUILD_RECORDS_SMALL = 10_000
/** Milliseconds between two attempts to build a replica again that was found damaged: a bad disk must not do it for ever. */
export const REBUILD_MS = 60_000
/** Milliseconds that writes and reads on their way get before their replica moves away from the node. */
export const GIVE_UP_MS = 2000
/**
 * Milliseconds that a node keeps a replica which the map gives to others before it drops it: longer than it takes the group to hear
 * of a death, so that the copies that the map counts on are there.
 */
export const SPARE_MS = 15_000
/** Milliseconds for a leadership to move where somebody asked for it. */
export const TRANSFER_MS = 10_000

// ---- proof of equality ----------------------------------------------------------------------------------------

/** Marks at which a replica remembers its chain: a leader writes at most one each TICK_MS, so peers have seconds to ask. */
export const MARKS_REMEMBERED_MAX = 64
/** Hashes of its content that a replica remembers: peers ask a moment later. */
export const CONTENTS_REMEMBERED_MAX = 4
/** Entries that a node hashes a second, a large one counts once for each KiB: some percent of one core. */
export const HASHED_PER_SECOND = 50_000
/** Bytes of an entry that count as one entry in that. */
export const HASHED_UNIT_BYTES = 1 * KiB
/** Ranges into which the rows of a replica are cut, about and at most: what differs is found to a hundredth of the partition. */
export const CONTENT_RANGES = 64
export const CONTENT_RANGES_MAX = 256
/** Milliseconds between two questions to peers what they have, while they have not said enough. */
export const PROOF_RETRY_MS = 500
/** Questions in a row after which a replica that differs from some stops waiting for the others. */
export const PROOF_TRIES_MAX = 20
/** Milliseconds until a peer must have said what its replica can be compared by. */
export const PROOF_ANSWER_MS = 2000
/** Milliseconds for which a replica whose chain was judged asks no more about it: the ones that are wrong are being built again. */
export const JUDGED_MS = 60_000

// ---- copies and snapshots -------------------------------------------------------------------------------------

/** Bytes of a chunk of a copy, about: one message, one store batch, a few milliseconds of this thread. */
export const COPY_CHUNK_BYTES = 256 * KiB
/** Bytes past which an entry is split over chunks: it must fit into a gRPC message. */
export const COPY_PART_BYTES = 8 * MiB
/** Bytes of one entry of a copy: the reader holds it whole. A piece of history may be as large as the rows before a large pack. */
export const COPY_ENTRY_BYTES_MAX = 1024 * MiB
/** Bytes a second at which a node gives a copy to a peer: a fraction of what the disk bears, so that serving goes on beside it. */
export const COPY_BYTES_PER_SECOND = 64 * MiB
/** Copies that one node gives at a time; each pins a snapshot of the store. */
export const COPIES_GIVEN_MAX = 4
/** Milliseconds that a copy is kept open while nobody takes a chunk of it. */
export const COPY_IDLE_MS = 60_000
/** Milliseconds likewise while somebody has it and is slow: whoever uploads it may wait that long for a store. */
export const COPY_STALL_MS = 600_000
/** Bytes of chunks that a copy keeps to send them again: more than sockets and windows of HTTP/2 hold on the way. */
export const COPY_WINDOW_BYTES = 16 * MiB
/** Times that a broken copy is taken up again where it broke, in a row without a chunk between them. */
export const COPY_RESUMES_MAX = 5
/** Records that the log must be ahead of a replica before a copy from a peer is worth it: less is replayed in a second. */
export const COPY_RECORDS_MIN = 100_000
/** Milliseconds that an object of an unfinished snapshot is kept: longer than any snapshot takes. */
export const SNAPSHOT_ORPHAN_MS = 24 * 3600 * 1000
/** Bytes of a manifest: a thousand keyspaces would stay below it. */
export const SNAPSHOT_MANIFEST_BYTES_MAX = 64 * MiB
/** Milliseconds between two words on how far a snapshot is. */
export const SNAPSHOT_PROGRESS_MS = 200
/** Milliseconds until S3 must have accepted a connection, and without a byte on it after which a request counts as lost. */
export const S3_CONNECT_MS = 5000
export const S3_IDLE_MS = 60_000
/** Bytes of one part of an upload to S3, which takes 10,000 of them: 160 GiB for one partition. */
export const S3_PART_BYTES = 16 * MiB

// ---- routing --------------------------------------------------------------------------------------------------

/** Milliseconds that a request waits for a peer's answer while another node could answer as well. */
export const ROUTE_ATTEMPT_MS = 2000
/** Times that a request goes round all nodes that could answer; longer is the caller's to wait. */
export const ROUTE_ROUNDS_MAX = 3
/** Milliseconds between two rounds; a new map of the cluster ends the rest early. */
export const ROUTE_REST_MS = 200
/** Milliseconds that a peer which did not answer is asked last, before one request tries it again. */
export const PEER_SUSPECT_MS = 1000
/** Milliseconds that a watch behind a router looks for another replica when the one that it follows is gone. */
export const WATCH_RESUME_MS = 10_000

// ---- client ---------------------------------------------------------------------------------------------------

/** Reads, and likewise writes, that one connection of a client has in flight; further ones wait for their turn. */
export const CLIENT_IN_FLIGHT_MAX = 1024
/** Bytes of keys and values that one connection of a client has in flight: it must be able to send them again. */
export const CLIENT_BYTES_IN_FLIGHT_MAX = 64 * MiB
/** Operations that wait for their turn on one connection of a client before further ones are refused: a minute of work or so. */
export const CLIENT_WAITING_MAX = 1 << 20
/** Bytes of one frame of a client: larger ones spare nothing and hold up the answers to small ones. */
export const CLIENT_FRAME_BYTES = 256 * KiB
/** Frames of a client on their way into the socket; while they are, the next one gathers. */
export const CLIENT_FRAMES_UNWRITTEN_MAX = 2
/** Milliseconds after which an operation of a client ends, where the caller names none. */
export const CLIENT_DEADLINE_MS = 10_000
/** Milliseconds that a client rests before a first retry, at most (the rest is random, "full jitter"). */
export const CLIENT_BACKOFF_MS = 20
/** Milliseconds that a client rests before any retry, at most: a node that restarts is found again within this. */
export const CLIENT_BACKOFF_MS_MAX = 1000
/** Bytes of one gRPC message that a client accepts: the rows that a node puts into one, and room for their encoding. */
export const CLIENT_RECEIVE_BYTES_MAX = 2 * MESSAGE_BYTES_MAX
/** Connections of one client to one node. */
export const CLIENT_CONNECTIONS_MAX = 64
/** Nodes that one client talks to; what lives on further ones is reached through these. */
export const CLIENT_NODES_MAX = 256
/**
 * Milliseconds without a sign of life after which a client, and a node that asks another, pings a connection with calls on it, and that
 * it waits for the answer. Who stands still for some seconds is slow, not gone: single operations do not wait for that (CLIENT_PATIENCE_MS),
 * and a watch or scan that is cut off begins again.
 */
export const CLIENT_PING_MS = 5000
export const CLIENT_PING_TIMEOUT_MS = 10_000
/** Milliseconds that operations wait for a connection to one node before they go to another that could do them. */
export const CLIENT_CONNECT_MS_MAX = 1000
/** Milliseconds that the first operations of a client wait for the map once it is connected; then they go to that node. */
export const CLIENT_MAP_WAIT_MS = 250
/** Milliseconds that a client passes over a node, or its replica of one partition, after it said that another should be asked. */
export const CLIENT_AVOID_MS = 1000
/**
 * Milliseconds for which a node may answer nothing of a partition before a client hands on what it has there to another replica: short
 * enough that most are answered within their deadline, long enough that what is only slow is not asked for twice.
 */
export const CLIENT_PATIENCE_MS = 1500
/** Looks in that time: what was sent is handed on after one more of them at most. */
export const CLIENT_PATIENCE_LOOKS = 3
/** Milliseconds for which such a node is passed over for this partition; then it is tried again. */
export const CLIENT_SILENT_MS = 5000
/** Milliseconds between two nodes that a client asks for the map because a node told that the one it has is old. */
export const CLIENT_MAP_REFRESH_MS = 500
/** Milliseconds after which a client asks again for a map that its node is too old to tell. */
export const CLIENT_MAP_RETRY_MS = 30_000
/** Bytes of a line that `tidemark import` reads: the largest value as base64, and its key. */
export const IMPORT_LINE_BYTES_MAX = 32 * MiB
/** Rows that `tidemark import` has in flight: two windows of the client, so that one fills while the other is answered. */
export const IMPORT_ROWS_IN_FLIGHT_MAX = 2 * CLIENT_IN_FLIGHT_MAX

assert(CLIENT_IN_FLIGHT_MAX <= DEDUPE_SEQUENCES_MAX, 'a client could outrun its dedupe window')
assert(VALUE_BYTES_MAX <= VALUE_BYTES_CEILING, 'the default value bound is over the ceiling')
assert(VALUE_BYTES_CEILING + KEY_BYTES_MAX < MESSAGE_BYTES_MAX, 'the largest value does not fit a message')
assert(HISTORY_RECORDS_MAX < TOMBSTONE_RECORDS_MAX, 'a delta needs tombstones older than the history')
assert(COPY_PART_BYTES + COPY_CHUNK_BYTES < MESSAGE_BYTES_MAX, 'a chunk of a copy does not fit a message')
assert(COPY_WINDOW_BYTES > COPY_PART_BYTES, 'a copy could not send its largest chunk again')
assert(DEDUPE_RENEW_IDS < DEDUPE_IDS_MAX, 'a session would be forgotten before it is renewed')
assert(2 * MEMBER_SILENT_MS < MEMBER_SESSION_MS, 'a node could lead on after the group forgot it')
