/** The cluster as tables, JSON and lines. */
import type { Globals } from './options.ts'
import { formatOf, jsonText, tableText, write } from './output.ts'
import { type NodeLine, type PartitionLine, type ReplicaLine, type Survey, nodeLines } from './survey.ts'

/** Digits of a chain hash that tables show: enough to see that two differ. */
const HASH_DIGITS = 12

const NODE_HEADINGS = ['NODE', 'ADDRESS', 'ZONE', 'VERSION', 'LEADERS', 'REPLICAS', 'READY', 'STATE']

export async function writeNodes(survey: Survey, globals: Globals): Promise<void> {
  const format = formatOf(globals)
  const lines = nodeLines(survey)
  const { cluster, logKind, logIdentity, generation } = survey
  if (format === 'jsonl') return write(lines.map((line) => jsonText(nodeJson(line), format)).join(''))
  if (format === 'json') {
    const nodes = lines.map(nodeJson)
    const document = { cluster, log_kind: logKind, log_identity: logIdentity, generation, nodes }
    return write(jsonText(document, format))
  }
  if (format === 'raw') return write(lines.map((line) => `${nodeCells(line).join('\t')}\n`).join(''))
  await write(`${headline(survey)}\n\n${nodesTable(lines)}`)
}

export const headline = ({ cluster, logKind, logIdentity, generation }: Survey): string =>
  `cluster ${cluster}, ${logKind} log ${logIdentity}${generation === undefined ? '' : `, map ${generation}`}`

export const nodesTable = (lines: readonly NodeLine[]): string =>
  tableText(NODE_HEADINGS, lines.map(nodeCells))

const nodeCells = (line: NodeLine): string[] => [
  line.nodeId,
  line.address,
  line.zone === '' ? '-' : line.zone,
  line.version === '' ? '-' : line.version,
  String(line.leaders),
  line.state === 'unreachable'
    ? '-'
    : line.live === line.replicas
      ? String(line.replicas)
      : `${line.replicas} (${line.live} live)`,
  line.ready ? 'yes' : 'no',
  line.failure === undefined ? line.state : `${line.state}: ${line.failure}`,
]

const nodeJson = (line: NodeLine): unknown => ({
  node_id: line.nodeId,
  address: line.address,
  zone: line.zone,
  version: line.version,
  state: line.state,
  leaders: line.leaders,
  replicas: line.replicas,
  live: line.live,
  ready: line.ready,
  ...(line.failure === undefined ? {} : { failure: line.failure }),
})

const PARTITION_HEADINGS = [
  'KEYSPACE',
  'PARTITION',
  'LEADER',
  'REPLICAS',
  'APPLIED',
  'LOG END',
  'LAG',
  'AGE MS',
  'EPOCH',
  'CHAIN HASH',
]

export async function writePartitions(lines: readonly PartitionLine[], globals: Globals): Promise<void> {
  const format = formatOf(globals)
  if (format === 'json') return write(jsonText(lines.map(partitionJson), format))
  if (format === 'jsonl') return write(lines.map((line) => jsonText(partitionJson(line), format)).join(''))
  if (format === 'raw') return write(lines.map((line) => `${partitionCells(line).join('\t')}\n`).join(''))
  await write(partitionsTable(lines))
}

export const partitionsTable = (lines: readonly PartitionLine[]): string =>
  tableText(PARTITION_HEADINGS, lines.map(partitionCells)) + stoppedText(lines)

const partitionCells = ({
  keyspace,
  partition,
  leader,
  shown,
  logEnd,
  lag,
  replicas,
}: PartitionLine): string[] => [
  keyspace,
  String(partition),
  leader ?? '-',
  replicas.map((replica) => replicaText(replica, logEnd)).join(' '),
  ...(shown === undefined
    ? ['-', '-', '-', '-', '-', '-']
    : [
        String(shown.applied),
        String(logEnd),
        String(lag),
        String(shown.logEndAgeMs),
        String(shown.epoch),
        shown.chainHash.slice(0, HASH_DIGITS),
      ]),
]

/** A replica that serves is its node's name; anything else says so. */
function replicaText({ nodeId, state, warming, found }: ReplicaLine, logEnd: number): string {
  if (state === 'stopped') return `${nodeId}:stopped(${found?.stoppedReason ?? ''})`
  if (state === 'unreachable' || state === 'missing') return `${nodeId}:${state}`
  if (state === 'live' && !warming) return nodeId
  const share = logEnd === 0 ? 100 : Math.floor((100 * (found?.applied ?? 0)) / logEnd)
  return `${nodeId}:${state === 'live' ? 'warming' : state}(${share}%)`
}

const stoppedText = (lines: readonly PartitionLine[]): string =>
  lines
    .flatMap(({ keyspace, partition, replicas }) =>
      replicas.flatMap(({ nodeId, found }) =>
        found === undefined || found.stoppedMessage === ''
          ? []
          : [`\n${keyspace}/${partition} on ${nodeId}: ${found.stoppedMessage}\n`],
      ),
    )
    .join('')

const partitionJson = ({
  keyspace,
  partition,
  leader,
  logEnd,
  lag,
  shown,
  replicas,
}: PartitionLine): unknown => ({
  keyspace,
  partition,
  leader: leader ?? null,
  applied: shown?.applied ?? null,
  log_end: logEnd,
  log_end_age_ms: shown?.logEndAgeMs ?? null,
  lag,
  epoch: shown?.epoch ?? null,
  chain_hash: shown?.chainHash ?? null,
  rows: shown?.rows ?? null,
  replicas: replicas.map(({ nodeId, state, warming, found }) => ({
    node_id: nodeId,
    state,
    warming,
    ...(found === undefined
      ? {}
      : {
          applied: found.applied,
          log_end: found.logEnd,
          log_end_age_ms: found.logEndAgeMs,
          epoch: found.epoch,
          rows: found.rows,
          rejected: found.rejected,
          time_ms: found.timeMs,
          history_start: found.historyStart,
          chain_hash: found.chainHash,
        }),
    ...(found === undefined || found.stoppedReason === ''
      ? {}
      : { stopped_reason: found.stoppedReason, stopped_message: found.stoppedMessage }),
  })),
})
