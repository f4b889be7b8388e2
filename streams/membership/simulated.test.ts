import { expect } from 'chai'
import type { ClusterMap, MemberState } from '../core/cluster-map.ts'
import { memberOf, replicaOf, topicOf } from '../core/testing/members.ts'
import { Prng } from '../core/testing/prng.ts'
import type { Offset } from '../core/types.ts'
import { systemClock } from '../system.ts'
import { membershipContract } from './membership.contract.ts'
import type { Membership } from './membership.ts'
import { simulatedCluster, type SimulatedCluster } from './simulated.ts'

for (const seed of [1, 12, 18])
  membershipContract(`simulated, seed ${seed}`, { several: true, patience: 5000 }, async () => {
    const cluster = simulatedCluster(new Prng(seed), systemClock)
    const members: Membership[] = []
    return {
      member() {
        const member = cluster.member()
        members.push(member)
        return member
      },
      async dispose() {
        await Promise.all(members.map((member) => member.close()))
      },
    }
  })

const stateOf = (nodeId: string, more: Partial<MemberState> = {}): MemberState =>
  memberOf(nodeId, { topics: [topicOf('t', 1, 2)], held: [replicaOf('t', 0)], ...more })

/** What a node got, in order: generations, and `+` or `-` for connected or not. */
function tape(member: Membership): string[] {
  const seen: string[] = []
  member.map$.subscribe(({ generation, nodes }) =>
    seen.push(`${generation}:${nodes.map(({ nodeId }) => nodeId).join('')}`),
  )
  member.connected$.subscribe((connected) => seen.push(connected ? '+' : '-'))
  return seen
}

describe('the simulated membership', () => {
  let cluster: SimulatedCluster
  let a: Membership
  let b: Membership
  let seenByA: string[]
  let seenByB: string[]

  beforeEach(() => {
    cluster = simulatedCluster(new Prng(7))
    a = cluster.member()
    b = cluster.member()
    a.announce(stateOf('a'))
    cluster.settle()
    b.announce(stateOf('b'))
    cluster.settle()
    seenByA = tape(a)
    seenByB = tape(b)
    expect(seenByA).to.deep.equal(['2:ab', '+'])
    for (const seen of [seenByA, seenByB]) seen.length = 0
  })

  it('tells a node that is cut off, and the others when it is evicted; it joins again with a new map first', () => {
    cluster.cut('a')
    expect(seenByA).to.deep.equal(['-'])
    a.announce(stateOf('a', { draining: true }))
    cluster.settle()
    expect(seenByB, 'nobody hears it').to.deep.equal([])
    cluster.evict('a')
    cluster.settle()
    expect(seenByB).to.deep.equal(['3:b'])
    cluster.heal('a')
    cluster.settle()
    expect(seenByA).to.deep.equal(['-', '4:ab', '+'])
    expect(cluster.map.nodes[0]?.draining).to.equal(true)
  })

  it('lets a node that was evicted though it lives join again', () => {
    cluster.evict('a')
    cluster.settle()
    expect(seenByA[0]).to.equal('-')
    expect(seenByA.at(-1)).to.equal('+')
    expect(seenByB.at(-1)).to.equal(`${cluster.map.generation}:ab`)
  })

  it('replaces a map that waits by a newer one', () => {
    cluster.hold('a')
    b.announce(stateOf('b', { draining: true }))
    cluster.settle()
    b.announce(stateOf('b'))
    cluster.settle()
    expect(seenByA).to.deep.equal([])
    cluster.release('a')
    cluster.settle()
    expect(seenByA).to.deep.equal(['4:ab'])
    expect(seenByB).to.deep.equal(['3:ab', '4:ab'])
  })

  it('makes no map of mere progress', () => {
    a.announce(stateOf('a', { held: [replicaOf('t', 0, { applied: 5000 as Offset })] }))
    expect(cluster.step()).to.equal(false)
  })

  it('keeps an older incarnation out', () => {
    const newer = cluster.member()
    newer.announce(stateOf('a', { incarnation: 'a.2' }))
    cluster.settle()
    a.announce(stateOf('a', { draining: true }))
    cluster.settle()
    expect(seenByA).to.deep.equal(['-'])
    expect(cluster.map.nodes.map(({ incarnation }) => incarnation)).to.deep.equal(['a.2', 'b.1'])
  })

  it('plays the same with the same seed', () => {
    const play = (seed: number): ClusterMap[] => {
      const played = simulatedCluster(new Prng(seed))
      const maps: ClusterMap[] = []
      for (const nodeId of ['a', 'b', 'c']) {
        const member = played.member()
        member.map$.subscribe((map) => maps.push(map))
        member.announce(stateOf(nodeId))
      }
      played.settle()
      return maps
    }
    expect(play(3)).to.deep.equal(play(3))
    expect(new Set([1, 2, 3, 4, 5].map((seed) => JSON.stringify(play(seed)))).size).to.be.greaterThan(1)
  })
})
