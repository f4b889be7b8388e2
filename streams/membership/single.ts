/** One node, no peers: it holds every partition that it announces, and leads it until it drains. */
import { BehaviorSubject, ReplaySubject } from 'rxjs'
import type { ClusterMap, MapPlacement, MemberState } from '../core/cluster-map.ts'
import type { Membership } from './membership.ts'

export function singleMembership(): Membership {
  const map$ = new ReplaySubject<ClusterMap>(1)
  const connected$ = new BehaviorSubject(true)
  let generation = 0
  let said = ''
  return {
    map$,
    connected$,
    announce(state) {
      // How far replicas are, and which are live, makes no other map.
      const saying = JSON.stringify({ ...state, held: [] })
      if (saying === said) return
      said = saying
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
  const here: MapPlacement = { leader: draining ? undefined : nodeId, replicas: [nodeId], warming: [] }
  return {
    generation,
    nodes: [{ nodeId, incarnation, address, zone, draining }],
    topics: topics.map((topic) => ({
      ...topic,
      placements: Array.from({ length: topic.partitions }, () => here),
    })),
  }
}
