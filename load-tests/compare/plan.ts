/** What is asked of every server, and what Tidemark aims at. */
import type { Restart } from './life.ts'
import type { ServerKind } from './peers.ts'

export interface Scale {
  readonly rounds: number
  readonly seconds: number
  /** Rows, all there before anything is measured; a scan reads them all. */
  readonly keys: number
}

export const FULL: Scale = { rounds: 5, seconds: 10, keys: 1_000_000 }
export const QUICK: Scale = { rounds: 1, seconds: 2, keys: 50_000 }

export interface Workload {
  readonly title: string
  /** Of the program `load`. */
  readonly name: string
  readonly clients: number
  readonly connections: number
  /** Operations of a frame, where it is not 64. */
  readonly frame?: Partial<Record<ServerKind, number>>
  /** Rows of its own, beside those of the others, which stay as they are. Default: all rows, of 100 bytes. */
  readonly rows?: { readonly count: number; readonly valueBytes: number }
  /** Events in a second, where there are watchers. */
  readonly events?: number
  /** Which servers offer that. Default: all. */
  readonly of?: readonly ServerKind[]
  /** The server is started again before, and the time until the first good answer counts. */
  readonly restart?: Restart
  /** Peers that have nothing like it are held against by what they did in the workload with this title. */
  readonly against?: string
  /** Tidemark's figure, as a multiple of the peer's of the same run, on two cores. */
  readonly aims?: Partial<Record<ServerKind, number>>
}

/** Operations on their way in frames: 16 workers with frames of 64. etcd does best with its largest transactions. */
const FRAMES = { clients: 16, connections: 4, frame: { etcd: 128 } } as const
const UNARY = { clients: 64, connections: 4 } as const
const ONE = { clients: 1, connections: 1 } as const
const KIB = { count: 100_000, valueBytes: 1024 } as const
const KIB_16 = { count: 10_000, valueBytes: 16_384 } as const
/** With values of 16 KiB. */
const FRAMES_16 = {
  ...FRAMES,
  frame: { tidemark: 16, redis: 16, etcd: 16, streams: 16 },
  rows: KIB_16,
} as const
const VERSIONED = ['tidemark', 'etcd', 'redis'] as const

/** In this order: a start from nothing reads the log as loading has left it, one write for each row. */
export const WORKLOADS: readonly Workload[] = [
  {
    title: 'started from nothing but the log, rows until the last is read',
    name: 'first-get',
    ...ONE,
    of: ['tidemark', 'streams'],
    restart: 'emptied',
    aims: { streams: 1 },
  },
  {
    // Against a peer that has no snapshots: its start from the log.
    title: 'started from a snapshot and the log, rows until the last is read',
    name: 'first-get',
    ...ONE,
    of: ['tidemark'],
    restart: 'from a snapshot',
    against: 'started from nothing but the log, rows until the last is read',
    aims: { streams: 5 },
  },
  { title: 'killed and started, until a put', name: 'first-put', ...ONE, restart: 'killed' },
  { title: 'put, 1 client', name: 'put', ...ONE },
  { title: 'put, 64 clients', name: 'put', ...UNARY, aims: { etcd: 0.7, streams: 1.2 } },
  {
    title: 'put, 256 clients',
    name: 'put',
    clients: 256,
    connections: 8,
    aims: { etcd: 0.7, streams: 1.2 },
  },
  { title: 'put in frames', name: 'put-frames', ...FRAMES, aims: { etcd: 5, redis: 0.2 } },
  { title: 'put in frames, 1 KiB', name: 'put-frames', ...FRAMES, rows: KIB },
  { title: 'put in frames, 16 KiB', name: 'put-frames', ...FRAMES_16 },
  { title: 'get, linearizable, 64 clients', name: 'get', ...UNARY, of: VERSIONED, aims: { etcd: 0.7 } },
  { title: 'get, session, 64 clients', name: 'get-session', ...UNARY, of: ['tidemark'] },
  {
    title: 'get, eventual, 64 clients',
    name: 'get-stale',
    ...UNARY,
    aims: { etcd: 0.7, streams: 1.2 },
  },
  {
    title: 'get in frames, linearizable',
    name: 'get-frames',
    ...FRAMES,
    of: VERSIONED,
    aims: { etcd: 8, redis: 0.3 },
  },
  { title: 'get in frames, eventual', name: 'get-frames-stale', ...FRAMES, aims: { etcd: 8, redis: 0.3 } },
  { title: 'get in frames, eventual, 1 KiB', name: 'get-frames-stale', ...FRAMES, rows: KIB },
  { title: 'get in frames, eventual, 16 KiB', name: 'get-frames-stale', ...FRAMES_16 },
  { title: '95 gets, 5 puts, zipf 0.99', name: 'mixed', ...UNARY },
  {
    title: 'compare and swap, one row, 64 clients',
    name: 'swap',
    ...UNARY,
    of: VERSIONED,
    aims: { etcd: 3 },
  },
  {
    title: 'watch, 100 watchers, 1,000 events/s',
    name: 'watch',
    clients: 1,
    connections: 4,
    of: VERSIONED,
  },
  {
    title: 'watch, 100 watchers, 5,000 events/s',
    name: 'watch',
    clients: 1,
    connections: 4,
    events: 5000,
    of: VERSIONED,
    aims: { etcd: 1.5 },
  },
  { title: 'scan of all rows', name: 'scan', ...ONE, aims: { etcd: 2 } },
]
