/** Whether every partition is led, fresh, and the same everywhere. */
import { type Alert, series, whileGauge, whileRising } from './alert.ts'

const BY_NODE = ['cluster', 'node'] as const
const BY_CLUSTER = ['cluster'] as const

export const REPLICATION: readonly Alert[] = [
  {
    name: 'TidemarkPartitionStopped',
    severity: 'page',
    summary: 'Node {{ $labels.node }} has replicas that refuse to serve',
    expr: 'sum by (cluster, node) (tidemark_replicas{state="stopped"}) > 0',
    minutes: 2,
    by: BY_NODE,
    datadog: {
      query: 'min(last_5m):sum:tidemark.replicas{state:stopped} by {cluster,node} > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileGauge('tidemark_replicas', 1, 0, 'state="stopped"'),
  },
  {
    name: 'TidemarkReplicaDiverged',
    severity: 'page',
    summary: 'A replica on node {{ $labels.node }} came to other rows than its leader',
    expr: 'sum by (cluster, node) (increase(tidemark_apply_marks_diverged_total[30m])) > 0',
    minutes: 0,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_30m):sum:tidemark.apply.marks.diverged{*} by {cluster,node}.as_count() > 0',
      critical: 0,
      recovery: 0,
    },
    test: {
      fires: { [series('tidemark_apply_marks_diverged_total')]: '0x10 1x50' },
      quiet: { [series('tidemark_apply_marks_diverged_total')]: '1x60' },
      at: 15,
    },
  },
  {
    name: 'TidemarkReplicasDisputed',
    severity: 'page',
    summary:
      'Node {{ $labels.node }} has replicas that differ from others, and nobody can say which are right',
    expr: 'sum by (cluster, node) (tidemark_replicas_disputed) > 0',
    minutes: 0,
    by: BY_NODE,
    datadog: {
      query: 'min(last_5m):sum:tidemark.replicas.disputed{*} by {cluster,node} > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileGauge('tidemark_replicas_disputed', 1, 0),
  },
  {
    name: 'TidemarkPartitionsLeaderless',
    severity: 'page',
    summary: 'Partitions of cluster {{ $labels.cluster }} have had no leader for 3 minutes',
    expr: 'max by (cluster) (tidemark_map_leaderless) > 0',
    minutes: 3,
    by: BY_CLUSTER,
    datadog: {
      query: 'min(last_5m):max:tidemark.map.leaderless{*} by {cluster} > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileGauge('tidemark_map_leaderless', 2, 0),
  },
  {
    name: 'TidemarkPartitionsUnderReplicated',
    severity: 'ticket',
    summary: 'Partitions of cluster {{ $labels.cluster }} have had too few replicas for 30 minutes',
    expr: 'max by (cluster) (tidemark_map_underreplicated) > 0',
    minutes: 30,
    by: BY_CLUSTER,
    datadog: {
      query: 'min(last_30m):max:tidemark.map.underreplicated{*} by {cluster} > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileGauge('tidemark_map_underreplicated', 2, 0),
  },
  {
    name: 'TidemarkMapStorm',
    severity: 'ticket',
    summary: 'The map of cluster {{ $labels.cluster }} changes again and again',
    expr: 'max by (cluster) (changes(tidemark_map_generation[15m])) > 12',
    minutes: 15,
    by: BY_CLUSTER,
    datadog: {
      query: 'sum(last_15m):diff(max:tidemark.map.generation{*} by {cluster}) > 60',
      critical: 60,
      recovery: 20,
    },
    test: whileGaugeRises('tidemark_map_generation'),
  },
  {
    name: 'TidemarkLagHigh',
    severity: 'page',
    summary: 'A replica on node {{ $labels.node }} shows rows that are over 30 s old',
    expr: 'max by (cluster, node) (tidemark_lag_seconds{quantile="1"}) > 30',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query: 'min(last_5m):max:tidemark.lag.seconds{quantile:1} by {cluster,node} > 30',
      critical: 30,
      recovery: 5,
    },
    test: whileGauge('tidemark_lag_seconds', 45, 3, 'quantile="1"'),
  },
  {
    name: 'TidemarkLogEndStale',
    severity: 'ticket',
    summary: 'Node {{ $labels.node }} has heard nothing of the end of a partition for over 30 s',
    expr: 'max by (cluster, node) (tidemark_log_end_age_seconds) > 30',
    minutes: 5,
    by: BY_NODE,
    datadog: {
      query: 'min(last_5m):max:tidemark.log_end.age{*} by {cluster,node} > 30',
      critical: 30,
      recovery: 5,
    },
    test: whileGauge('tidemark_log_end_age_seconds', 60, 1),
  },
  {
    name: 'TidemarkRestoreStuck',
    severity: 'ticket',
    summary: 'Replicas on node {{ $labels.node }} restore and do not come nearer to the end of the log',
    expr: 'sum by (cluster, node) (tidemark_restore_remaining_records) > 0 and sum by (cluster, node) (deriv(tidemark_restore_remaining_records[15m])) >= 0',
    minutes: 15,
    by: BY_NODE,
    datadog: {
      query: 'min(last_30m):derivative(sum:tidemark.restore.remaining.records{*} by {cluster,node}) > 0',
      critical: 0,
      recovery: 0,
    },
    test: {
      fires: { [series('tidemark_restore_remaining_records')]: '500000x60' },
      quiet: { [series('tidemark_restore_remaining_records')]: '600000-9000x60' },
      at: 40,
    },
  },
  {
    name: 'TidemarkCopiesFail',
    severity: 'ticket',
    summary: 'Node {{ $labels.node }} cannot build replicas from copies',
    expr: 'sum by (cluster, node) (increase(tidemark_restore_copies_total{result="failed"}[30m])) > 3',
    minutes: 0,
    by: BY_NODE,
    datadog: {
      query: 'sum(last_30m):sum:tidemark.restore.copies{result:failed} by {cluster,node}.as_count() > 3',
      critical: 3,
      recovery: 0,
    },
    test: whileRising('tidemark_restore_copies_total', 1, 0, 'result="failed"'),
  },
  {
    name: 'TidemarkMisplacedKeys',
    severity: 'ticket',
    summary:
      'A producer of cluster {{ $labels.cluster }} appends rows to the wrong partitions: they are not stored',
    expr: 'max by (cluster) (increase(tidemark_apply_misplaced_keys_total[15m])) > 0',
    minutes: 0,
    by: BY_CLUSTER,
    datadog: {
      query: 'sum(last_15m):max:tidemark.apply.misplaced_keys{*} by {cluster}.as_count() > 0',
      critical: 0,
      recovery: 0,
    },
    test: whileRising('tidemark_apply_misplaced_keys_total', 1, 0),
  },
  {
    name: 'TidemarkRecordsMalformed',
    severity: 'ticket',
    summary: 'A producer of cluster {{ $labels.cluster }} appends records that nobody can read',
    expr: 'max by (cluster) (sum by (cluster, node) (increase(tidemark_apply_rejections_total{reason=~"RECORD_MALFORMED|UNKNOWN_OPERATION"}[15m]))) > 0',
    minutes: 0,
    by: BY_CLUSTER,
    datadog: {
      query:
        'sum(last_15m):max:tidemark.apply.rejections{reason IN (record_malformed,unknown_operation)} by {cluster}.as_count() > 0',
      critical: 0,
      recovery: 0,
    },
    test: {
      fires: { [series('tidemark_apply_rejections_total', 'reason="RECORD_MALFORMED"')]: '0+1x60' },
      quiet: { [series('tidemark_apply_rejections_total', 'reason="VERSION_MISMATCH"')]: '0+9x60' },
    },
  },
  {
    name: 'TidemarkVersionsMixed',
    severity: 'ticket',
    summary: 'Nodes of cluster {{ $labels.cluster }} have run different versions for two hours',
    expr: 'count by (cluster) (count by (cluster, version) (tidemark_build_info)) > 1',
    minutes: 120,
    by: BY_CLUSTER,
    datadog: {
      query: 'min(last_2h):count_nonzero(sum:tidemark.build.info{*} by {cluster,version}) > 1',
      critical: 1,
      recovery: 1,
    },
    test: {
      fires: {
        'tidemark_build_info{cluster="c",node="n",version="1"}': '1x200',
        'tidemark_build_info{cluster="c",node="m",version="2"}': '1x200',
      },
      quiet: {
        'tidemark_build_info{cluster="c",node="n",version="1"}': '1x200',
        'tidemark_build_info{cluster="c",node="m",version="1"}': '1x200',
      },
    },
  },
]

function whileGaugeRises(name: string): Alert['test'] {
  return { fires: { [series(name)]: '0+1x60' }, quiet: { [series(name)]: '7x60' }, at: 45 }
}
