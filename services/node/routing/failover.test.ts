import { expect } from 'chai'
import { TidemarkError, type Reason } from '../../../streams/core/errors.ts'
import { ROUTE_ROUNDS_MAX } from '../../../streams/core/limits.ts'
import { type Partition, partition } from '../../../streams/core/types.ts'
import { type Answered, type Asking, type Place, answersElsewhere, askEach } from './failover.ts'
import type { Rows } from './remote-keyspace.ts'

const placeOf = (nodeId: string): Place => ({ nodeId, own: nodeId === 'own', rows: {} as Rows })
const error = (reason: Reason): TidemarkError => new TidemarkError(reason, `it is ${reason}`)

/** A world of nodes by what they answer; `asked` is what they were asked for, in order. */
function world(
  holders: readonly string[],
  answers: Readonly<Record<string, Reason | 'ok' | 'hangs'>>,
): { readonly asked: string[]; readonly rests: number[]; readonly asking: Asking<string> } {
  const asked: string[] = []
  const rests: number[] = []
  return {
    asked,
    rests,
    asking: {
      partitions: holders.map((_, at) => partition(at)),
      deadline: Date.now() + 10_000,
      places: (at: Partition) => (holders[at] ?? '').split(' ').map(placeOf),
      rest: async (ms) => void rests.push(ms),
      elsewhere: (failure, place) => answersElsewhere(failure, place, true),
      ask: async ({ nodeId }, partitions, deadline) => {
        asked.push(`${nodeId}:${partitions.join('')}`)
        const answer = answers[nodeId] ?? 'ok'
        if (answer === 'ok') return `${nodeId} says ${partitions.join('')}`
        if (answer === 'hangs') {
          await new Promise((resolve) => setTimeout(resolve, deadline - Date.now()))
          throw error('DEADLINE_EXCEEDED')
        }
        throw error(answer)
      },
    },
  }
}

const texts = (answered: readonly Answered<string>[]): string[] => answered.map(({ answer }) => answer).sort()

async function reasonOf(promise: Promise<unknown>): Promise<Reason> {
  try {
    await promise
  } catch (caught) {
    return TidemarkError.from(caught).reason
  }
  throw new Error('it did not fail')
}

describe('asking until somebody answers', () => {
  it('asks each node once for all partitions that it is best for', async () => {
    const { asking, asked } = world(['a b', 'b a', 'a c', 'b'], {})
    expect(texts(await askEach(asking))).to.deep.equal(['a says 02', 'b says 13'])
    expect(asked).to.deep.equal(['a:02', 'b:13'])
  })

  it('goes on with what a node cannot answer, grouped anew', async () => {
    const { asking, asked } = world(['a b', 'a c', 'a b', 'b'], { a: 'NODE_UNREACHABLE' })
    expect(texts(await askEach(asking))).to.deep.equal(['b says 02', 'b says 3', 'c says 1'])
    expect(asked).to.deep.equal(['a:012', 'b:3', 'b:02', 'c:1'])
  })

  it('begins behind those that have failed already', async () => {
    const { asking, asked } = world(['a b'], {})
    expect(texts(await askEach({ ...asking, tried: ['a'] }))).to.deep.equal(['b says 0'])
    expect(asked).to.deep.equal(['b:0'])
  })

  it('does not ask others what the first one refuses for good', async () => {
    const { asking, asked } = world(['a b'], { a: 'VALUE_TOO_LARGE' })
    expect(await reasonOf(askEach(asking))).to.equal('VALUE_TOO_LARGE')
    expect(asked).to.deep.equal(['a:0'])
  })

  it('goes round a few times, rests between, and gives the last failure', async () => {
    const { asking, asked, rests } = world(['a b'], { a: 'NODE_UNREACHABLE', b: 'PARTITION_RESTORING' })
    expect(await reasonOf(askEach(asking))).to.equal('PARTITION_RESTORING')
    expect(asked).to.have.length(2 * ROUTE_ROUNDS_MAX)
    expect(rests).to.have.length(ROUTE_ROUNDS_MAX - 1)
  })

  it('does not begin a round that the deadline would cut', async () => {
    const { asking, rests } = world(['a'], { a: 'PARTITION_ELSEWHERE' })
    expect(await reasonOf(askEach({ ...asking, deadline: Date.now() + 100 }))).to.equal('PARTITION_ELSEWHERE')
    expect(rests).to.deep.equal([])
  })

  it('frees the answers of some parts when another fails for good', async () => {
    const { asking } = world(['a', 'b'], { b: 'COMPACTED' })
    const released: string[] = []
    const failing = askEach({ ...asking, release: (answer) => void released.push(answer) })
    expect(await reasonOf(failing)).to.equal('COMPACTED')
    expect(released).to.deep.equal(['a says 0'])
  })

  it('gives the last that could answer all the time there is', async () => {
    const { asking, asked } = world(['a'], { a: 'hangs' })
    const began = Date.now()
    expect(await reasonOf(askEach({ ...asking, deadline: began + 150 }))).to.equal('DEADLINE_EXCEEDED')
    expect(Date.now() - began).to.be.within(140, 1000)
    expect(asked).to.deep.equal(['a:0'])
  })
})

describe('what another node may answer', () => {
  const may = (reason: Reason, repeatable: boolean, own = false): boolean =>
    answersElsewhere(error(reason), { own }, repeatable)

  it('is everything that changed nothing here', () => {
    for (const reason of ['NODE_DRAINING', 'PARTITION_ELSEWHERE', 'PARTITION_RESTORING'] as const)
      expect(may(reason, false), reason).to.equal(true)
  })

  it('is what may have been done here only where doing it twice is harmless', () => {
    for (const reason of [
      'NODE_UNREACHABLE',
      'PARTITION_STOPPED',
      'LOG_UNAVAILABLE',
      'WRITE_UNKNOWN',
    ] as const)
      expect([may(reason, false), may(reason, true)], reason).to.deep.equal([false, true])
  })

  it('is not what is wrong, late or too much everywhere', () => {
    for (const reason of [
      'FIELD_INVALID',
      'COMPACTED',
      'DEADLINE_EXCEEDED',
      'OVERLOADED',
      'INTERNAL',
    ] as const)
      expect(may(reason, true), reason).to.equal(false)
  })

  it('is a keyspace that a peer has not heard of, while this node has', () => {
    expect([may('KEYSPACE_NOT_FOUND', true), may('KEYSPACE_NOT_FOUND', true, true)]).to.deep.equal([
      true,
      false,
    ])
  })
})
