/** Whether the log answers, the store keeps up, and the process has room. */
import { type Alert, series, whileGauge, whileRising } from './alert.ts'

const BY_NODE = ['cluster', 'node'] as const
const BY_CLUSTER = ['cluster'] as const

const append = (le: string): string => series('tidemark_log_append_duration_seconds_bucket', `le="${le}"`)

export const LOG: readonly Alert[] = [
  {
    name: 'TidemarkLogUnavailable',
    severity: 'page',
    summary: 'Node {{ $labels.node }} gets no answer from the log: it takes no writes and proves no reads',
    expr: 'tidemark_log_healthy == 0',
    minutes: 1,
    by: BY_NODE,
    datadog: {
      query: 'max(last_5m):max:tidemark.log.healthy{*} by {cluster,node} < 1',
      critical: 1,
      recovery: 1,
    },
    test: whileGauge('tidemark_log_healthy', 0, 1),
  },
  {
    name: 'TidemarkAppendsFail',
    severity: 'page',
    summary: 'Appends of node {{ $labels.node }} fail after all retries',
    expr: 'sum by (cluster, node) (rate(tidemark_log_append_errors_total[5m])) > 0.1',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_5m):sum:tidemark.log.append.errors{*} by {cluster,node}.as_rate() > 0.1',
      critical: 0.1,
      recovery: 0.01,
    },
    test: whileRising('tidemark_log_append_errors_total', 60, 0, 'reason="LOG_UNAVAILABLE"'),
  },
  {
    name: 'TidemarkAppendsSlow',
    severity: 'ticket',
    summary: 'p99 of appends of node {{ $labels.node }} is over half a second',
    expr: 'histogram_quantile(0.99, sum by (cluster, node, le) (rate(tidemark_log_append_duration_seconds_bucket[5m]))) > 0.5',
    minutes: 10,
    by: BY_NODE,
    datadog: {
      query: 'percentile(last_10m):p99:tidemark.log.append.duration{*} by {cluster,node} > 0.5',
      critical: 0.5,
      recovery: 0.2,
    },
    test: {
      fires: { [append('0.4')]: '0+10x60', [append('1')]: '0+100x60', [append('+Inf')]: '0+100x60' },
      quiet: { [append('0.4')]: '0+100x60', [append('1')]: '0+100x60', [append('+Inf')]: '0+100x60' },
    },
  },
  {
    name: 'TidemarkReadIndexUnproved',
    severity: 'ticket',
    summary: 'Node {{ $labels.node }} cannot prove the end of the log: linearizable reads append barriers',
    expr: 'sum by (cluster, node) (rate(tidemark_log_read_index_errors_total[5m])) > 0.1',
    minutes: 15,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_15m):sum:tidemark.log.read_index.errors{*} by {cluster,node}.as_rate() > 0.1',
      critical: 0.1,
      recovery: 0.01,
    },
    test: whileRising('tidemark_log_read_index_errors_total', 60, 0, 'reason="LOG_UNAVAILABLE"'),
  },
  {
    name: 'TidemarkKafkaRequestsFail',
    severity: 'ticket',
    summary: 'Requests of node {{ $labels.node }} to Kafka fail',
    expr: 'sum by (cluster, node) (rate(tidemark_kafka_request_errors_total[5m])) > 0.2',
    minutes: 15,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_15m):sum:tidemark.kafka.request.errors{*} by {cluster,node}.as_rate() > 0.2',
      critical: 0.2,
      recovery: 0.02,
    },
    test: whileRising('tidemark_kafka_request_errors_total', 60, 0, 'api="Fetch"'),
  },
]

