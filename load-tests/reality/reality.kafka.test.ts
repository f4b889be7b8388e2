/** The simulated log, store and node against the real ones: a few seeds of each; `npm run sim:reality` has more. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { withKafka } from '../../infra/kafka/with-kafka.ts'
import { TidemarkError } from '../../streams/core/errors.ts'
import { Prng } from '../../streams/core/testing/prng.ts'
import { NO_HEADERS, offset, partition, type NewRecord } from '../../streams/core/types.ts'
import { DIFFERENCES } from './differences.ts'
import { compareAt } from './levels.ts'
import { openRealKafka, simulatedLogSide, type RealKafka } from './log-sides.ts'
import type { LogSide } from './log-trace.ts'
import { simulatedNodeSide } from './node-sides.ts'
import { rocksStoreSide, simulatedStoreSide } from './store-sides.ts'
import { traceStore, type StoreCall } from './store-trace.ts'

const SETTINGS = { partitions: 1, valueBytesMax: 4096, replication: 1 }
const p0 = partition(0)

const reasonOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (caught: unknown) => TidemarkError.from(caught).reason,
  )

const record = (bytes: number): NewRecord => ({
  key: Buffer.from('k'),
  value: Buffer.alloc(bytes, 1),
  headers: NO_HEADERS,
})

describe('what is simulated and what is real', function () {
  this.timeout(120_000)
  const shared = withKafka()
  let kafka: RealKafka

  before(async () => {
    kafka = await openRealKafka(shared.bootstrap)
  })
  after(() => kafka.close())

  for (const [level, seeds] of [
    ['log', 5],
    ['store', 5],
    ['node', 2],
  ] as const)
    it(`come to the same outcomes: ${level}`, async () => {
      for (let seed = 1; seed <= seeds; seed++) {
        const { difference, calls } = await compareAt[level](seed, kafka)
        expect(difference, `seed ${seed}`).to.equal(undefined)
        expect(calls).to.be.at.least(1)
      }
    })

  describe('part where it is listed:', () => {
    const shown = new Set<string>()
    const differs = (name: string, show: () => Promise<void>): void => {
      shown.add(name)
      it(name, show)
    }
    const both = async (
      ask: (side: LogSide) => Promise<string>,
    ): Promise<{ readonly simulated: string; readonly real: string }> => {
      const told = async (side: LogSide): Promise<string> => {
        await side.settle(side.log.createTopic(side.topic, SETTINGS))
        return ask(side)
      }
      return { simulated: await told(simulatedLogSide(1)), real: await told(kafka.side()) }
    }

    differs('no-topic', async () => {
      const append = (side: LogSide): Promise<string> => {
        const part = { topic: `${side.topic}-nowhere`, partition: p0, records: [record(1)] }
        return reasonOf(side.settle(side.log.append(0, [part])))
      }
      expect(await both(append)).to.deep.equal({ simulated: 'KEYSPACE_NOT_FOUND', real: 'LOG_UNAVAILABLE' })
    })

    differs('deleted-topic', async () => {
      const read = async ({ log, topic, settle }: LogSide): Promise<string> => {
        const reader = log.read(
          topic,
          p0,
          offset(0),
          (await settle(log.describeTopic(topic))) ?? { identity: '', partitions: 1 },
        )
        await settle(reader.next())
        await settle(log.deleteTopic(topic))
        await settle(reader.next()).catch(() => undefined)
        const reason = await reasonOf(settle(reader.next()))
        reader.close()
        return reason
      }
      expect(await both(read)).to.deep.equal({ simulated: 'TOPIC_RECREATED', real: 'none' })
    })

    differs('read-ahead', async () => {
      const read = async ({ log, topic, settle }: LogSide): Promise<string> => {
        const append = async (): Promise<unknown> =>
          settle(log.append(0, [{ topic, partition: p0, records: [record(1)] }]))
        await append()
        const reader = log.read(
          topic,
          p0,
          offset(0),
          (await settle(log.describeTopic(topic))) ?? { identity: '', partitions: 1 },
        )
        await settle(reader.next())
        await append()
        // The real one fetches it by itself.
        for (let looks = 0; looks < 5; looks++) await settle(log.offsets(topic, p0))
        await settle(log.deleteTopic(topic))
        await settle(log.createTopic(topic, SETTINGS))
        let ahead = 0
        for (;;) {
          const batch = await settle(reader.next()).catch(
            (caught: unknown) => TidemarkError.from(caught).reason,
          )
          if (typeof batch === 'string') return `${ahead > 1 ? 'more' : 'at most what stood'}, ${batch}`
          ahead += batch.records.length
        }
      }
      const wanted = 'at most what stood, TOPIC_RECREATED'
      expect(await both(read)).to.deep.equal({ simulated: wanted, real: wanted })
    })

    differs('size-bound', async () => {
      const append = ({ log, topic, settle }: LogSide): Promise<string> =>
        reasonOf(settle(log.append(0, [{ topic, partition: p0, records: [record(300 << 10)] }])))
      expect(await both(append)).to.deep.equal({ simulated: 'VALUE_TOO_LARGE', real: 'none' })
    })

    differs('empty-cursor', async () => {
      const real = await rocksStoreSide(new Prng(1))
      const sides = { simulated: simulatedStoreSide(), real }
      const told = Object.entries(sides).map(([name, { store }]) => {
        const cursor = store.cursor({ gte: Buffer.from('b'), lt: Buffer.from('a') })
        cursor.close()
        try {
          return `${name}: ${cursor.next(1).length} rows`
        } catch (caught) {
          return `${name}: ${TidemarkError.from(caught).reason}`
        }
      })
      await real.close()
      expect(told).to.deep.equal(['simulated: NODE_DRAINING', 'real: 0 rows'])
    })

    differs('power-loss', async () => {
      const write: StoreCall = { kind: 'write', changes: [['61', '62']], sync: false }
      const calls = [
        { ...write, sync: true },
        ...Array.from({ length: 9 }, () => write),
        { kind: 'power-loss' } as const,
      ]
      const left = new Set<number>()
      for (let seed = 1; seed <= 12; seed++) {
        const side = await rocksStoreSide(new Prng(seed))
        const real = await traceStore(side, calls)
        await side.close()
        for (const one of real.left) left.add(one)
        expect((await traceStore(simulatedStoreSide(), calls, real.left)).lines).to.deep.equal(real.lines)
      }
      // Some end is lost, and never what was synced.
      expect(left.size).to.be.at.least(3)
      expect(Math.min(...left)).to.be.at.least(1)
    })

    differs('logged-outcome', async () => {
      const told = new Set<boolean>()
      for (let seed = 1; seed <= 40 && told.size < 2; seed++) told.add(await hearsOfOutcome(seed))
      expect([...told].sort()).to.deep.equal([false, true])
    })

    differs('staleness', async () => {
      const seen = new Set<string>()
      for (let seed = 1; seed <= 40 && seen.size < 2; seed++) seen.add(await eventually(seed))
      expect([...seen].sort()).to.deep.equal(['new', 'old'])
    })

    it('all of them, in the README too', () => {
      expect([...shown].sort()).to.deep.equal(DIFFERENCES.map(({ name }) => name).sort())
      const readme = readFileSync(join(import.meta.dirname, '../../../load-tests/reality/README.md'), 'utf8')
      for (const { name } of DIFFERENCES) expect(readme).to.include(`| \`${name}\``)
    })
  })
})

const key = Buffer.from('a')

async function onSimulatedNode<T>(
  seed: number,
  ask: (
    side: ReturnType<typeof simulatedNodeSide>,
    node: Awaited<ReturnType<ReturnType<typeof simulatedNodeSide>['open']>>,
  ) => Promise<T>,
): Promise<T> {
  const side = simulatedNodeSide(seed)
  const node = await side.settle(side.open(new Prng(seed)))
  node.join('127.0.0.1:7400')
  while (!node.ready) await side.rest()
  try {
    return await ask(side, node)
  } finally {
    await side.settle(node.close(0))
  }
}

const hearsOfOutcome = (seed: number): Promise<boolean> =>
  onSimulatedNode(seed, async (side, node) => {
    const write = node
      .keyspace('default')
      .write({ kind: 'put', key, value: key }, { durability: 'logged', deadline: 5000 })
    return (await side.settle(write)).outcome !== undefined
  })

const eventually = (seed: number): Promise<string> =>
  onSimulatedNode(seed, async (side, node) => {
    const keys = node.keyspace('default')
    const call = {
      kind: 'foreign',
      partition: keys.partitionOf(key),
      key: 'a',
      value: 'new',
      headers: {},
    } as const
    await side.settle(side.produce(call))
    if (seed % 2 === 0) await side.rest()
    const found = await side.settle(keys.get(key, { consistency: 'eventual', deadline: 5000 }))
    return found.row === undefined ? 'old' : 'new'
  })
