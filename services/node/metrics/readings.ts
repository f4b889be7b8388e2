/** How each metric of the catalogue is read. The compiler asks for one for each; a test looks whether its tags are those of the catalogue. */
import { status as grpcStatus } from '@grpc/grpc-js'
import type { MapNode, MapPlacement } from '../../../streams/core/cluster-map.ts'
import { WORST_PARTITIONS_MAX } from '../../../streams/core/limits.ts'
import { type Distribution, OTHER, TAG_VALUES_MAX, type Tally } from '../../../streams/meters.ts'
import { STORE_MEASURES } from '../../../streams/store/store.ts'
import { VERSION } from '../package-root.ts'
import type { METRICS, MetricName } from './catalogue.ts'
import type { Look } from './look.ts'

export type Tags = Readonly<Record<string, string>>

export interface Sample {
  readonly tags: Tags
  readonly value: number
}

export interface Spread {
  readonly tags: Tags
  readonly distribution: Distribution
}

type Reading<Name extends MetricName> = (
  look: Look,
) => readonly ((typeof METRICS)[Name]['type'] extends 'distribution' ? Spread : Sample)[]

type Readings = { readonly [Name in MetricName]: Reading<Name> }

const NO_TAGS: Tags = {}
const one = (value: number | undefined): readonly Sample[] =>
  value === undefined ? [] : [{ tags: NO_TAGS, value }]
const flag = (value: boolean | undefined): readonly Sample[] => one(value === true ? 1 : 0)
const tagged = (tag: string, values: Iterable<readonly [string, number]>): readonly Sample[] =>
  Array.from(values, ([of, value]) => ({ tags: { [tag]: of }, value }))
const tally = (tag: string, { totals }: Tally): readonly Sample[] => tagged(tag, totals)
const spread = (distribution: Distribution): readonly Spread[] => [{ tags: NO_TAGS, distribution }]
const spreads = (tag: string, all: ReadonlyMap<string, Distribution>): readonly Spread[] =>
  Array.from(all, ([of, distribution]) => ({ tags: { [tag]: of }, distribution }))

