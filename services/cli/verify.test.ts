import { expect } from 'chai'
import type { Survey } from './survey.ts'
import { replicaOf, surveyOf } from './survey.fake.ts'
import { Verification } from './verify.ts'

/** node → [applied, hash] of the only partition. */
const seen = (at: Readonly<Record<string, readonly [number, string]>>): Survey =>
  surveyOf(
    Object.fromEntries(
      Object.entries(at).map(([node, [applied, chainHash]]) => [node, [replicaOf({ applied, chainHash })]]),
    ),
  )

describe('cluster verify', () => {
  it('finds replicas equal that stand at one offset', () => {
    const verification = new Verification()
    const [verified] = verification.look(seen({ a: [7, 'x'], b: [7, 'x'], c: [7, 'x'] }))
    expect(verified?.verdict).to.deep.equal({ kind: 'equal', offset: 7 })
    expect(verification.settled).to.equal(true)
  })

  it('names those that differ, and where', () => {
    const [verified] = new Verification().look(seen({ a: [7, 'x'], b: [7, 'y'], c: [6, 'z'] }))
    expect(verified?.verdict).to.deep.equal({
      kind: 'different',
      offset: 7,
      hashes: new Map([
        ['a', 'x'],
        ['b', 'y'],
      ]),
    })
  })

  it('keeps what it saw until offsets meet, also by way of a third replica', () => {
    const verification = new Verification()
    expect(verification.look(seen({ a: [7, 'x'], b: [8, 'y'], c: [9, 'z'] }))[0]?.verdict.kind).to.equal(
      'open',
    )
    expect(verification.settled).to.equal(false)
    // b is now where c was, c where nobody was; a and b never meet, a and c neither.
    expect(verification.look(seen({ a: [8, 'y'], b: [9, 'z'], c: [11, 'q'] }))[0]?.verdict).to.deep.equal({
      kind: 'equal',
      offset: 9,
    })
  })

  it('finds a difference with a look that is long past', () => {
    const verification = new Verification()
    verification.look(seen({ a: [7, 'x'], b: [9, 'z'] }))
    expect(verification.look(seen({ a: [9, 'other'], b: [12, 'q'] }))[0]?.verdict.kind).to.equal('different')
  })

  it('says where there is nothing to compare, and who is missing', () => {
    const survey = seen({ a: [7, 'x'], b: [7, 'x'] })
    const nodes = survey.nodes.map((node) =>
      node.nodeId === 'b' ? { ...node, description: undefined, failure: 'no answer' } : node,
    )
    const [verified] = new Verification().look({ ...survey, nodes })
    expect(verified).to.deep.include({ nodes: ['a'], missing: ['b'], verdict: { kind: 'alone' } })
  })
})
