/** What is asked of every server, and what Tidemark aims at. */
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
  readonly valueBytes?: number
  /** Events in a second, where there are watchers. */
  readonly events?: number
  /** Tidemark's figure, as a multiple of the peer's of the same run, on two cores. */
  readonly aims?: Partial<Record<ServerKind, number>>
}

/** Operations on their way in frames: 16 workers with frames of 64. etcd does best with its largest transactions. */
const FRAMES = { clients: 16, connections: 4, frame: { etcd: 128 } } as const

export const WORKLOADS: readonly Workload[] = [
  { title: 'put, 1 client', name: 'put', clients: 1, connections: 1 },
  { title: 'put, 64 clients', name: 'put', clients: 64, connections: 4, aims: { etcd: 0.7 } },
  { title: 'put, 256 clients', name: 'put', clients: 256, connections: 8, aims: { etcd: 0.7 } },
  { title: 'put in frames', name: 'put-frames', ...FRAMES, aims: { etcd: 5, redis: 0.2 } },
  { title: 'put in frames, 1 KiB', name: 'put-frames', ...FRAMES, valueBytes: 1024 },
  {
    title: 'put in frames, 16 KiB',
    name: 'put-frames',
    ...FRAMES,
    frame: { tidemark: 16, redis: 16, etcd: 16 },
    valueBytes: 16_384,
  },
  { title: 'get, linearizable, 64 clients', name: 'get', clients: 64, connections: 4, aims: { etcd: 0.7 } },
  { title: 'get, eventual, 64 clients', name: 'get-stale', clients: 64, connections: 4, aims: { etcd: 0.7 } },
  { title: 'get in frames, linearizable', name: 'get-frames', ...FRAMES, aims: { etcd: 8, redis: 0.3 } },
  { title: 'get in frames, eventual', name: 'get-frames-stale', ...FRAMES, aims: { etcd: 8, redis: 0.3 } },
  { title: '95 gets, 5 puts, zipf 0.99', name: 'mixed', clients: 64, connections: 4 },
  {
    title: 'compare and swap, one row, 64 clients',
    name: 'swap',
    clients: 64,
    connections: 4,
    aims: { etcd: 3 },
  },
  { title: 'watch, 100 watchers, 1,000 events/s', name: 'watch', clients: 1, connections: 4 },
  {
    title: 'watch, 100 watchers, 5,000 events/s',
    name: 'watch',
    clients: 1,
    connections: 4,
    events: 5000,
    aims: { etcd: 1.5 },
  },
  { title: 'scan of all rows', name: 'scan', clients: 1, connections: 1, aims: { etcd: 2 } },
]
