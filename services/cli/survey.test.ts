import { expect } from 'chai'
import { partitionsTable, nodesTable } from './cluster-tables.ts'
import { replicaOf, surveyOf } from './survey.fake.ts'
import { nodeLines, partitionLines, surveyOfOne } from './survey.ts'

describe('survey of a cluster', () => {
  const held = {
    a: [replicaOf({ applied: 10, logEnd: 12 }), replicaOf({ partition: 1, applied: 4, logEnd: 4 })],
    b: [
      replicaOf({ applied: 12, logEnd: 12, chainHash: 'ffff' }),
      replicaOf({ partition: 1, applied: 1, logEnd: 4, state: 'restoring' }),
    ],
  }

  it('tells of each node what it leads and holds', () => {
    expect(nodeLines(surveyOf(held))).to.deep.equal([
      {
        nodeId: 'a',
        address: '127.0.0.1:7401',
        zone: 'zone-a',
        version: '1.2.3',
        state: 'serving',
        leaders: 2,
        replicas: 2,
        live: 2,
        ready: true,
        failure: undefined,
      },
      {
        nodeId: 'b',
        address: '127.0.0.1:7402',
        zone: 'zone-b',
        version: '1.2.3',
        state: 'serving',
        leaders: 0,
        replicas: 2,
        live: 1,
        ready: false,
        failure: undefined,
      },
    ])
  })

  it('tells of each partition how the leader stands, and how far the last replica is behind', () => {
    const [first, second] = partitionLines(surveyOf(held))
    expect(first).to.deep.include({ partition: 0, leader: 'a', logEnd: 12, lag: 2 })
    expect(first?.shown?.applied).to.equal(10)
    expect(second).to.deep.include({ partition: 1, logEnd: 4, lag: 3 })
    expect(second?.replicas.map(({ nodeId, state }) => [nodeId, state])).to.deep.equal([
      ['a', 'live'],
      ['b', 'restoring'],
    ])
    expect(partitionLines(surveyOf(held), 'elsewhere')).to.deep.equal([])
  })

  it('shows the replica that is furthest where the leader does not answer', () => {
    const survey = surveyOf(held)
    const nodes = survey.nodes.map((node) =>
      node.nodeId === 'a' ? { ...node, description: undefined, failure: 'no answer' } : node,
    )
    const [first] = partitionLines({ ...survey, nodes })
    expect(first?.shown?.chainHash).to.equal('ffff')
    expect(first?.replicas[0]).to.deep.equal({
      nodeId: 'a',
      state: 'unreachable',
      warming: false,
      found: undefined,
    })
    const [node] = nodeLines({ ...survey, nodes })
    expect(node).to.deep.include({ state: 'unreachable', ready: false, failure: 'no answer' })
    expect(nodesTable(nodeLines({ ...survey, nodes }))).to.match(/^a .* no +unreachable: no answer$/m)
  })

  it('shows what a replica is short of in the table', () => {
    const stopped = replicaOf({
      partition: 1,
      state: 'stopped',
      logEnd: 4,
      stoppedReason: 'LOG_TRIMMED',
      stoppedMessage: 'the log begins at 9',
    })
    const survey = surveyOf({ ...held, c: [replicaOf({ applied: 6, logEnd: 12 }), stopped] })
    const [place, ...rest] = survey.placements
    const placements =
      place === undefined ? [] : [{ ...place, replicas: ['a', 'b'], warming: ['c', 'd'] }, ...rest]
    const table = partitionsTable(partitionLines({ ...survey, placements }))
    expect(table).to.match(
      /^default +0 +a +a b c:warming\(50%\) d:unreachable +10 +12 +6 +3 +1 +abcdef012345$/m,
    )
    expect(table).to.match(/^default +1 +a +a b:restoring\(25%\) c:stopped\(LOG_TRIMMED\) /m)
    expect(table).to.contain('\ndefault/1 on c: the log begins at 9\n')
  })

  it('takes a node without a map for a cluster of one', () => {
    const description = surveyOf({ a: [replicaOf({ leader: '' })] }).nodes[0]?.description
    if (description === undefined) throw new Error('no description')
    const survey = surveyOfOne(description, '127.0.0.1:7400')
    expect(nodeLines(survey)).to.have.length(1)
    expect(partitionLines(survey)[0]).to.deep.include({ leader: undefined, partition: 0 })
    expect(nodesTable(nodeLines(survey))).to.match(/^a +127.0.0.1:7400 +- +1.2.3 +0 +1 +yes +serving$/m)
  })
})
