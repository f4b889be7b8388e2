/** What a lane does with leaders that are slow, dead or sick, on brokers that answer as the test says. */
import { expect } from 'chai'
import { must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { APPEND_RETRY_MS } from '../../core/limits.ts'
import { NO_HEADERS, partition } from '../../core/types.ts'
import type { Append } from '../log.ts'
import { createAppendLane, type AppendLane } from './append-lane.ts'
import type { Channel, Transport } from './client.ts'
import type { ClusterView } from './cluster-view.ts'
import type { ApiCall, ProduceAnswer } from './protocol.ts'
import { WireReader } from './wire.ts'

const NOT_ENOUGH_REPLICAS = 19
const RECORD_LIST_TOO_LARGE = 18
const OUT_OF_ORDER = 45
const NOT_AUTHORIZED = 29
const COORDINATOR_LOADS = 14
const TOPIC = 't'

/** One part of a produce request, as a broker reads it. */
interface Sent {
  readonly broker: number
  readonly partition: number
  readonly producer: number
  readonly sequence: number
  readonly records: number
}
type Answer = (sent: Sent) => number | Promise<number>

function partsOf(broker: number, body: Buffer): Sent[] {
  const reader = new WireReader(body)
  reader.tags()
  reader.string()
  reader.int16()
  reader.int32()
  return reader
    .array((topic) => {
      topic.string()
      const parts = topic.array((part) => {
        const number = part.int32()
        const batch = part.bytes()
        part.tags()
        const producer = Number(batch.readBigInt64BE(43))
        const [sequence, records] = [batch.readInt32BE(53), batch.readInt32BE(57)]
        return { broker, partition: number, producer, sequence, records }
      })
      topic.tags()
      return parts
    })
    .flat()
}

/** Brokers 1 to 3; partition n is led by broker 1 + n % 3. */
class Brokers {
  readonly sent: Sent[] = []
  /** Every call of a broker that lives. */
  readonly asked: string[] = []
  /** What each broker answers; without an entry it appends. */
  readonly answers = new Map<number, Answer>()
  /** Who leads a partition now, where it is not the broker from above. */
  readonly moved = new Map<number, number>()
  /** The same once the brokers are asked. */
  readonly successors = new Map<number, number>()
  /** Times that nobody gives out producer ids. */
  loading = 0
  /** Brokers that refuse connections. */
  readonly dead = new Set<number>()
  #producers = 100
  readonly #ends = new Map<number, number>()

  readonly view = {
    clusterId: 'c',
    answers: true,
    brokers: new Map([1, 2, 3].map((nodeId) => [nodeId, { nodeId, host: `broker-${nodeId}`, port: 1 }])),
    leader: (_topic: string, place: number) => ({
      partition: place,
      leader: this.moved.get(place) ?? 1 + (place % 3),
      leaderEpoch: 1,
      replicas: [1, 2, 3],
    }),
    refresh: async () => {
      for (const [place, broker] of this.successors) this.moved.set(place, broker)
    },
  } as unknown as ClusterView

  readonly transport: Transport = {
    channel: ({ host }) => {
      const broker = Number(host.at(-1))
      return {
        call: (call: ApiCall<unknown>) => this.#call(broker, call),
        close: () => undefined,
      } as unknown as Channel
    },
  }

  async #call<T>(broker: number, call: ApiCall<T>): Promise<T> {
    if (this.dead.has(broker))
      throw new TidemarkError('LOG_UNAVAILABLE', `The Kafka broker at broker-${broker}:1 cannot be used.`)
    this.asked.push(`${call.apiName} of ${broker}`)
    if (call.apiName === 'InitProducerId' && this.loading-- > 0)
      return { errorCode: COORDINATOR_LOADS, id: 0, epoch: 0 } as T
    if (call.apiName === 'InitProducerId') return { errorCode: 0, id: this.#producers++, epoch: 0 } as T
    if (call.apiName === 'Metadata') return { brokers: [], topics: [] } as T
    const parts = partsOf(broker, call.body)
    this.sent.push(...parts)
    const answers = parts.map(async (one): Promise<ProduceAnswer> => {
      const errorCode = await (this.answers.get(broker)?.(one) ?? 0)
      const baseOffset = this.#ends.get(one.partition) ?? 0
      if (errorCode === 0) this.#ends.set(one.partition, baseOffset + one.records)
      return { topic: TOPIC, partition: one.partition, errorCode, baseOffset, message: null }
    })
    return (await Promise.all(answers)) as T
  }
}

const part = (place: number, records = 1): Append => ({
  topic: TOPIC,
  partition: partition(place),
  records: Array.from({ length: records }, () => ({
    key: Buffer.from('k'),
    value: Buffer.from('v'),
    headers: NO_HEADERS,
  })),
})

describe('an append lane', () => {
  let brokers: Brokers
  let lane: AppendLane
  let bytesMax: number
  /** What was told, in order: `<partition>: <offset or reason>` and `free`. */
  let told: string[]
  beforeEach(() => {
    brokers = new Brokers()
    bytesMax = 1 << 20
    lane = createAppendLane(brokers.transport, brokers.view, async () => bytesMax)
    told = []
  })
  afterEach(() => {
    lane.close()
  })

  const append = (...parts: readonly Append[]): Promise<void> =>
    lane.append(parts, {
      part(index, result) {
        const { partition: place } = must(parts[index], 'the part')
        told.push(`${place}: ${result instanceof TidemarkError ? result.reason : result.firstOffset}`)
      },
      free() {
        if (told.at(-1) !== 'free') told.push('free')
      },
    })
  const metadata = ['Metadata of 1', 'Metadata of 2', 'Metadata of 3']
  const until = async (line: string): Promise<void> => {
    while (!told.includes(line)) await new Promise((resolve) => setImmediate(resolve))
  }

  it('is connected and has its producer before the first append, once it is warm', async () => {
    await lane.warm()
    expect([...brokers.asked].sort()).to.deep.equal(['InitProducerId of 1', ...metadata])
    await append(part(0))
    expect(brokers.asked.slice(4)).to.deep.equal(['Produce of 1'])
    expect(told).to.deep.equal(['0: 0', 'free'])
  })

  it('warms up as far as brokers answer, and the first append does the rest', async () => {
    for (const broker of [1, 2, 3]) brokers.dead.add(broker)
    await lane.warm()
    brokers.dead.clear()
    await append(part(0))
    expect(told).to.deep.equal(['0: 0', 'free'])
  })

  it('tells each part, then that it is free, and counts the sequence of each partition', async () => {
    await append(part(0, 2), part(1), part(3))
    expect(told.filter((line) => line !== 'free')).to.have.members(['0: 0', '1: 0', '3: 0'])
    expect(told).to.include('free')
    await append(part(0, 3))
    await append(part(0), part(1))
    expect(
      brokers.sent.map(({ partition: place, sequence, producer }) => [place, sequence, producer]),
    ).to.have.deep.members([
      [0, 0, 100],
      [3, 0, 100],
      [1, 0, 100],
      [0, 2, 100],
      [0, 5, 100],
      [1, 1, 100],
    ])
  })

  it('is free for the partitions of other leaders while one leader hangs', async () => {
    let answer: (code: number) => void = () => undefined
    brokers.answers.set(2, () => new Promise((resolve) => (answer = resolve)))
    const hanging = append(part(0), part(1))
    await until('free')
    expect(told).to.deep.equal(['0: 0', 'free'])
    await append(part(0))
    await append(part(2), part(0))
    expect(told).to.include.members(['0: 1', '2: 0', '0: 2']).and.not.include('1: 0')
    answer(0)
    await hanging
    expect(told).to.include('1: 0')
  })

  it('gives what a leader holds on to to the one that replaced it, at once, with the same sequence', async () => {
    await append(part(1))
    brokers.answers.set(2, () => new Promise(() => undefined))
    const began = performance.now()
    const hanging = append(part(1))
    while (brokers.sent.length < 2) await new Promise((resolve) => setImmediate(resolve))
    // Nobody tells: it asks.
    brokers.successors.set(1, 3)
    await hanging
    expect(performance.now() - began).to.be.lessThan(2000)
    expect(told).to.include('1: 1')
    const sent = brokers.sent.filter((one) => one.partition === 1).slice(1)
    expect(sent.map(({ broker, sequence }) => [broker, sequence])).to.deep.equal([
      [2, 1],
      [3, 1],
    ])
    expect(new Set(sent.map(({ producer }) => producer)).size).to.equal(1)
  })

  it('rests between attempts while it gets no producer id', async () => {
    brokers.loading = 9
    const began = performance.now()
    await append(part(0))
    expect(told).to.include('0: 0')
    expect(performance.now() - began).to.be.greaterThan(0.9 * (1 + 4 + 16) * APPEND_RETRY_MS)
  })

  it('is free before long also when it has asked no other leader than the one that hangs', async () => {
    let answer: (code: number) => void = () => undefined
    brokers.answers.set(2, () => new Promise((resolve) => (answer = resolve)))
    const hanging = append(part(1))
    await until('free')
    await append(part(0))
    expect(told).to.include('0: 0').and.not.include('1: 0')
    answer(0)
    await hanging
  })

  it('takes a second part of a partition only when the first is settled', async () => {
    let answer: (code: number) => void = () => undefined
    brokers.answers.set(1, () => new Promise((resolve) => (answer = resolve)))
    const first = append(part(0))
    const failure = await append(part(0)).then(
      () => 'none',
      (caught: unknown) => String(caught),
    )
    expect(failure).to.include('one part on its way')
    while (brokers.sent.length === 0) await new Promise((resolve) => setImmediate(resolve))
    answer(0)
    await first
    brokers.answers.clear()
    await append(part(0))
  })

  it('sends a part that failed again with the same producer and sequence; the others go on', async () => {
    let faults = 2
    brokers.answers.set(1, ({ partition: place }) => (place === 0 && faults-- > 0 ? NOT_ENOUGH_REPLICAS : 0))
    await Promise.all([append(part(0), part(3)), until('3: 0').then(() => append(part(3)))])
    expect(told.filter((line) => line !== 'free')).to.deep.equal(['3: 0', '3: 1', '0: 0'])
    const own = brokers.sent.filter(({ partition: place }) => place === 0)
    expect(own.map(({ producer, sequence }) => [producer, sequence])).to.deep.equal([
      [100, 0],
      [100, 0],
      [100, 0],
    ])
  })

  it('gives up a part after its tries, and never uses its sequence for another', async () => {
    brokers.dead.add(2)
    await append(part(1), part(0))
    expect(told[0]).to.equal('0: 0')
    expect(told.at(-1)).to.satisfy((line: string) => line === 'free' || line === '1: LOG_UNAVAILABLE')
    expect(told).to.include('1: LOG_UNAVAILABLE')
    brokers.dead.clear()
    await append(part(1), part(0))
    const last = brokers.sent.slice(-2)
    expect(last.map(({ producer, sequence }) => [producer, sequence])).to.deep.equal([
      [101, 0],
      [101, 0],
    ])
  })

  it('gets an id from any broker that lives', async () => {
    brokers.dead.add(1)
    await append(part(1))
    expect(told[0]).to.equal('1: 0')
  })

  it('takes a new producer for a partition of which the broker has forgotten the old one', async () => {
    await append(part(0), part(1))
    let forgotten = true
    brokers.answers.set(1, () => {
      const code = forgotten ? OUT_OF_ORDER : 0
      forgotten = false
      return code
    })
    await append(part(0))
    const own = brokers.sent.filter(({ partition: place }) => place === 0)
    expect(own.map(({ producer, sequence }) => [producer, sequence])).to.deep.equal([
      [100, 0],
      [100, 1],
      [101, 0],
    ])
  })

  it('refuses by itself what is too large or not allowed, without sending it again', async () => {
    brokers.answers.set(1, () => RECORD_LIST_TOO_LARGE)
    brokers.answers.set(2, () => NOT_AUTHORIZED)
    await append(part(0), part(1), part(2))
    expect(told.filter((line) => line !== 'free')).to.have.members([
      '0: VALUE_TOO_LARGE',
      '1: LOG_UNAVAILABLE',
      '2: 0',
    ])
    expect(brokers.sent).to.have.length(3)
    told = []
    bytesMax = 100
    await append(part(2, 50), part(5))
    expect(told.filter((line) => line !== 'free')).to.deep.equal(['2: VALUE_TOO_LARGE', '5: 0'])
    expect(brokers.sent).to.have.length(4)
  })

  it('settles all when it is closed', async () => {
    brokers.dead.add(1)
    const appending = append(part(0))
    await until('free')
    lane.close()
    await appending
    expect(told).to.include('0: LOG_UNAVAILABLE')
  })
})
