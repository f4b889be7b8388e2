import { expect } from 'chai'
import fc from 'fast-check'
import type { ClusterMap, HeldReplica, MapPlacement, MemberState } from './cluster-map.ts'
import { targetsOf } from './placement.ts'
import { plan } from './plan.ts'
import { memberOf, memberStates, replicaOf, topicOf } from './testing/members.ts'
import type { Offset, Partition } from './types.ts'

/** Nodes in the order in which partition 0 of topic t belongs to them. */
const [w, x, y, z] = targetsOf('t', 0, [memberOf('a'), memberOf('b'), memberOf('c'), memberOf('d')], 4) as [
  string,
  string,
  string,
  string,
]
const TWO = topicOf('t', 1, 2)

/** `L` live, `B` being built, `*` leads, `~` behind. */
function node(
  nodeId: string,
  replica = '',
  more: Partial<MemberState> = {},
  held: Partial<HeldReplica> = {},
): MemberState {
  const flags = {
    live: replica.includes('L'),
    leading: replica.includes('*'),
    ...(replica.includes('~') ? { behind: true } : {}),
  }
  return memberOf(nodeId, {
    topics: [TWO],
    held: replica === '' ? [] : [replicaOf('t', 0, { ...flags, ...held })],
    ...more,
  })
}
const handing = (to: string): Partial<MemberState> => ({
  handovers: [{ topic: 't', partition: 0 as Partition, to }],
})
const placed = (members: readonly MemberState[]): MapPlacement | undefined =>
  plan(members, 1).topics[0]?.placements[0]

/** Replicas and what is warming, in the order of `w x y z`; `*` leads, `+` was handed over. */
function show(...members: readonly MemberState[]): string {
  const { leader, replicas, warming, handedBy } = placed(members) ?? { leader: '', replicas: [], warming: [] }
  const list = (ids: readonly string[]): string =>
    [w, x, y, z]
      .flatMap((id, at) =>
        ids.includes(id)
          ? ['wxyz'.charAt(at) + (id === leader ? (handedBy === undefined ? '*' : '*+') : '')]
          : [],
      )
      .join(' ')
  return `${list(replicas)} | ${list(warming)}`
}

