import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import type { Offset, Partition } from '../core/types.ts'
import type { Log } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { ReadIndex } from './read-index.ts'

interface Round {
  readonly partitions: readonly number[]
  answer(end: number): void
  fail(error: unknown): void
}

function make(): { readonly index: ReadIndex; readonly rounds: Round[] } {
  const rounds: Round[] = []
  const log: Log = {
    ...openMemoryLog({ clock: () => 0 as never }),
    verifiedEnds: (_topic, partitions) =>
      new Promise((resolve, reject) => {
        rounds.push({
          partitions,
          answer: (end) => resolve(new Map(partitions.map((partition) => [partition, end as Offset]))),
          fail: reject,
        })
      }),
  }
  return { index: new ReadIndex(log, 't'), rounds }
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const partition = (number: number): Partition => number as Partition

describe('read index', () => {
  it('serves all reads of one turn with one round', async () => {
    const { index, rounds } = make()
    const ends = [index.end(partition(2)), index.end(partition(0)), index.end(partition(2))]
    await turn()
    expect(rounds.map(({ partitions }) => partitions)).to.deep.equal([[2, 0]])
    rounds[0]?.answer(7)
    expect(await Promise.all(ends)).to.deep.equal([7, 7, 7])
  })

  it('lets reads that arrive during a round wait for the next one', async () => {
    const { index, rounds } = make()
    const first = index.end(partition(0))
    await turn()
    const later = [index.end(partition(0)), index.end(partition(1))]
    await turn()
    expect(rounds, 'one round at a time').to.have.length(1)
    rounds[0]?.answer(5)
    expect(await first).to.equal(5)
    await turn()
    expect(rounds.map(({ partitions }) => partitions)).to.deep.equal([[0], [0, 1]])
    rounds[1]?.answer(9)
    expect(await Promise.all(later), 'never the end of the round that ran when they came').to.deep.equal([
      9, 9,
    ])
  })

  it('fails the reads of a failed round only, and goes on', async () => {
    const { index, rounds } = make()
    const failing = index.end(partition(0)).catch((caught: unknown) => TidemarkError.from(caught).reason)
    await turn()
    const next = index.end(partition(0))
    rounds[0]?.fail(new TidemarkError('LOG_UNAVAILABLE', 'no broker answers'))
    expect(await failing).to.equal('LOG_UNAVAILABLE')
    await turn()
    rounds[1]?.answer(3)
    expect(await next).to.equal(3)
    const after = index.end(partition(4))
    await turn()
    rounds[2]?.answer(4)
    expect(await after).to.equal(4)
  })
})
