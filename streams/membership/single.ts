/** One node, no peers: it holds and leads every partition that it announces. */
import { BehaviorSubject, ReplaySubject } from 'rxjs'
import type { ClusterMap, MapPlacement, MemberState } from '../core/cluster-map.ts'
import type { Membership } from './membership.ts'

export function singleMembership(): Membership {
  const map$ = new ReplaySubject<ClusterMap>(1)
  const connected$ = new BehaviorSubject(true)
  let generation = 0
  return {
    map$,
    connected$,
    announce(state) {
      generation += 1
      map$.next(mapOfOne(state, generation))
    },
    close() {
      map$.complete()
      connected$.complete()
      return Promise.resolve()
    },
  }
}

function mapOfOne(state: MemberState, generation: number): ClusterMap {
  const { nodeId, incarnation, address, zone, draining, topics } = state
  const here: MapPlacement = { leader: nodeId, replicas: [nodeId], warming: [] }
  return {
    generation,
    nodes: [{ nodeId, incarnation, address, zone, draining }],
    topics: topics.map((topic) => ({
      ...topic,
      placements: Array.from({ length: topic.partitions }, () => here),
    })),
  }
}
