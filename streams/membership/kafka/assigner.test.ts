import { expect } from 'chai'
import fc from 'fast-check'
import type { ClusterMap, MemberState } from '../../core/cluster-map.ts'
import { memberOf, replicaOf, topicOf } from '../../core/testing/members.ts'
import { assign } from './assigner.ts'
import type { MemberWords } from './group-protocol.ts'
import { decodeGift, decodeWords, encodeWords, type Gift } from './words.ts'

const words = (memberId: string, since: number, state: MemberState, nonce = 0): MemberWords => ({
  memberId,
  words: encodeWords({ since, nonce, state }),
})
const giftOf = (members: readonly MemberWords[], generation = 7): Gift =>
  decodeGift(assign(members, generation)) ?? expect.fail('the gift cannot be read')
const ids = (map: ClusterMap): string[] =>
  map.nodes.map(({ nodeId, incarnation }) => `${nodeId}/${incarnation}`)

describe('the assigner', () => {
  it('gives the map of all members, and who sits where', () => {
    const state = memberOf('a', { topics: [topicOf('t.default', 2, 2)], held: [replicaOf('t.default', 0)] })
    const { map, seated } = giftOf([words('m2', 0, memberOf('b')), words('m1', 3, state)])
    expect(ids(map)).to.deep.equal(['a/a.1', 'b/b.1'])
    expect(map.generation).to.equal(7)
    expect(map.topics.map(({ topic }) => topic)).to.deep.equal(['t.default'])
    expect(seated.find(({ nodeId }) => nodeId === 'a')).to.deep.equal({
      memberId: 'm1',
      nodeId: 'a',
      incarnation: 'a.1',
      since: 3,
    })
    expect(seated.find(({ nodeId }) => nodeId === 'b')?.since, 'new in this generation').to.equal(7)
  })

  it('counts the process that came later, in whatever order the broker lists them', () => {
    const old = words('m-old', 3, memberOf('a', { incarnation: 'zzz' }))
    const newer = words('m-new', 0, memberOf('a', { incarnation: 'aaa' }))
    for (const members of [
      [old, newer],
      [newer, old],
    ]) {
      const { map, seated } = giftOf(members)
      expect(ids(map)).to.deep.equal(['a/aaa'])
      expect(seated.map(({ memberId }) => memberId)).to.deep.equal(['m-new'])
    }
    const both = [
      words('m1', 5, memberOf('a', { incarnation: 'x' })),
      words('m2', 5, memberOf('a', { incarnation: 'y' })),
    ]
    expect(ids(giftOf(both).map)).to.deep.equal(ids(giftOf([...both].reverse()).map))
  })

  it('passes over members that it cannot read', () => {
    const good = words('m1', 0, memberOf('a'))
    const cut = { memberId: 'm2', words: good.words.subarray(0, 20) }
    const newer = { memberId: 'm3', words: Buffer.concat([Buffer.of(2), good.words.subarray(1)]) }
    const empty = { memberId: 'm4', words: Buffer.alloc(0) }
    expect(ids(giftOf([cut, good, newer, empty]).map)).to.deep.equal(['a/a.1'])
    expect(ids(giftOf([empty]).map)).to.deep.equal([])
  })

  it('never throws, and neither does reading', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 80 })), (all) => {
        giftOf(all.map((bytes, at) => ({ memberId: `m${at}`, words: Uint8Array.of(1, ...bytes) })))
        for (const bytes of all) {
          decodeWords(bytes)
          decodeGift(Uint8Array.of(1, ...bytes))
        }
      }),
    )
  })
})

describe('the words of a member', () => {
  it('come back as they were', () => {
    const state = memberOf('ü', { held: [replicaOf('t', 3)], topics: [topicOf('t', 4, 1)] })
    expect(decodeWords(encodeWords({ since: 300, nonce: 70_000, state }))).to.deep.equal({
      since: 300,
      nonce: 70_000,
      state,
    })
  })

  it('differ with the nonce: the broker rebalances for changed words only', () => {
    const state = memberOf('a')
    const [one, other] = [1, 2].map((nonce) => Buffer.from(encodeWords({ since: 1, nonce, state })))
    expect(one?.equals(other ?? Buffer.alloc(0))).to.equal(false)
  })
})