export const STORE: readonly Alert[] = [
  {
    name: 'TidemarkStoreStalled',
    severity: 'page',
    summary: 'RocksDB of node {{ $labels.node }} stops or slows writes',
    expr: 'tidemark_rocksdb_write_stopped == 1 or tidemark_rocksdb_write_delayed_rate > 0',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query:
        'min(last_5m):max:tidemark.rocksdb.write.stopped{*} by {cluster,node} + max:tidemark.rocksdb.write.delayed_rate{*} by {cluster,node} > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileGauge('tidemark_rocksdb_write_stopped', 1, 0),
  },
  {
    name: 'TidemarkStoreErrors',
    severity: 'page',
    summary: 'Flushes or compactions of node {{ $labels.node }} failed',
    expr: 'increase(tidemark_rocksdb_background_errors[15m]) > 0',
    minutes: 0,
    by: BY_NODE,
    datadog: {
      query: 'change(max(last_15m),last_15m):max:tidemark.rocksdb.background_errors{*} by {cluster,node} > 0',
      critical: 0,
      recovery: 0,
    },
    test: {
      fires: { [series('tidemark_rocksdb_background_errors')]: '0x5 2x60' },
      quiet: { [series('tidemark_rocksdb_background_errors')]: '2x60' },
      at: 10,
    },
  },
  {
    name: 'TidemarkDiskFills',
    severity: 'ticket',
    summary: 'The disk of node {{ $labels.node }} is full in under six hours, as it goes',
    expr: 'predict_linear(tidemark_disk_free_bytes[1h], 6 * 3600) < 0 and tidemark_disk_free_bytes / tidemark_disk_total_bytes < 0.5',
    minutes: 30,
    by: BY_NODE,
    datadog: {
      query: "min(next_6h):forecast(min:tidemark.disk.free.bytes{*} by {cluster,node}, 'linear', 1) <= 0",
      critical: 0,
      recovery: 1_000_000_000,
    },
    test: {
      fires: {
        [series('tidemark_disk_free_bytes')]: '40000000000-100000000x200',
        [series('tidemark_disk_total_bytes')]: '100000000000x200',
      },
      quiet: {
        [series('tidemark_disk_free_bytes')]: '40000000000x200',
        [series('tidemark_disk_total_bytes')]: '100000000000x200',
      },
      at: 150,
    },
  },
  {
    name: 'TidemarkDiskAlmostFull',
    severity: 'page',
    summary: 'The disk of node {{ $labels.node }} has less than a tenth left',
    expr: 'tidemark_disk_free_bytes / tidemark_disk_total_bytes < 0.1',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query:
        'max(last_5m):min:tidemark.disk.free.bytes{*} by {cluster,node} / min:tidemark.disk.total.bytes{*} by {cluster,node} < 0.1',
      critical: 0.1,
      recovery: 0.15,
    },
    test: {
      fires: {
        [series('tidemark_disk_free_bytes')]: '5x60',
        [series('tidemark_disk_total_bytes')]: '100x60',
      },
      quiet: {
        [series('tidemark_disk_free_bytes')]: '30x60',
        [series('tidemark_disk_total_bytes')]: '100x60',
      },
    },
  },
  {
    name: 'TidemarkSnapshotOld',
    severity: 'ticket',
    summary: 'The newest snapshot of cluster {{ $labels.cluster }} is over 26 hours old',
    expr: 'min by (cluster) (tidemark_snapshot_last_age_seconds) > 26 * 3600',
    minutes: 30,
    by: BY_CLUSTER,
    datadog: {
      query: 'min(last_30m):min:tidemark.snapshot.last.age{*} by {cluster} > 93600',
      critical: 93_600,
      recovery: 90_000,
    },
    test: whileGauge('tidemark_snapshot_last_age_seconds', 100_000, 3600),
  },
  {
    name: 'TidemarkSnapshotsFail',
    severity: 'ticket',
    summary: 'Snapshots of cluster {{ $labels.cluster }} fail while they are made',
    expr: 'sum by (cluster) (increase(tidemark_snapshot_parts_total{result="failed"}[1h])) > 0',
    minutes: 0,
    by: BY_CLUSTER,
    datadog: {
      query: 'sum(last_1h):sum:tidemark.snapshot.parts{result:failed} by {cluster}.as_count() > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileRising('tidemark_snapshot_parts_total', 1, 0, 'result="failed"'),
  },
  {
    name: 'TidemarkSnapshotsUnreachable',
    severity: 'ticket',
    summary: 'Nodes of cluster {{ $labels.cluster }} cannot look at the place of the snapshots',
    expr: 'max by (cluster) (increase(tidemark_snapshot_errors_total[1h])) > 3',
    minutes: 15,
    by: BY_CLUSTER,
    datadog: {
      query: 'sum(last_1h):max:tidemark.snapshot.errors{*} by {cluster}.as_count() > 3',
      critical: 3,
      recovery: 0,
    },
    test: whileRising('tidemark_snapshot_errors_total', 1, 0),
  },
]

