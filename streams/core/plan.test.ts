import { expect } from 'chai'
import fc from 'fast-check'
import { plan } from './plan.ts'
import { memberOf, memberStates, replicaOf, topicOf } from './testing/members.ts'

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
  })

  it('lets one node hold and lead all', () => {
    const held = [0, 1].map((partition) => replicaOf('t', partition))
    const { topics } = plan([memberOf('a', { topics: [topicOf('t', 2, 3)], held })], 1)
    const here = { leader: 'a', replicas: ['a'], warming: [] }
    expect(topics[0]?.placements).to.deep.equal([here, here])
  })
})