describe('the plan', () => {
  it('is the same for every order of the members, and never throws', () => {
    const members = fc.uniqueArray(memberStates, { maxLength: 6, selector: ({ nodeId }) => nodeId })
    fc.assert(
      fc.property(members, fc.nat(), (states, turn) => {
        const at = turn % Math.max(1, states.length)
        const turned = [...states.slice(at), ...states.slice(0, at)]
        expect(plan(turned.reverse(), 1)).to.deep.equal(plan(states, 1))
      }),
    )
    expect(plan([], 3)).to.deep.equal({ generation: 3, nodes: [], topics: [] })
  })

  it('counts the later one of two states of a node', () => {
    const found = plan([node(w, 'L*'), node(w, '', { incarnation: 'later' })], 1)
    expect(found.nodes.map(({ incarnation }) => incarnation)).to.deep.equal(['later'])
    expect(found.topics[0]?.placements).to.deep.equal([{ leader: undefined, replicas: [], warming: [w] }])
  })

  describe('of replicas', () => {
    it('lets the nodes build where a partition belongs', () => {
      expect(show(node(w), node(x), node(y))).to.equal(' | w x')
      expect(show(node(w, 'B'), node(x, 'L'), node(y))).to.equal('x* | w')
      expect(show(node(w, 'L'), node(x, 'L*'), node(y))).to.equal('w x* | ')
    })

    it('lists what is live until all is built elsewhere, then the leader until it has given up', () => {
      expect(show(node(w), node(x, 'L'), node(y, 'L*'))).to.equal('x y* | w')
      expect(show(node(w, 'L'), node(x, 'L'), node(y, 'L*'))).to.equal('w x y | ')
      expect(show(node(w, 'L'), node(x, 'L'), node(y, 'L'))).to.equal('w* x | ')
    })

    it('gives nodes that drain nothing new, and takes from them what is built elsewhere', () => {
      const draining = { draining: true }
      expect(show(node(w, '', draining), node(x), node(y))).to.equal(' | x y')
      expect(show(node(w, 'L', draining), node(x, 'L*'), node(y))).to.equal('w x* | y')
      expect(show(node(w, 'L', draining), node(x, 'L*'), node(y, 'L'))).to.equal('x* y | ')
      // Nobody else is there: it goes on.
      expect(show(node(w, 'L*', draining))).to.equal('w* | ')
      expect(show(node(w, 'B', draining), node(x, '', draining))).to.equal(' | w')
    })

    it('puts the furthest first where none is live, wherever it belongs', () => {
      const far = { applied: 900 as Offset }
      expect(placed([node(w, 'B'), node(x), node(y, 'B', {}, far)])).to.deep.equal({
        leader: undefined,
        replicas: [],
        warming: [y, ...[w, x].sort()],
      })
    })
  })

  describe('of leadership', () => {
    it('leaves it where it is', () => {
      expect(show(node(w, 'L'), node(x, 'L*'))).to.equal('w x* | ')
      expect(show(node(w, 'L*'), node(x, 'L'))).to.equal('w* x | ')
    })

    it('names nobody who is not live, whatever it says', () => {
      expect(show(node(w, 'B*'), node(x, 'L'))).to.equal('x* | w')
      expect(show(node(w, 'B*'), node(x))).to.equal(' | w x')
    })

    it('takes it from a node that drains, in two steps, as soon as another is live', () => {
      const draining = { draining: true }
      expect(show(node(w, 'L*', draining), node(x, 'B'), node(y, 'B'))).to.equal('w* | x y')
      expect(show(node(w, 'L*', draining), node(x, 'B'), node(y, 'L'))).to.equal('w y | x')
      expect(show(node(w, 'L', draining), node(x, 'B'), node(y, 'L'))).to.equal('w y* | x')
    })

    it('takes it from a node that is behind while another is not', () => {
      expect(show(node(w, 'L~*'), node(x, 'L~'))).to.equal('w* x | ')
      expect(show(node(w, 'L~*'), node(x, 'L'))).to.equal('w x | ')
      expect(show(node(w, 'L~'), node(x, 'L'))).to.equal('w x* | ')
      expect(show(node(w, 'L~'), node(x, 'L~'))).to.equal('w* x | ')
      // One that drains leads rather not at all than one that is behind.
      expect(show(node(w, 'L~'), node(x, 'L', { draining: true }), node(y, 'B'))).to.equal('w* x | y')
    })

    it('keeps one of two that say that they lead, and names none that another follows', () => {
      expect(show(node(w, 'L*'), node(x, 'L*', {}, { applied: 101 as Offset }))).to.equal('w x* | ')
      expect(show(node(w, 'L*', { draining: true }), node(x, 'L*'))).to.equal('w x* | ')
    })

    it('hands it over in two steps, and leaves it there while the giver lives', () => {
      expect(show(node(w, 'L*', handing(x)), node(x, 'L'))).to.equal('w x | ')
      expect(show(node(w, 'L', handing(x)), node(x, 'L'))).to.equal('w x*+ | ')
      expect(placed([node(w, 'L', handing(x)), node(x, 'L')])?.handedBy).to.equal(`${w}.1`)
      const taken = { handedBy: `${w}.1` }
      expect(show(node(w, 'L'), node(x, 'L*', {}, taken))).to.equal('w x*+ | ')
      expect(show(node(w, 'L', { incarnation: `${w}.2` }), node(x, 'L*', {}, taken))).to.equal('w x* | ')
      // On again, and back.
      expect(show(node(w, 'L'), node(x, 'L*', handing(w), taken))).to.equal('w x | ')
      expect(show(node(w, 'L'), node(x, 'L', handing(w)))).to.equal('w*+ x | ')
      expect(show(node(w, 'L'), node(x, 'L*', { draining: true }, taken), node(y, 'B'))).to.equal('w x | y')
    })

    it('hands nothing to a node that cannot lead it', () => {
      for (const other of [node(x), node(x, 'B'), node(x, 'L~'), node(x, 'L', { draining: true })])
        expect(placed([node(w, 'L*', handing(x)), other])?.leader).to.equal(w)
      expect(placed([node(w, 'L*', handing('nobody')), node(x, 'L')])?.leader).to.equal(w)
      expect(show(node(w, 'L*'), node(x, 'L', handing(x))), 'who does not lead has nothing to give').to.equal(
        'w* x | ',
      )
    })

    it('does not make it even again at the cost of what was handed over, nor in exchange for it', () => {
      const four = topicOf('t', 4, 2)
      const led = (by: readonly number[], more: Partial<HeldReplica> = {}): HeldReplica[] =>
        [0, 1, 2, 3].map((partition) =>
          replicaOf(
            't',
            partition,
            by.includes(partition) ? { leading: true, ...(partition < 2 ? more : {}) } : {},
          ),
        )
      const leaders = (incarnation: string): string =>
        plan(
          [
            memberOf('a', { topics: [four], held: led([]), incarnation }),
            memberOf('b', { topics: [four], held: led([0, 1, 2, 3], { handedBy: 'a.1' }) }),
          ],
          1,
        )
          .topics[0]?.placements.map(({ leader }) => leader ?? '-')
          .join('') ?? ''
      expect(leaders('a.1')).to.equal('bbbb')
      // The giver started anew: it gets its share.
      expect(leaders('a.2').replaceAll('b', '')).to.equal('--')
    })
  })

  describe('of topics', () => {
    const topicsOf = (members: readonly MemberState[]): ClusterMap['topics'] => plan(members, 1).topics

    it('has those that some member knows, by name', () => {
      const found = topicsOf([
        memberOf('a', { topics: [topicOf('t.b', 1, 1)] }),
        memberOf('b', { topics: [topicOf('t.a', 2, 1), topicOf('t.B', 1, 1)] }),
      ])
      expect(found.map(({ topic }) => topic)).to.deep.equal(['t.B', 't.a', 't.b'])
      expect(found.map(({ placements }) => placements.length)).to.deep.equal([1, 2, 1])
    })

    it('has the identity that most say, and only the replicas of those that say it', () => {
      const old = { topics: [TWO] }
      const anew = { topics: [topicOf('t', 1, 2, 'i0')] }
      const members = (third: object): MemberState[] => [
        node(w, 'L*', old),
        node(x, 'L', anew),
        node(y, 'L', third),
      ]
      expect(topicsOf(members(old))[0]?.identity).to.equal('i1')
      expect(show(...members(old))).to.equal('w* y | x')
      expect(topicsOf(members(anew))[0]?.identity).to.equal('i0')
      expect(show(...members(anew))).to.equal('x* y | w')
    })

    it('has the settings of those that know them', () => {
      const settings = { partitionBy: { kind: 'key' as const }, valueBytesMax: 5, packing: false }
      const found = topicsOf([node(w), node(x, '', { topics: [{ ...TWO, settings }] }), node(y)])
      expect(found[0]?.settings).to.deep.equal(settings)
    })

    it('passes over replicas that cannot be', () => {
      const held = [replicaOf('gone', 0, { leading: true }), replicaOf('t', 7), replicaOf('t', 0)]
      expect(topicsOf([memberOf('a', { topics: [TWO], held })])).to.deep.equal([
        { ...TWO, placements: [{ leader: 'a', replicas: ['a'], warming: [] }] },
      ])
    })
  })
})
