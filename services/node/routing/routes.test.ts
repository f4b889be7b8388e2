import { expect } from 'chai'
import type { ClusterMap, MapPlacement } from '../../../streams/core/cluster-map.ts'
import { partition } from '../../../streams/core/types.ts'
import { othersFor, routesOf } from './routes.ts'

const mapOf = (
  nodes: readonly string[],
  placements: readonly (readonly string[])[],
  draining: readonly string[] = [],
): ClusterMap => ({
  generation: 1,
  nodes: nodes.map((nodeId) => ({
    nodeId,
    incarnation: '1',
    address: `${nodeId}:1`,
    zone: '',
    draining: draining.includes(nodeId),
  })),
  topics: [
    {
      topic: 'c.rows',
      identity: 'i',
      partitions: placements.length,
      replication: 2,
      settings: undefined,
      placements: placements.map(([leader, ...more]): MapPlacement => ({
        leader,
        replicas: leader === undefined ? [] : [leader, ...more],
        warming: ['w'],
      })),
    },
  ],
})

const p = partition

describe('the routes of a keyspace', () => {
  it('of a node without others lead nowhere else', () => {
    expect(routesOf(mapOf(['a'], [['a']]), 'a', 'c.rows').alone).to.equal(true)
  })

  it('of a keyspace that the map does not name are unknown', () => {
    const routes = routesOf(mapOf(['a', 'b'], [['a']]), 'a', 'c.other')
    expect([routes.alone, routes.allHere, othersFor(routes, p(0), 'read')]).to.deep.equal([false, false, []])
  })

  it('tell which partitions are here, and who else serves them, never who only warms', () => {
    const routes = routesOf(
      mapOf(
        ['a', 'b', 'c', 'w'],
        [
          ['a', 'b'],
          ['b', 'c'],
          ['c', 'a'],
        ],
      ),
      'a',
      'c.rows',
    )
    expect(routes.here).to.deep.equal([true, false, true])
    expect(routes.allHere).to.equal(false)
    expect([0, 1, 2].map((at) => [...othersFor(routes, p(at), 'read')].sort())).to.deep.equal([
      ['b'],
      ['b', 'c'],
      ['c'],
    ])
    expect(routesOf(mapOf(['a', 'w'], [['a'], ['w', 'a']]), 'a', 'c.rows').allHere).to.equal(true)
  })

  it('lead writes to the leader, and spread reads over nodes that ask and partitions that are asked for', () => {
    const nodes = ['a', 'b', 'c', 'd', 'e']
    const map = mapOf(nodes, [
      ['c', 'd', 'e'],
      ['c', 'd', 'e'],
      ['c', 'd', 'e'],
    ])
    const firsts = ['a', 'b'].flatMap((own) =>
      [0, 1, 2].map((at) => {
        const routes = routesOf(map, own, 'c.rows')
        expect(othersFor(routes, p(at), 'write')[0]).to.equal('c')
        expect(othersFor(routes, p(at), 'write')).to.have.members(['c', 'd', 'e'])
        return othersFor(routes, p(at), 'read')[0]
      }),
    )
    expect(firsts).to.deep.equal(['c', 'd', 'e', 'd', 'e', 'c'])
  })

  it('come to a node that drains last', () => {
    const map = mapOf(
      ['a', 'b', 'c', 'd'],
      [
        ['b', 'c', 'd'],
        ['b', 'c', 'd'],
        ['b', 'c', 'd'],
      ],
      ['b', 'c'],
    )
    for (const at of [0, 1, 2])
      expect(othersFor(routesOf(map, 'a', 'c.rows'), p(at), 'read')[0]).to.equal('d')
  })
})