export const READINGS: Readings = {
  'build.info': () => [{ tags: { version: VERSION, node_version: process.versions.node }, value: 1 }],
  ready: ({ ready }) => flag(ready),
  connected: ({ vitals }) => flag(vitals?.connected),
  troubles: ({ totals }) => one(totals.counts.troubles),
  'telemetry.errors': ({ telemetry }) => one(telemetry.errors),
  'traces.spans': ({ totals }) => tally('result', totals.tallies['traces.spans']),

  'grpc.requests': ({ meters }) =>
    [...meters.values()].flatMap(({ method, ended }) =>
      Array.from(ended, (value, code) => ({
        tags: { method, code: grpcStatus[code] ?? String(code) },
        value,
      })).filter(({ value, tags }) => value > 0 || tags.code === 'OK'),
    ),
  'grpc.requests.in_flight': ({ meters }) =>
    Array.from(meters.values(), ({ method, inFlight }) => ({ tags: { method }, value: inFlight })),
  'grpc.request.duration': ({ meters }) =>
    [...meters.values()]
      .filter(({ ended }) => ended.some((calls) => calls > 0))
      .map(({ method, duration }) => ({ tags: { method }, distribution: duration })),
  errors: ({ totals }) => tally('reason', totals.tallies.errors),
  'router.forwards': ({ totals }) => tally('result', totals.tallies['router.forwards']),

  'write.in_flight': ({ vitals }) => one(vitals?.writesInFlight),
  'write.in_flight.bytes': ({ vitals }) => one(vitals?.writeBytesInFlight),
  'reads.waiting': ({ vitals }) => one(vitals?.readsWaiting),
  sessions: ({ vitals }) => one(vitals?.sessions),
  watchers: ({ vitals }) => one(vitals?.watchers),
  'watch.events': ({ totals }) => one(totals.counts['watch.events']),
  'watch.waits': ({ totals }) => one(totals.counts['watch.waits']),

  'map.generation': ({ vitals }) => one(vitals?.map?.generation),
  'map.nodes': ({ vitals }) => one(vitals?.map?.nodes.length),
  'map.partitions': (look) => placements(look, () => true),
  'map.leaderless': (look) => placements(look, ({ leader }) => leader === undefined),
  'map.underreplicated': (look) =>
    placements(look, ({ replicas }, wanted) => replicas.length < Math.min(wanted, nodesOf(look).length)),
  leading: ({ vitals }) => one(vitals?.leading),
  'elections.won': ({ totals }) => one(totals.counts['elections.won']),
  'elections.lost': ({ totals }) => one(totals.counts['elections.lost']),

  replicas: ({ replicas }) =>
    tagged(
      'state',
      (['restoring', 'live', 'stopped'] as const).map((state) => [
        state,
        replicas.filter((replica) => replica.state === state).length,
      ]),
    ),
  'partitions.stopped': ({ totals }) => tally('reason', totals.tallies['partitions.stopped']),
  rows: rowsByKeyspace,
  'lag.records': (look) => quantiles(live(look).map(lagRecords)),
  'lag.seconds': (look) => quantiles(live(look).map((replica) => lagSeconds(replica, look.now))),
  'lag.worst.records': worst,
  'log_end.age': ({ replicas }) => one(Math.max(0, ...replicas.map(({ logEndAgeMs }) => logEndAgeMs)) / 1000),
  'restore.remaining.records': ({ replicas }) =>
    one(
      replicas.filter(({ state }) => state === 'restoring').reduce((sum, each) => sum + lagRecords(each), 0),
    ),
  'restore.copies': ({ totals }) => tally('result', totals.tallies['restore.copies']),
  'restore.copies.running': ({ totals }) => one(totals.levels['restore.copies.running']),
  'restore.copy.bytes': ({ totals }) => one(totals.counts['restore.copy.bytes']),

  'apply.records': ({ totals }) => tally('keyspace', totals.tallies['apply.records']),
  'apply.mutations': ({ totals }) => one(totals.counts['apply.mutations']),
  'apply.duration': ({ totals }) => spread(totals.durations['apply.duration']),
  'apply.rejections': ({ totals }) => tally('reason', totals.tallies['apply.rejections']),
  'apply.misplaced_keys': ({ totals }) =>
    one(totals.tallies['apply.rejections'].totals.get('MISPLACED_KEY') ?? 0),
  'apply.duplicates': ({ totals }) => one(totals.counts['apply.duplicates']),
  'apply.expiries': ({ totals }) => one(totals.counts['apply.expiries']),
  'apply.ticks': ({ totals }) => one(totals.counts['apply.ticks']),
  'apply.marks.compared': ({ totals }) => one(totals.counts['apply.marks.compared']),
  'apply.marks.diverged': ({ totals }) => one(totals.counts['apply.marks.diverged']),
  'replicas.disputed': ({ totals }) => one(totals.levels['replicas.disputed']),

  'log.healthy': ({ vitals }) => flag(vitals?.logHealthy),
  'log.append.duration': ({ totals }) => spread(totals.durations['log.append.duration']),
  'log.append.records': ({ totals }) => one(totals.counts['log.append.records']),
  'log.append.bytes': ({ totals }) => one(totals.counts['log.append.bytes']),
  'log.append.errors': ({ totals }) => tally('reason', totals.tallies['log.append.errors']),
  'log.appends.in_flight': ({ totals }) => one(totals.levels['log.appends.in_flight']),
  'log.read.records': ({ totals }) => one(totals.counts['log.read.records']),
  'log.read.bytes': ({ totals }) => one(totals.counts['log.read.bytes']),
  'log.read_index.duration': ({ totals }) => spread(totals.durations['log.read_index.duration']),
  'log.read_index.errors': ({ totals }) => tally('reason', totals.tallies['log.read_index.errors']),

  'kafka.request.duration': ({ totals }) =>
    spreads('api', totals.taggedDurations['kafka.request.duration'].all),
  'kafka.request.errors': ({ totals }) => tally('api', totals.tallies['kafka.request.errors']),
  'kafka.requests.in_flight': ({ totals }) => one(totals.levels['kafka.requests.in_flight']),
  'kafka.connections': ({ totals: { counts } }) =>
    one(counts['kafka.connections.opened'] - counts['kafka.connections.closed']),
  'kafka.connections.opened': ({ totals }) => one(totals.counts['kafka.connections.opened']),

  ...storeReadings(),
  'disk.free.bytes': ({ disk }) => one(disk?.free),
  'disk.total.bytes': ({ disk }) => one(disk?.total),

  snapshots: ({ snapshots }) =>
    snapshots?.state === undefined
      ? []
      : tagged('state', [
          ['complete', snapshots.state.complete],
          ['broken', snapshots.state.broken],
        ]),
  'snapshot.last.age': ({ snapshots, now }) => {
    const newest = snapshots?.state?.newest
    return one(newest && Math.max(0, now - newest.at) / 1000)
  },
  'snapshot.last.bytes': ({ snapshots }) => one(snapshots?.state?.newest?.bytes),
  'snapshot.parts': ({ totals }) => tally('result', totals.tallies['snapshot.parts']),
  'snapshot.errors': ({ snapshots }) => one(snapshots?.errors),

  'process.cpu': () => {
    const { user, system } = process.cpuUsage()
    return one((user + system) / 1e6)
  },
  'process.memory.resident.bytes': () => one(process.memoryUsage.rss()),
  'process.files.open': ({ runtime }) => one(runtime.files()?.open),
  'process.files.max': ({ runtime }) => one(runtime.files()?.max),
  'process.start_time': ({ now }) => one(Math.round(now / 1000 - process.uptime())),
  'runtime.event_loop.busy': ({ runtime }) => one(runtime.busy()),
  'runtime.event_loop.lag': ({ runtime }) => tagged('quantile', Object.entries(runtime.lag())),
  'runtime.heap.used.bytes': ({ runtime }) => one(runtime.heap().used),
  'runtime.heap.total.bytes': ({ runtime }) => one(runtime.heap().total),
  'runtime.heap.limit.bytes': ({ runtime }) => one(runtime.heap().limit),
  'runtime.external.bytes': ({ runtime }) => one(runtime.heap().external),
  'runtime.gc.duration': ({ runtime }) => spreads('kind', runtime.gc.all),
}

