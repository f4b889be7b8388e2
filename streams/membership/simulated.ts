/**
 * Many memberships in one process, for tests: a group as Kafka would keep it, without Kafka. What happens when is decided by the random
 * numbers given, so that one seed replays exactly. It keeps what nodes rely on:
 *
 * - A map is made from the last announcement of each member. A newer map replaces one that was not delivered yet: no node acts on a map
 *   that is older than one made from what the node said since.
 * - A node id counts once: who joins with it takes the place of an older incarnation, which is told so (`connected$`) and stays out.
 * - A member that was taken for dead hears so before the others get a map without it, unless it is cut off: then at the cut.
 *
 * Without a clock nothing happens but by `step` and `settle`; with one, by itself.
 */
import { BehaviorSubject, ReplaySubject } from 'rxjs'
import { assert, must } from '../core/assert.ts'
import { EMPTY_MAP, type ClusterMap, type MemberState } from '../core/cluster-map.ts'
import { changesMap } from '../core/map-changes.ts'
import { plan } from '../core/plan.ts'
import type { Clock } from '../ports.ts'
import type { Membership } from './membership.ts'

/** Steps in which a cluster that nothing disturbs must come to rest. */
const STEPS_MAX = 100_000
/** Milliseconds between two steps, at most, where a clock is given. */
const STEP_MS_MAX = 3

export interface SimulatedCluster {
  /** The newest map that was made, delivered or not. */
  readonly map: ClusterMap
  /** What the group knows of its members, in the order of joining. */
  readonly members: readonly MemberState[]
  /** A membership for one more node. */
  member(): Membership
  /** The node hears nothing and is not heard; the others do not know yet. */
  cut(nodeId: string): void
  /** Ends `cut`: it joins again. */
  heal(nodeId: string): void
  /** The others take the node for dead. One that is not cut off joins again. */
  evict(nodeId: string): void
  /** Maps for the node wait until `release`. */
  hold(nodeId: string): void
  release(nodeId: string): void
  /** Makes a map, or delivers one, or lets one join again: whatever is due, chosen at random. False when nothing is. */
  step(): boolean
  /** Steps until nothing is due. */
  settle(): void
}

interface Member {
  readonly map$: ReplaySubject<ClusterMap>
  readonly connected$: BehaviorSubject<boolean>
  phase: 'new' | 'joining' | 'inside' | 'evicted' | 'gone'
  /** What the node announced last. */
  said: MemberState | undefined
  /** What of that the group knows. */
  heard: MemberState | undefined
  cut: boolean
  held: boolean
  undelivered: ClusterMap | undefined
}

/** @param random a number from 0 to below `bound` */
export function simulatedCluster(
  random: { below(bound: number): number },
  clock?: Pick<Clock, 'sleep'>,
): SimulatedCluster {
  const members = new Set<Member>()
  /** In the order of joining. */
  let group: readonly Member[] = []
  let map = EMPTY_MAP
  let stale = false
  let running = false

  const known = (): MemberState[] => group.flatMap(({ heard }) => heard ?? [])

  function step(): boolean {
    const things: (() => void)[] = stale ? [makeMap] : []
    for (const member of members) {
      if (member.cut) continue
      if (member.phase === 'joining') things.push(() => join(member))
      if (member.undelivered !== undefined && !member.held) things.push(() => deliver(member))
    }
    if (things.length === 0) return false
    things[random.below(things.length)]?.()
    return true
  }

  function wake(): void {
    if (clock === undefined || running) return
    running = true
    const run = async (): Promise<void> => {
      do await clock.sleep(random.below(STEP_MS_MAX + 1))
      while (step())
      running = false
    }
    void run()
  }

  function join(member: Member): void {
    const nodeId = member.said?.nodeId
    for (const other of group) if (other !== member && other.heard?.nodeId === nodeId) leave(other, 'gone')
    group = [...group.filter((other) => other !== member), member]
    member.heard = member.said
    member.phase = 'inside'
    stale = true
  }

  function leave(member: Member, phase: 'evicted' | 'gone'): void {
    group = group.filter((other) => other !== member)
    member.phase = phase
    member.undelivered = undefined
    if (member.connected$.value) member.connected$.next(false)
    stale = true
  }

  function makeMap(): void {
    stale = false
    map = plan(known(), map.generation + 1)
    for (const member of group) if (member.phase === 'inside') member.undelivered = map
  }

  function deliver(member: Member): void {
    const { undelivered } = member
    if (undelivered === undefined) return
    member.undelivered = undefined
    member.map$.next(undelivered)
    if (member.phase === 'inside' && !member.connected$.value) member.connected$.next(true)
  }

  function announce(member: Member, state: MemberState): void {
    const before = member.said
    member.said = state
    if (member.phase === 'new') member.phase = 'joining'
    if (member.phase !== 'inside' || member.cut) return
    member.heard = state
    if (before === undefined || changesMap(before, state)) stale = true
  }

  /** The newest with that id. */
  function find(nodeId: string): Member {
    const found = [...members].filter(({ said, phase }) => said?.nodeId === nodeId && phase !== 'gone').at(-1)
    return must(found, `a member of node ${nodeId}`)
  }

  return {
    get map() {
      return map
    },
    get members() {
      return known()
    },
    member() {
      const member: Member = {
        map$: new ReplaySubject(1),
        connected$: new BehaviorSubject(false),
        phase: 'new',
        said: undefined,
        heard: undefined,
        cut: false,
        held: false,
        undelivered: undefined,
      }
      members.add(member)
      return {
        map$: member.map$,
        connected$: member.connected$,
        announce(state) {
          announce(member, state)
          wake()
        },
        close() {
          if (members.delete(member)) {
            if (group.includes(member)) leave(member, 'gone')
            member.phase = 'gone'
            member.map$.complete()
            member.connected$.complete()
            wake()
          }
          return Promise.resolve()
        },
      }
    },
    cut(nodeId) {
      const member = find(nodeId)
      member.cut = true
      if (member.connected$.value) member.connected$.next(false)
    },
    heal(nodeId) {
      const member = find(nodeId)
      if (!member.cut) return
      member.cut = false
      // What was made without its word is not for it any more.
      member.undelivered = undefined
      if (member.said !== undefined) member.phase = 'joining'
      wake()
    },
    evict(nodeId) {
      for (const member of group) if (member.heard?.nodeId === nodeId) leave(member, 'evicted')
      for (const member of members)
        if (member.said?.nodeId === nodeId && member.phase === 'evicted' && !member.cut)
          member.phase = 'joining'
      wake()
    },
    hold(nodeId) {
      find(nodeId).held = true
    },
    release(nodeId) {
      find(nodeId).held = false
      wake()
    },
    step,
    settle() {
      for (let steps = 0; step(); steps++)
        assert(steps < STEPS_MAX, `the cluster does not come to rest within ${STEPS_MAX} steps`)
    },
  }
}
