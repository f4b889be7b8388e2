/**
 * Finds dead peers sooner than the group's session ends: each node probes the next few in the ring of node ids, and puts out one that
 * did not answer several times in a row. To be wrong is safe: a peer that lives joins again at once, and leadership is in the log.
 *
 * Against flapping: a peer that comes back without a restart is left alone for a while, longer each time (the way between the two
 * may be broken, not the peer); and while every probed peer is silent, more patience is asked for (it may be this node's own way).
 */
import { must } from '../core/assert.ts'
import type { MapNode } from '../core/cluster-map.ts'
import {
  EVICTION_REST_MS,
  EVICTION_REST_MS_MAX,
  PROBE_FAILURES,
  PROBE_FAILURES_ALONE,
  PROBE_MS,
  PROBED_PEERS,
} from '../core/limits.ts'
import type { Clock } from '../ports.ts'

export interface DetectorOptions {
  readonly nodeId: string
  readonly clock: Clock
  /** Whether the node answers. A rejection, or nothing within PROBE_MS, is a no. */
  readonly alive: (node: MapNode) => Promise<boolean>
  /** Called once for each probe that fails after enough of them, until the peer is gone from the map. */
  readonly evict: (node: MapNode) => void
}

export interface Detector {
  /** The nodes of the newest map. */
  watch(nodes: readonly MapNode[]): void
  close(): void
}

interface Watched {
  node: MapNode
  /** Probes in a row without an answer. */
  silent: number
  /** The probe that is waited for. */
  probe: object | undefined
  /** Probes that have not ended, abandoned ones included. */
  open: number
}

/** How long an incarnation that was put out is left alone. */
interface Rest {
  readonly incarnation: string
  readonly until: number
  readonly ms: number
}

export function createDetector(options: DetectorOptions): Detector {
  const { nodeId, clock, alive, evict } = options
  const watched = new Map<string, Watched>()
  /** By node id; forgotten some time after they are over. */
  const rests = new Map<string, Rest>()

  const silence = (peer: Watched): void => {
    peer.silent += 1
    const allSilent = watched.size > 1 && [...watched.values()].every(({ silent }) => silent > 0)
    if (peer.silent < (allSilent ? PROBE_FAILURES_ALONE : PROBE_FAILURES)) return
    const resting = rests.get(peer.node.nodeId)
    if (resting?.incarnation === peer.node.incarnation && clock.elapsed() < resting.until) return
    evict(peer.node)
  }

  const rest = ({ nodeId: id, incarnation }: MapNode): void => {
    const now = clock.elapsed()
    for (const [old, { until }] of rests) if (until + EVICTION_REST_MS_MAX < now) rests.delete(old)
    const before = rests.get(id)
    const again = before?.incarnation === incarnation
    const ms = again ? Math.min(before.ms * 2, EVICTION_REST_MS_MAX) : EVICTION_REST_MS
    rests.set(id, { incarnation, until: now + ms, ms })
  }

  const probe = (peer: Watched): void => {
    const full = peer.open >= PROBE_FAILURES
    if (peer.probe !== undefined || full) silence(peer)
    peer.probe = undefined
    if (full) return
    const mine = {}
    peer.probe = mine
    peer.open += 1
    const end = (answered: boolean): void => {
      peer.open -= 1
      if (answered) peer.silent = 0
      if (peer.probe !== mine) return
      peer.probe = undefined
      if (!answered && watched.get(peer.node.nodeId) === peer) silence(peer)
    }
    alive(peer.node).then(end, () => {
      end(false)
    })
  }

  const stop = clock.every(PROBE_MS, () => {
    for (const peer of watched.values()) probe(peer)
  })

  return {
    watch(nodes) {
      const targets = successors(nodes, nodeId)
      for (const [id, { node, silent }] of watched) {
        if (!targets.some((target) => isSame(target, node))) watched.delete(id)
        if (silent >= PROBE_FAILURES && !nodes.some((one) => isSame(one, node))) rest(node)
      }
      for (const node of targets) {
        const peer = watched.get(node.nodeId)
        if (peer === undefined) watched.set(node.nodeId, { node, silent: 0, probe: undefined, open: 0 })
        else peer.node = node
      }
    },
    close() {
      stop()
      watched.clear()
    },
  }
}

/** The next ones after this node in the ring of all ids. */
export function successors(nodes: readonly MapNode[], nodeId: string): readonly MapNode[] {
  const others = nodes.filter((node) => node.nodeId !== nodeId).sort((a, b) => (a.nodeId < b.nodeId ? -1 : 1))
  const start = others.findIndex((node) => node.nodeId > nodeId)
  const count = Math.min(PROBED_PEERS, others.length)
  return Array.from({ length: count }, (_, at) =>
    must(others[(Math.max(start, 0) + at) % others.length], 'a node of the ring'),
  )
}

const isSame = (a: MapNode, b: MapNode): boolean => a.nodeId === b.nodeId && a.incarnation === b.incarnation