type StoreName = `rocksdb.${(typeof STORE_MEASURES)[number]}`

function storeReadings(): Record<StoreName, (look: Look) => readonly Sample[]> {
  const entries = STORE_MEASURES.map((name) => [
    `rocksdb.${name}`,
    ({ vitals }: Look) => one(vitals?.store[name]),
  ])
  return Object.fromEntries(entries) as Record<StoreName, (look: Look) => readonly Sample[]>
}

// ---- the map ----

const nodesOf = ({ vitals }: Look): readonly MapNode[] => vitals?.map?.nodes ?? []

/** How many partitions of the map are so. */
function placements(
  { vitals }: Look,
  is: (placement: MapPlacement, replication: number) => boolean,
): readonly Sample[] {
  if (vitals?.map === undefined) return []
  let found = 0
  for (const { placements: all, replication } of vitals.map.topics)
    for (const placement of all) if (is(placement, replication)) found += 1
  return one(found)
}

// ---- partitions ----

type Replica = Look['replicas'][number]

const live = ({ replicas }: Look): readonly Replica[] => replicas.filter(({ state }) => state === 'live')

const lagRecords = ({ next, logEnd }: Replica): number => Math.max(0, logEnd - next)

/** Before its first record a partition has no time to compare with. */
const lagSeconds = (replica: Replica, now: number): number =>
  lagRecords(replica) === 0 || replica.time === 0 ? 0 : Math.max(0, now - replica.time) / 1000

function quantiles(values: readonly number[]): readonly Sample[] {
  const sorted = [...values].sort((a, b) => a - b)
  return [0.5, 0.99, 1].map((quantile) => ({
    tags: { quantile: String(quantile) },
    value: sorted[Math.max(0, Math.ceil(quantile * sorted.length) - 1)] ?? 0,
  }))
}

function worst({ replicas }: Look): readonly Sample[] {
  return replicas
    .filter((replica) => lagRecords(replica) > 0)
    .sort((a, b) => lagRecords(b) - lagRecords(a))
    .slice(0, WORST_PARTITIONS_MAX)
    .map((replica) => ({
      tags: { keyspace: replica.keyspace, partition: String(replica.partition) },
      value: lagRecords(replica),
    }))
}

function rowsByKeyspace({ replicas }: Look): readonly Sample[] {
  const rows = new Map<string, number>()
  for (const replica of replicas) {
    const known = rows.has(replica.keyspace) || rows.size < TAG_VALUES_MAX
    const name = known ? replica.keyspace : OTHER
    rows.set(name, (rows.get(name) ?? 0) + replica.rows)
  }
  return tagged('keyspace', rows)
}
