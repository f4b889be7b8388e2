/** What every implementation of the Membership port must do, as mocha tests. */
import { expect } from 'chai'
import { combineLatest, filter, firstValueFrom, lastValueFrom, map, timeout, type Observable } from 'rxjs'
import type { ClusterMap, HeldReplica, MapPlacement, MemberState } from '../core/cluster-map.ts'
import { memberOf, replicaOf, topicOf } from '../core/testing/members.ts'
import type { Partition } from '../core/types.ts'
import type { Membership } from './membership.ts'

export interface MembershipUnderTest {
  /** A membership for one more node of the same cluster. */
  member(): Membership
  /** Ends what the tests left behind. */
  dispose(): Promise<void>
}

export interface MembershipTraits {
  /** False: the cluster is one node. */
  readonly several: boolean
  /** Milliseconds for a map to arrive. */
  readonly patience: number
}

const TOPIC = 't.default'

/** A node with a live replica of each of two partitions. */
const stateOf = (nodeId: string, more: Partial<MemberState> = {}): MemberState =>
  memberOf(nodeId, {
    topics: [topicOf(TOPIC, 2, 3)],
    held: [replicaOf(TOPIC, 0), replicaOf(TOPIC, 1)],
    ...more,
  })

const placementsOf = (found: ClusterMap, topic = TOPIC): readonly MapPlacement[] =>
  found.topics.find((one) => one.topic === topic)?.placements ?? []
const idsOf = (found: ClusterMap): string[] => found.nodes.map(({ nodeId }) => nodeId)
const leadersOf = (found: ClusterMap): (string | undefined)[] =>
  placementsOf(found).map(({ leader }) => leader)

/** Nodes a and b lead one partition each. */
const isEven = (found: ClusterMap): boolean => [...leadersOf(found)].sort().join() === 'a,b'

/** Does what a node does: takes and gives up leadership as the maps say, and tells it. */
function obey(
  membership: Membership,
  first: MemberState,
): (change: (state: MemberState) => MemberState) => void {
  let state = first
  membership.map$.subscribe((found) => {
    const held = state.held.map((replica): HeldReplica => {
      const { handedBy: _, ...rest } = replica
      const place = placementsOf(found, replica.topic)[replica.partition]
      const leading = place?.leader === state.nodeId
      return {
        ...rest,
        leading,
        ...(leading && place.handedBy !== undefined ? { handedBy: place.handedBy } : {}),
      }
    })
    if (JSON.stringify(held) === JSON.stringify(state.held)) return
    state = { ...state, held }
    membership.announce(state)
  })
  membership.announce(state)
  return (change) => {
    state = change(state)
    membership.announce(state)
  }
}

