import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { NO_HEADERS, type NewRecord } from '../core/types.ts'
import { appendTime, BrokerPartition } from './broker-partition.ts'

const record = (key: string): NewRecord => ({ key: Buffer.from(key), value: null, headers: NO_HEADERS })
const keys = (partition: BrokerPartition): string =>
  partition.records.map(({ key }) => Buffer.from(key ?? []).toString()).join('')

describe('a simulated partition', () => {
  const now = appendTime(1)
  let partition: BrokerPartition

  const append = (text: string): string[] => {
    const told: string[] = []
    const first = partition.append(Array.from(text, record), now)
    if (first === undefined) return ['refused']
    partition.whenKept(first + text.length, (kept) => told.push(kept ? 'kept' : 'dropped'))
    return told
  }

  beforeEach(() => {
    partition = new BrokerPartition([0, 1, 2], 2)
  })

  it('acknowledges and shows what all in-sync brokers have', () => {
    const told = append('ab')
    partition.replicate(1)
    expect([told.length, partition.end]).to.deep.equal([0, 0])
    partition.replicate(2)
    expect([told, partition.end, keys(partition)]).to.deep.equal([['kept'], 2, 'ab'])
  })

  it('goes on without a broker that does not follow, refuses when too few are left', () => {
    const told = append('a')
    partition.replicate(1)
    partition.shrink(2)
    expect(told).to.deep.equal(['kept'])
    partition.shrink(1)
    expect(append('b')).to.deep.equal(['refused'])
  })

  it('drops with a new leader what that one does not have, and nothing that was acknowledged', () => {
    append('a')
    partition.replicate(1)
    partition.replicate(2)
    const told = append('bc')
    partition.replicate(1)
    partition.loseLeader()
    expect(partition.elect(2)).to.equal(true)
    expect(told).to.deep.equal(['dropped'])
    expect([keys(partition), partition.epoch, partition.losses]).to.deep.equal(['a', 1, []])
  })

  it('loses acknowledged records in an unclean election, and says which', () => {
    partition.shrink(2)
    append('ab')
    partition.replicate(1)
    expect(partition.end).to.equal(2)
    partition.loseLeader()
    expect(partition.elect(2)).to.equal(false)
    partition.elect(2, true)
    expect([partition.end, partition.losses]).to.deep.equal([0, [{ from: 0, to: 2 }]])
  })

  it('finds out a reader that has read what is not there any more', () => {
    partition.shrink(2)
    append('ab')
    partition.replicate(1)
    expect(partition.truncatedFor(2, 0)).to.equal(false)
    partition.elect(2, true)
    expect(partition.truncatedFor(2, 0)).to.equal(true)
    partition.replicate(1)
    append('cde')
    expect(partition.truncatedFor(2, 0)).to.equal(true)
    expect(partition.truncatedFor(2, 1)).to.equal(false)
    expect(partition.truncatedFor(0, -1)).to.equal(false)
  })

  it('never loses what it acknowledged, whatever happens but an unclean election (property)', () => {
    for (let seed = 0; seed < 100; seed++) {
      const random = new Prng(seed)
      partition = new BrokerPartition([0, 1, 2], 2)
      const acknowledged: string[] = []
      for (let step = 0; step < 200; step++) {
        const broker = random.below(3)
        const name = String.fromCharCode(97 + random.below(26))
        switch (random.below(5)) {
          case 0:
          case 1: {
            const first = partition.append([record(name)], now)
            if (first !== undefined)
              partition.whenKept(first + 1, (kept) => {
                if (kept) acknowledged[first] = name
              })
            break
          }
          case 2:
            partition.replicate(broker)
            break
          case 3:
            partition.shrink(broker)
            break
          default:
            partition.loseLeader()
            partition.elect(broker)
        }
        const standing = keys(partition)
        acknowledged.forEach((one, at) => {
          expect(standing[at], `seed ${seed}, step ${step}, offset ${at}`).to.equal(one)
        })
      }
      expect(partition.losses).to.deep.equal([])
    }
  })
})
