import { expect } from 'chai'
import type { ClusterMap, MapPlacement } from '../core/cluster-map.ts'
import { type Here, copiesElsewhere, handedOver, nextStep } from './assignment.ts'

const placed = (leader: string | undefined, replicas: string[], warming: string[] = []): MapPlacement => ({
  leader,
  replicas,
  warming,
})
const none: Here = { state: 'none' }
const running: Here = { state: 'running' }
const corrupt: Here = { state: 'stopped', reason: 'STORE_CORRUPT' }

const node = (nodeId: string, draining = false): ClusterMap['nodes'][number] => ({
  nodeId,
  incarnation: '1',
  address: '',
  zone: '',
  draining,
})

describe('the next step for a partition', () => {
  const cases: readonly [string, Here, MapPlacement, string][] = [
    ['opens what the map lets warm', none, placed('b', ['b'], ['a']), 'open'],
    ['opens what the map counts as live here, though it is not', none, placed('b', ['a', 'b']), 'open'],
    ['leaves alone what others have', none, placed('b', ['b', 'c']), 'keep'],
    ['keeps what it has and should have', running, placed('a', ['a', 'b']), 'keep'],
    ['gives up what enough others have live', running, placed('b', ['b', 'c']), 'close'],
    ['keeps it while another builds one', running, placed('b', ['b', 'c'], ['d']), 'keep'],
    ['keeps it while too few others are live', running, placed('b', ['b'], ['c']), 'keep'],
    ['keeps it while nobody leads', running, placed(undefined, ['b', 'c']), 'keep'],
    ['keeps it where nobody has a replica', running, placed(undefined, []), 'keep'],
    ['rebuilds damage while others are live', corrupt, placed('b', ['b'], ['a']), 'rebuild'],
    ['keeps damage where it is the last one', corrupt, placed(undefined, ['a']), 'keep'],
    ['keeps damage that others have too', corrupt, placed(undefined, ['b'], ['a']), 'keep'],
    [
      'begins anew with a topic that was created on purpose, whoever else has it',
      { state: 'old', replaced: true },
      placed(undefined, [], ['a', 'b']),
      'rebuild',
    ],
    [
      'keeps what is left of a topic that a stranger replaced',
      { state: 'old', replaced: false },
      placed('b', ['b'], ['a']),
      'keep',
    ],
    [
      'never rebuilds what people must look at',
      { state: 'stopped', reason: 'FORMAT_TOO_NEW' },
      placed('b', ['b'], ['a']),
      'keep',
    ],
    [
      'nor where the log lost its end',
      { state: 'stopped', reason: 'LOG_TRUNCATED' },
      placed('b', ['b'], ['a']),
      'keep',
    ],
  ]
  for (const [name, here, placement, step] of cases)
    it(name, () => {
      expect(nextStep(here, 'a', placement, 2)).to.equal(step)
    })

  it('asks for as many copies elsewhere as there can be, and for one at least', () => {
    const map = (...nodes: ClusterMap['nodes'][number][]): ClusterMap => ({
      generation: 1,
      nodes,
      topics: [],
    })
    expect(copiesElsewhere(map(node('a'), node('b'), node('c'), node('d')), 'a', 3)).to.equal(3)
    expect(copiesElsewhere(map(node('a'), node('b'), node('c')), 'a', 3)).to.equal(2)
    expect(copiesElsewhere(map(node('a'), node('b'), node('c', true)), 'a', 3)).to.equal(1)
    expect(copiesElsewhere(map(node('a')), 'a', 3)).to.equal(1)
  })

  it('is to leave once others lead whatever they can lead', () => {
    const map = (...places: MapPlacement[]): ClusterMap => ({
      generation: 1,
      nodes: [node('a', true), node('b'), node('c', true)],
      topics: [
        {
          topic: 't',
          identity: '1',
          partitions: places.length,
          replication: 2,
          settings: undefined,
          placements: places,
        },
      ],
    })
    expect(handedOver(map(placed('b', ['a', 'b'])), 'a')).to.equal(true)
    expect(handedOver(map(placed('b', ['a', 'b']), placed('a', ['a', 'b'])), 'a'), 'it leads one').to.equal(
      false,
    )
    expect(handedOver(map(placed(undefined, ['a', 'b'])), 'a'), 'nobody leads one').to.equal(false)
    expect(handedOver(map(placed('a', ['a', 'c'], ['b'])), 'a'), 'nobody can').to.equal(true)
  })
})