export function membershipContract(
  name: string,
  { several, patience }: MembershipTraits,
  start: () => Promise<MembershipUnderTest>,
): void {
  describe(`membership, ${name}`, () => {
    let under: MembershipUnderTest
    beforeEach(async () => {
      under = await start()
    })
    afterEach(() => under.dispose())

    const until = <T>(stream$: Observable<T>, wanted: (value: T) => boolean): Promise<T> =>
      firstValueFrom(stream$.pipe(filter(wanted), timeout(patience)))

    it('joins with the first announcement, and gives a map with the node in it', async () => {
      const member = under.member()
      const state = stateOf('a', { zone: 'z' })
      member.announce(state)
      const found = await until(member.map$, (one) => leadersOf(one).every((leader) => leader === 'a'))
      const { nodeId, incarnation, address, zone, draining } = state
      expect(found.nodes).to.deep.equal([{ nodeId, incarnation, address, zone, draining }])
      expect(found.generation).to.be.greaterThan(0)
      expect(found.topics).to.have.length(1)
      expect(found.topics[0]).to.deep.include(topicOf(TOPIC, 2, 3))
      const here = { leader: 'a', replicas: ['a'], warming: [] }
      expect(placementsOf(found)).to.deep.equal([here, here])
      expect(await until(member.connected$, (connected) => connected)).to.equal(true)
    })

    it('replays the newest map', async () => {
      const member = under.member()
      member.announce(stateOf('a'))
      const found = await until(member.map$, () => true)
      expect(await firstValueFrom(member.map$)).to.deep.equal(found)
    })

    it('makes a new map when what a node says changes', async () => {
      const member = under.member()
      member.announce(stateOf('a'))
      const first = await until(member.map$, () => true)
      const topics = [topicOf(TOPIC, 2, 3), topicOf('t.more', 1, 1)]
      const held = [...stateOf('a').held, replicaOf('t.more', 0)]
      member.announce(stateOf('a', { topics, held }))
      const second = await until(member.map$, (one) => one.topics.length === 2)
      expect(second.generation).to.be.greaterThan(first.generation)
      expect(placementsOf(second, 't.more')).to.deep.equal([{ leader: 'a', replicas: ['a'], warming: [] }])
      member.announce(stateOf('a', { topics, held, draining: true }))
      const third = await until(member.map$, ({ nodes }) => nodes[0]?.draining === true)
      expect(third.generation).to.be.greaterThan(second.generation)
    })

    it('completes its streams when it is closed, and stays silent', async () => {
      const member = under.member()
      member.announce(stateOf('a'))
      const found = await until(member.map$, () => true)
      const last = lastValueFrom(member.map$)
      const connected = lastValueFrom(member.connected$)
      await member.close()
      expect((await last).generation).to.be.at.least(found.generation)
      await connected
      member.announce(stateOf('a', { draining: true }))
      await member.close()
    })

    if (!several) return

    it('gives all members the same maps', async () => {
      const [a, b, c] = [under.member(), under.member(), under.member()]
      obey(a, stateOf('a'))
      obey(b, stateOf('b'))
      obey(c, stateOf('c', { held: [] }))
      const same$ = combineLatest([a.map$, b.map$, c.map$]).pipe(
        filter(([first, ...others]) => others.every(({ generation }) => generation === first.generation)),
        map(([first, second, third]) => {
          expect(second).to.deep.equal(first)
          expect(third).to.deep.equal(first)
          return first
        }),
      )
      const found = await until(same$, (one) => idsOf(one).length === 3 && isEven(one))
      expect(idsOf(found)).to.deep.equal(['a', 'b', 'c'])
      for (const { leader, replicas, warming } of placementsOf(found)) {
        expect(leader).to.be.oneOf(['a', 'b'])
        expect(replicas).to.deep.equal(['a', 'b'])
        expect(warming).to.deep.equal(['c'])
      }
    })

    it('gives the others a map without a node that closes', async () => {
      const [a, b] = [under.member(), under.member()]
      obey(a, stateOf('a'))
      obey(b, stateOf('b'))
      await until(b.map$, isEven)
      await a.close()
      const found = await until(b.map$, (one) => idsOf(one).length === 1)
      expect(idsOf(found)).to.deep.equal(['b'])
      expect(leadersOf(await until(b.map$, (one) => !leadersOf(one).includes(undefined)))).to.deep.equal([
        'b',
        'b',
      ])
    })

    it('counts a node once: its newest incarnation, and the older one is told', async () => {
      const [older, newer, other] = [under.member(), under.member(), under.member()]
      obey(other, stateOf('b'))
      obey(older, stateOf('a'))
      await until(older.connected$, (connected) => connected)
      await until(other.map$, (one) => idsOf(one).length === 2)
      const told = until(older.connected$, (connected) => !connected)
      obey(newer, stateOf('a', { incarnation: 'a.2' }))
      const found = await until(other.map$, ({ nodes }) =>
        nodes.some(({ incarnation }) => incarnation === 'a.2'),
      )
      expect(idsOf(found)).to.deep.equal(['a', 'b'])
      await until(newer.map$, ({ nodes }) => nodes.some(({ incarnation }) => incarnation === 'a.2'))
      await told
    })

    it('hands a leadership over in two steps, and leaves it there', async () => {
      const [a, b] = [under.member(), under.member()]
      const tell = obey(a, stateOf('a'))
      obey(b, stateOf('b'))
      const even = await until(a.map$, isEven)
      const partition = leadersOf(even).indexOf('a') as Partition
      const seen: (string | undefined)[] = []
      // The one that leads sees each step: the second waits for its word.
      const watching = a.map$.subscribe((one) => seen.push(leadersOf(one)[partition]))
      tell((state) => ({ ...state, handovers: [{ topic: TOPIC, partition, to: 'b' }] }))
      const found = await until(b.map$, (one) => leadersOf(one)[partition] === 'b')
      expect(placementsOf(found)[partition]?.handedBy).to.equal('a.1')
      tell((state) => ({ ...state, handovers: [], zone: 'told' }))
      const later = await until(a.map$, ({ nodes }) => nodes.some(({ zone }) => zone === 'told'))
      watching.unsubscribe()
      expect(leadersOf(later)).to.deep.equal(['b', 'b'])
      expect(seen.filter((leader, at) => leader !== seen[at - 1])).to.deep.equal(['a', undefined, 'b'])
    })
  })
}
