/** What other producers may write into a topic: compressed batches, transactions, odd headers. */
import { expect } from 'chai'
import { CompressionTypes, Kafka, logLevel, Partitioners } from 'kafkajs'
import { startStranger, type Stranger, type StrangerRecord } from '../../../infra/kafka/java-producer.ts'
import { freshName, withJava, withKafka } from '../../../infra/kafka/with-kafka.ts'
import { TidemarkError } from '../../core/errors.ts'
import { offset, partition, type LogRecord } from '../../core/types.ts'
import type { Log, PartitionReader, TopicDescription } from '../log.ts'
import { openKafkaLog } from './log.ts'

const p0 = partition(0)

describe('strangers in the log on Kafka', function () {
  this.timeout(60_000)
  withJava()
  const kafka = withKafka()
  let log: Log
  let stranger: Stranger
  let topic: TopicDescription
  let reader: PartitionReader

  before(async () => {
    stranger = await startStranger(kafka.bootstrap)
    log = await openKafkaLog({
      brokers: kafka.bootstrap,
      clientId: 'test',
      dev: true,
      telemetry: { trouble: () => undefined, recovered: () => undefined },
    })
  })
  after(async () => {
    await stranger.close()
    await log.close()
  })
  beforeEach(async () => {
    topic = await log.createTopic(freshName('strange'), {
      partitions: 1,
      valueBytesMax: 1 << 20,
      replication: 1,
    })
    reader = log.read(topic.topic, p0, offset(0), topic)
  })
  afterEach(() => {
    reader.close()
  })

  const record = (value: string, more: Partial<StrangerRecord> = {}): StrangerRecord => ({
    topic: topic.topic,
    key: 'k',
    value,
    ...more,
  })

  const readTo = async (end: number, from = reader): Promise<LogRecord[]> => {
    const records: LogRecord[] = []
    for (let position = 0; position < end;) {
      const batch = await from.next()
      records.push(...batch.records)
      position = batch.nextOffset
    }
    return records
  }

  const values = (records: readonly LogRecord[]): string[] =>
    records.map(({ value }) => Buffer.from(value ?? []).toString())

  for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    it(`reads what is compressed with ${compression}`, async () => {
      // Sent at once, so that the producer makes batches of many records; the last is longer than a block of any codec.
      const line = (n: number): string => `${n}:${'tide '.repeat(n)}${Math.sqrt(n)}`
      const sent = Array.from({ length: 300 }, (_, n) => line(n))
      sent.push(sent.join(';'))
      await Promise.all(sent.map((value) => stranger.send(record(value, { compression }))))
      expect(values(await readTo(sent.length))).to.deep.equal(sent)
    })
  }

  it('shows committed transactions, drops aborted ones, and steps over both ends', async () => {
    await stranger.begin('commit')
    await stranger.sendIn('commit', record('c1'))
    await stranger.sendIn('commit', record('c2'))
    await stranger.commit('commit')
    await stranger.begin('abort')
    await stranger.sendIn('abort', record('a1'))
    await stranger.abort('abort')
    await stranger.send(record('plain'))
    // c1 c2 commit a1 abort plain
    const records = await readTo(6)
    expect(values(records)).to.deep.equal(['c1', 'c2', 'plain'])
    expect(records.map((one) => one.offset)).to.deep.equal([0, 1, 5])
  })

  it('reaches the end of a log that ends with an aborted transaction', async () => {
    await stranger.send(record('plain'))
    await stranger.begin('tail')
    await stranger.sendIn('tail', record('never'))
    await stranger.abort('tail')
    expect((await log.verifiedEnds(topic.topic, [p0])).get(p0)).to.equal(3)
    expect(values(await readTo(3))).to.deep.equal(['plain'])
  })

  it('keeps interleaved aborted transactions of two producers apart', async () => {
    // The one that begins first ends last: the broker lists them in the order of their ends.
    for (const id of ['outer', 'inner', 'good']) await stranger.begin(id)
    await stranger.sendIn('outer', record('outer 1'))
    await stranger.sendIn('inner', record('inner 1'))
    await stranger.sendIn('good', record('good 1'))
    await stranger.sendIn('outer', record('outer 2'))
    await stranger.sendIn('inner', record('inner 2'))
    await stranger.abort('inner')
    await stranger.sendIn('outer', record('outer 3'))
    await stranger.sendIn('good', record('good 2'))
    await stranger.begin('inner')
    await stranger.sendIn('inner', record('inner 3'))
    await stranger.abort('outer')
    await stranger.commit('good')
    await stranger.commit('inner')
    await stranger.send(record('last'))
    const end = (await log.offsets(topic.topic, p0)).end
    expect(values(await readTo(end))).to.deep.equal(['good 1', 'good 2', 'inner 3', 'last'])
    // The same from the middle of the transactions, where their beginnings are not part of the fetch.
    const late = log.read(topic.topic, p0, offset(4), topic)
    expect(values(await readTo(end, late))).to.deep.equal(['good 2', 'inner 3', 'last'])
    late.close()
  })

  it('holds back what follows an open transaction, yet counts it as acknowledged', async () => {
    await stranger.send(record('before'))
    await stranger.begin('open')
    await stranger.sendIn('open', record('inside'))
    await stranger.send(record('after'))
    expect(values(await readTo(1))).to.deep.equal(['before'])
    const held = await reader.next()
    expect(held.records).to.deep.equal([])
    expect(held.nextOffset).to.equal(1)
    expect(held.logEnd).to.equal(3)
    // A linearizable read has to cover 'after', which is acknowledged: it waits for the transaction to end.
    expect((await log.verifiedEnds(topic.topic, [p0])).get(p0)).to.equal(3)
    await stranger.commit('open')
    const rest: LogRecord[] = []
    while (rest.length < 2) rest.push(...(await reader.next()).records)
    expect(values(rest)).to.deep.equal(['inside', 'after'])
  })

  it('reads null keys, null headers and names that stand twice', async () => {
    await stranger.send(
      record('v', {
        key: null,
        headers: [
          ['tm-op', 'put'],
          ['twice', 'first'],
          ['twice', 'last'],
          ['nothing', null],
        ],
      }),
    )
    const [got] = await readTo(1)
    expect(got?.key).to.equal(null)
    expect(
      [...(got?.headers ?? [])].map(([name, value]) => [name, Buffer.from(value).toString()]),
    ).to.deep.equal([
      ['tm-op', 'put'],
      ['twice', 'last'],
      ['nothing', ''],
    ])
  })

  it('turns a batch that decompresses to too much into records without key, and goes on', async () => {
    // 40 records of 1 MB of zeros in one batch of 40 kB, which the broker takes: over the 32 MiB that a batch may have.
    const producer = new Kafka({ brokers: kafka.bootstrap, logLevel: logLevel.NOTHING }).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
    })
    await producer.connect()
    const messages = Array.from({ length: 40 }, () => ({
      key: 'k',
      value: Buffer.alloc(1_000_000),
      partition: 0,
    }))
    await producer.send({ topic: topic.topic, acks: -1, compression: CompressionTypes.GZIP, messages })
    await producer.disconnect()
    await stranger.send(record('last'))
    const records = await readTo(41)
    expect(records.map((one) => one.offset)).to.deep.equal(Array.from({ length: 41 }, (_, n) => n))
    for (const one of records.slice(0, 40)) expect([one.key, one.value]).to.deep.equal([null, null])
    expect(values(records.slice(40))).to.deep.equal(['last'])
  })

  it('gives the time of the broker, not that of the producer', async () => {
    const before = Date.now()
    await stranger.send(record('v'))
    const [got] = await readTo(1)
    expect(got?.time).to.be.within(before - 5000, Date.now() + 5000)
  })

  it('fails as a Tidemark error after close', async () => {
    reader.close()
    const failure: unknown = await reader.next().catch((caught: unknown) => caught)
    expect(failure).to.be.instanceOf(TidemarkError)
  })
})
