/**
 * The one catalogue of metrics: what a node sends to Datadog and shows on /metrics, each under the same name. Boards, alerts, Datadog's
 * metadata.csv and the table in infra/README.md are made from it or held against it by tests; a metric without a reading
 * (readings.ts) does not compile. Names are part of the interface: dashboards that users made rest on them.
 *
 * `grpc.requests` is `tidemark.grpc.requests` in Datadog and `tidemark_grpc_requests_total` in Prometheus. Tags have few values: partitions
 * stand as quantiles over the node, and only the worst of them by name; keyspaces past the fiftieth are counted as `other`.
 */
import type { STORE_MEASURES } from '../../../streams/store/store.ts'

/** `count`: how much since the last time (Prometheus: since the start). `distribution`: durations, percentiles over all nodes. */
export type MetricType = 'count' | 'gauge' | 'distribution'

/** In the words of Datadog. */
export type Unit =
  | 'byte'
  | 'connection'
  | 'core'
  | 'error'
  | 'event'
  | 'file'
  | 'flush'
  | 'merge'
  | 'node'
  | 'none'
  | 'object'
  | 'operation'
  | 'record'
  | 'request'
  | 'row'
  | 'second'
  | 'session'
  | 'shard'
  | 'wait'

export interface Metric {
  readonly type: MetricType
  readonly unit: Unit
  readonly tags: readonly string[]
  readonly meaning: string
  /** Where Prometheus has a name of its own for it. */
  readonly prometheus?: string
}

const row =
  <const Type extends MetricType>(type: Type) =>
  (unit: Unit, tags: string, meaning: string, prometheus?: string): Metric & { readonly type: Type } => ({
    type,
    unit,
    tags: tags === '' ? [] : tags.split(' '),
    meaning,
    ...(prometheus === undefined ? {} : { prometheus }),
  })
const count = row('count')
const gauge = row('gauge')
const spread = row('distribution')