export const PROCESS: readonly Alert[] = [
  {
    name: 'TidemarkEventLoopBusy',
    severity: 'ticket',
    summary: 'The one thread of node {{ $labels.node }} is busy for over nine tenths of the time',
    expr: 'rate(tidemark_runtime_event_loop_busy_seconds_total[5m]) > 0.9',
    minutes: 15,
    by: BY_NODE,
    datadog: {
      query: 'avg(last_15m):sum:tidemark.runtime.event_loop.busy{*} by {cluster,node}.as_rate() > 0.9',
      critical: 0.9,
      recovery: 0.7,
    },
    test: whileRising('tidemark_runtime_event_loop_busy_seconds_total', 58, 30),
  },
  {
    name: 'TidemarkEventLoopStalls',
    severity: 'ticket',
    summary: 'Something holds the one thread of node {{ $labels.node }} for over a second at a time',
    expr: 'max by (cluster, node) (max_over_time(tidemark_runtime_event_loop_lag_seconds{quantile="1"}[5m])) > 1',
    minutes: 10,
    by: BY_NODE,
    datadog: {
      query: 'min(last_10m):max:tidemark.runtime.event_loop.lag{quantile:1} by {cluster,node} > 1',
      critical: 1,
      recovery: 0.5,
    },
    test: whileGauge('tidemark_runtime_event_loop_lag_seconds', 2, 0.02, 'quantile="1"'),
  },
  {
    name: 'TidemarkHeapAlmostFull',
    severity: 'page',
    summary: 'The heap of node {{ $labels.node }} is over nine tenths of its limit',
    expr: 'min_over_time(nodejs_heap_size_used_bytes[10m]) / tidemark_runtime_heap_limit_bytes > 0.9',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query:
        'min(last_10m):max:tidemark.runtime.heap.used.bytes{*} by {cluster,node} / max:tidemark.runtime.heap.limit.bytes{*} by {cluster,node} > 0.9',
      critical: 0.9,
      recovery: 0.8,
    },
    test: {
      fires: {
        [series('nodejs_heap_size_used_bytes')]: '95x60',
        [series('tidemark_runtime_heap_limit_bytes')]: '100x60',
      },
      quiet: {
        [series('nodejs_heap_size_used_bytes')]: '95 20 95 20 95 20x60',
        [series('tidemark_runtime_heap_limit_bytes')]: '100x66',
      },
    },
  },
  {
    name: 'TidemarkFilesAlmostOut',
    severity: 'ticket',
    summary: 'Node {{ $labels.node }} has opened over four fifths of the files that it may',
    expr: 'process_open_fds{node!=""} / process_max_fds{node!=""} > 0.8',
    minutes: 10,
    by: BY_NODE,
    datadog: {
      query:
        'min(last_10m):max:tidemark.process.files.open{*} by {cluster,node} / max:tidemark.process.files.max{*} by {cluster,node} > 0.8',
      critical: 0.8,
      recovery: 0.7,
    },
    test: {
      fires: { [series('process_open_fds')]: '900x60', [series('process_max_fds')]: '1000x60' },
      quiet: { [series('process_open_fds')]: '90x60', [series('process_max_fds')]: '1000x60' },
    },
  },
]
