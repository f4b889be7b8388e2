import { expect } from 'chai'
import type { HeldReplica, MemberState } from './cluster-map.ts'
import { LEADER_BEHIND_RECORDS, LEADER_NEAR_RECORDS } from './limits.ts'
import { changesMap, isBehind } from './map-changes.ts'
import { memberOf, replicaOf, topicOf } from './testing/members.ts'
import type { Offset, Partition } from './types.ts'

const holding = (...held: HeldReplica[]): MemberState =>
  memberOf('n1', { topics: [topicOf('t', 2, 2)], held })
const replica = (more: Partial<HeldReplica> = {}): HeldReplica => replicaOf('t', 0, more)
const handing = (leading: boolean, to?: string): MemberState => ({
  ...holding(replica({ leading })),
  handovers: to === undefined ? [] : [{ topic: 't', partition: 0 as Partition, to }],
})
const prefix = (text: string) => ({
  partitionBy: { kind: 'prefix' as const, separator: Buffer.from(text) },
  valueBytesMax: 1,
  packing: true,
})
const topic = topicOf('t', 2, 2)

describe('what a member says of itself', () => {
  const asks: Record<string, [before: MemberState, after: MemberState]> = {
    'another incarnation': [memberOf('n1'), memberOf('n1', { incarnation: 'n1.2' })],
    'another address': [memberOf('n1'), memberOf('n1', { address: 'elsewhere:1' })],
    'another zone': [memberOf('n1'), memberOf('n1', { zone: 'z' })],
    'it drains': [memberOf('n1'), memberOf('n1', { draining: true })],
    'a topic appears': [memberOf('n1'), memberOf('n1', { topics: [topic] })],
    'a topic goes': [memberOf('n1', { topics: [topic] }), memberOf('n1')],
    'a topic was created again': [
      memberOf('n1', { topics: [topic] }),
      memberOf('n1', { topics: [{ ...topic, identity: 'i2' }] }),
    ],
    'settings became known': [
      memberOf('n1', { topics: [topic] }),
      memberOf('n1', { topics: [{ ...topic, settings: prefix('/') }] }),
    ],
    'settings changed': [
      memberOf('n1', { topics: [{ ...topic, settings: prefix('/') }] }),
      memberOf('n1', { topics: [{ ...topic, settings: prefix(':') }] }),
    ],
    'a replica became live': [holding(replica({ live: false })), holding(replica())],
    'a live replica appears': [holding(), holding(replica())],
    'a replica stopped': [holding(replica()), holding(replica({ live: false }))],
    'a live replica is gone': [holding(replica()), holding()],
    'a leadership was given up': [holding(replica({ leading: true })), holding(replica())],
    'a replica has caught up': [holding(replica({ behind: true })), holding(replica())],
    'the leader is behind': [
      holding(replica({ leading: true })),
      holding(replica({ leading: true, behind: true })),
    ],
    'a leadership is handed over': [handing(true), handing(true, 'n2')],
    'a leadership is handed to another': [handing(true, 'n3'), handing(true, 'n2')],
    'a handover is called off': [handing(true, 'n2'), handing(true)],
  }
  for (const [what, [before, after]] of Object.entries(asks))
    it(`asks for a new map: ${what}`, () => {
      expect(changesMap(before, after)).to.equal(true)
      expect(changesMap(before, before)).to.equal(false)
    })

  const tells: Record<string, [before: MemberState, after: MemberState]> = {
    'more is applied': [holding(replica()), holding(replica({ applied: 1e9 as Offset }))],
    'a replica is being built': [holding(), holding(replica({ live: false }))],
    'one is built no more': [holding(replica({ live: false })), holding()],
    'a leadership was taken': [holding(replica()), holding(replica({ leading: true, handedBy: 'n2.1' }))],
    'a follower is behind': [holding(replica()), holding(replica({ behind: true }))],
    'a handover is done': [handing(false, 'n2'), handing(false)],
    'another order': [
      { ...holding(replica(), replicaOf('t', 1)), topics: [topic, topicOf('u', 1, 1)] },
      { ...holding(replicaOf('t', 1), replica()), topics: [topicOf('u', 1, 1), topic] },
    ],
  }
  for (const [what, [before, after]] of Object.entries(tells))
    it(`is told with the next change: ${what}`, () => {
      expect(changesMap(before, after)).to.equal(false)
    })

  it('calls a replica behind at one distance, and near again at a shorter one', () => {
    const at = (lag: number, was: boolean): boolean => isBehind(1e6 as Offset, (1e6 + lag) as Offset, was)
    expect(at(LEADER_BEHIND_RECORDS, false)).to.equal(false)
    expect(at(LEADER_BEHIND_RECORDS + 1, false)).to.equal(true)
    expect(at(LEADER_NEAR_RECORDS + 1, true)).to.equal(true)
    expect(at(LEADER_NEAR_RECORDS, true)).to.equal(false)
  })
})