// One row, one line: it is read as a table.
// prettier-ignore
export const METRICS = {
  // The node.
  'build.info': gauge('none', 'version node_version', 'always 1; the versions of Tidemark and of Node.js are the tags'),
  'ready': gauge('none', '', '1 while all replicas that the map gives this node are live and the log answers'),
  'connected': gauge('none', '', '1 while the membership knows this node and the map of the cluster has it'),
  'troubles': count('event', '', 'faults outside that began and are tried again; the log has a line for each'),
  'telemetry.errors': count('error', '', 'sends to the Datadog agent that failed; what they carried is lost, the node goes on'),
  'traces.spans': count('event', 'result', 'spans of traces by what became of them: sent, failed (the receiver did not take them), dropped (too many waited for it)'),
  // Calls (rate, errors, duration), operations of a Pipeline as `Pipeline/Put` and so on.
  'grpc.requests': count('request', 'method code', 'gRPC calls and operations of Pipeline streams that ended'),
  'grpc.requests.in_flight': gauge('request', 'method', 'those that have not ended, streams included'),
  'grpc.request.duration': spread('second', 'method', 'how long they took; streams from beginning to end, operations from the arrival of their frame'),
  'errors': count('error', 'reason', 'calls and operations that failed, by the reason of the error catalogue'),
  'router.forwards': count('request', 'result', 'requests and frames that were sent on to another node, by how that ended: answered, failed, late'),
  // Queues.
  'write.in_flight': gauge('operation', '', 'mutations that wait for the log or for their answer; bounded'),
  'write.in_flight.bytes': gauge('byte', '', 'their bytes; bounded'),
  'reads.waiting': gauge('wait', '', 'reads that wait until their replica is fresh enough'),
  'sessions': gauge('session', '', 'sessions of writers that are kept in memory to find duplicates; bounded'),
  'watchers': gauge('session', '', 'watches that are open; bounded'),
  'watch.events': count('event', '', 'events that were handed to watchers'),
  'watch.waits': count('wait', '', 'times that a watch waited for a slow peer'),
  // The cluster.
  'map.generation': gauge('none', '', 'generation of the newest map; it rises with every change of members, leaders or replicas'),
  'map.nodes': gauge('node', '', 'nodes in the newest map'),
  'map.partitions': gauge('shard', '', 'partitions of all keyspaces in the newest map'),
  'map.leaderless': gauge('shard', '', 'those of them that nobody leads: they can be written and read, but rows of idle ones do not expire'),
  'map.underreplicated': gauge('shard', '', 'those of them with fewer live replicas than wanted and than there are nodes'),
  'leading': gauge('shard', '', 'partitions that this node leads'),
  'elections.won': count('event', '', 'partitions whose leadership this node took'),
  'elections.lost': count('event', '', 'partitions whose leadership another node took from this one'),
  // Partitions and replication.
  'replicas': gauge('shard', 'state', 'replicas of this node: restoring, live, stopped'),
  'partitions.stopped': count('event', 'reason', 'replicas that stopped serving, by reason'),
  'rows': gauge('row', 'keyspace', 'living rows in the replicas of this node'),
  'lag.records': gauge('record', 'quantile', 'records of the log that the live replicas have not applied, over the partitions of the node: median, p99, the most'),
  'lag.seconds': gauge('second', 'quantile', 'how old what the live replicas show is, where they lag: now minus the log time of the last applied record'),
  'lag.worst.records': gauge('record', 'keyspace partition', 'the same in records for the five partitions that lag most, by name; none where nothing lags'),
  'log_end.age': gauge('second', '', 'how long ago the end of the log was last seen, for the partition where that is longest'),
  'restore.remaining.records': gauge('record', '', 'records that replicas which restore have still to apply'),
  'restore.copies': count('event', 'result', 'copies of replicas fetched from peers or snapshots: installed, failed'),
  'restore.copies.running': gauge('operation', '', 'copies that are being fetched'),
  'restore.copy.bytes': count('byte', '', 'bytes of them'),
  // Apply. Outcomes count on each live replica of a partition.
  'apply.records': count('record', 'keyspace', 'records applied, those of a restore too'),
  'apply.mutations': count('operation', '', 'mutations in records applied while live: divided by the records it tells how well writes are packed'),
  'apply.duration': spread('second', '', 'from a run of records to its batch in the store, while live'),
  'apply.rejections': count('operation', 'reason', 'mutations in the log that apply rejected'),
  'apply.misplaced_keys': count('operation', '', 'those of them whose key belongs to another partition: a producer has the wrong partitioner'),
  'apply.duplicates': count('operation', '', 'mutations that were dropped because their request id had been seen'),
  'apply.expiries': count('row', '', 'rows whose time to live passed'),
  'apply.ticks': count('record', '', 'ticks of leaders: they let rows of idle partitions expire'),
  'apply.marks.compared': count('event', '', 'marks of the state hash that this node compared with its own'),
  'apply.marks.diverged': count('event', '', 'marks that differed: the replica is quarantined and built again'),
  'replicas.disputed': gauge('none', '', 'replicas here that differ from another one, where neither a majority nor the log can say which is right'),
  // The log, Kafka or embedded.
  'log.healthy': gauge('none', '', '1 while the log answers'),
  'log.append.duration': spread('second', '', 'from an append to its acknowledgement by all replicas of the broker'),
  'log.append.records': count('record', '', 'records appended'),
  'log.append.bytes': count('byte', '', 'bytes of their keys and values'),
  'log.append.errors': count('error', 'reason', 'appends that failed for good after retries'),
  'log.appends.in_flight': gauge('request', '', 'appends that wait for their acknowledgement'),
  'log.read.records': count('record', '', 'records read'),
  'log.read.bytes': count('byte', '', 'bytes read'),
  'log.read_index.duration': spread('second', '', 'rounds of the verified read index, one for all linearizable reads that came together'),
  'log.read_index.errors': count('error', 'reason', 'rounds without a proof: barriers are appended instead, or reads fail'),
  // The Kafka client; nothing of it on the embedded log.
  'kafka.request.duration': spread('second', 'api', 'requests to brokers by the name in the protocol; Fetch holds on up to 250 ms while nothing comes'),
  'kafka.request.errors': count('error', 'api', 'requests that failed or had no answer in time'),
  'kafka.requests.in_flight': gauge('request', '', 'requests that wait for their answer; the long fetches always do'),
  'kafka.connections': gauge('connection', '', 'connections to brokers'),
  'kafka.connections.opened': count('connection', '', 'connections made: more than at the start are reconnects'),
  // RocksDB, one database for all replicas of a node.
  'rocksdb.keys': gauge('object', '', 'keys of all kinds, an estimate'),
  'rocksdb.live.bytes': gauge('byte', '', 'live data, an estimate'),
  'rocksdb.files.bytes': gauge('byte', '', 'all table files on disk'),
  'rocksdb.files.level0': gauge('file', '', 'files of level 0: writes are slowed from 20, and stop at 36'),
  'rocksdb.memtables.bytes': gauge('byte', '', 'memory tables, flushed ones that are pinned included'),
  'rocksdb.memtables.waiting': gauge('object', '', 'memory tables that wait for their flush: writes stop when six do'),
  'rocksdb.flushes.running': gauge('flush', '', 'flushes that run'),
  'rocksdb.compactions.running': gauge('merge', '', 'compactions that run'),
  'rocksdb.compaction.pending.bytes': gauge('byte', '', 'bytes that compaction has still to rewrite, an estimate'),
  'rocksdb.write.stopped': gauge('none', '', '1 while RocksDB takes no writes'),
  'rocksdb.write.delayed_rate': gauge('byte', '', 'bytes a second that it lets through while it slows writes; 0 = it does not'),
  'rocksdb.background_errors': gauge('error', '', 'errors of flushes and compactions since the start'),
  'rocksdb.cache.used.bytes': gauge('byte', '', 'block cache in use'),
  'rocksdb.cache.capacity.bytes': gauge('byte', '', 'block cache at most'),
  'rocksdb.readers.bytes': gauge('byte', '', 'indexes and filters outside the cache'),
  'rocksdb.snapshots': gauge('object', '', 'snapshots that scans and copies hold open: they keep old versions on disk'),
  'disk.free.bytes': gauge('byte', '', 'free on the disk of the data directory, for this user'),
  'disk.total.bytes': gauge('byte', '', 'size of that disk'),
  // Snapshots, where TIDEMARK_SNAPSHOT_URL is set.
  'snapshots': gauge('object', 'state', 'snapshots of this cluster at their place: complete, broken'),
  'snapshot.last.age': gauge('second', '', 'age of the newest complete one; looked at every five minutes'),
  'snapshot.last.bytes': gauge('byte', '', 'its size'),
  'snapshot.parts': count('event', 'result', 'what this node did for new snapshots: written (the copy of a partition), published (the list that makes the copies a snapshot), failed'),
  'snapshot.errors': count('error', '', 'looks at the place of the snapshots that failed'),
  // Node.js.
  'process.cpu': count('second', '', 'processor time of the process, all threads', 'process_cpu_seconds_total'),
  'process.memory.resident.bytes': gauge('byte', '', 'resident memory', 'process_resident_memory_bytes'),
  'process.files.open': gauge('file', '', 'open file descriptors; on Linux', 'process_open_fds'),
  'process.files.max': gauge('file', '', 'how many there may be', 'process_max_fds'),
  'process.start_time': gauge('second', '', 'when it started, seconds since 1970', 'process_start_time_seconds'),
  'runtime.event_loop.busy': count('second', '', 'time that the event loop was not idle: its rate is the utilization, 1 is all of a core'),
  'runtime.event_loop.lag': gauge('second', 'quantile', 'how late timers fire, over the last ten seconds: median, p99, the most'),
  'runtime.heap.used.bytes': gauge('byte', '', 'heap in use', 'nodejs_heap_size_used_bytes'),
  'runtime.heap.total.bytes': gauge('byte', '', 'heap taken', 'nodejs_heap_size_total_bytes'),
  'runtime.heap.limit.bytes': gauge('byte', '', 'heap at most; reaching it ends the process'),
  'runtime.external.bytes': gauge('byte', '', 'memory of buffers outside the heap', 'nodejs_external_memory_bytes'),
  'runtime.gc.duration': spread('second', 'kind', 'pauses of the garbage collector: minor, major, incremental, weakcb', 'nodejs_gc_duration_seconds'),
} as const satisfies Record<`rocksdb.${(typeof STORE_MEASURES)[number]}`, Metric> & Readonly<Record<string, Metric>>

export type MetricName = keyof typeof METRICS

export const METRIC_NAMES = Object.keys(METRICS) as readonly MetricName[]

export const metricOf = (name: MetricName): Metric => METRICS[name]

export const PREFIX = 'tidemark'

export const datadogName = (name: MetricName): string => `${PREFIX}.${name}`

/** Base units and suffixes as Prometheus wants them. */
export function prometheusName(name: MetricName): string {
  const { type, unit, prometheus } = metricOf(name)
  if (prometheus !== undefined) return prometheus
  const plain = `${PREFIX}_${name.replaceAll('.', '_')}`
  const suffix = unit === 'second' ? '_seconds' : unit === 'byte' ? '_bytes' : ''
  const based =
    suffix === '' || plain.endsWith(suffix) || name === 'rocksdb.write.delayed_rate' ? plain : plain + suffix
  return type === 'count' ? `${based}_total` : based
}
