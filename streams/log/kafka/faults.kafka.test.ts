/** Brokers that are down, go down, lose an answer, lose records, change places: on brokers of this suite's own. */
import { truncateSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { freePorts } from '../../../infra/kafka/ports.ts'
import { startKafka, type KafkaCluster, type KafkaOptions } from '../../../infra/kafka/start.ts'
import { freshName, withJava } from '../../../infra/kafka/with-kafka.ts'
import { must } from '../../core/assert.ts'
import { TidemarkError } from '../../core/errors.ts'
import { NO_HEADERS, offset, partition, type NewRecord, type Partition } from '../../core/types.ts'
import type { Log, LogBatch, PartitionReader, TopicDescription } from '../log.ts'
import { openKafkaLog, type KafkaLogOptions } from './log.ts'
import { startProxy, type Proxy } from './proxy.fake.ts'
import { walkBatches } from './record-batch.ts'

const p0 = partition(0)
const SETTINGS = { partitions: 1, valueBytesMax: 1 << 20, replication: 3 }

const record = (value: string): NewRecord => ({
  key: Buffer.from('k'),
  value: Buffer.from(value),
  headers: NO_HEADERS,
})

const valuesOf = (batch: LogBatch): string[] =>
  batch.records.map(({ value }) => Buffer.from(value ?? []).toString())

async function readTo(reader: PartitionReader, from: number, end: number): Promise<string[]> {
  const values: string[] = []
  for (let position = from; position < end;) {
    const batch = await reader.next()
    values.push(...valuesOf(batch))
    position = batch.nextOffset
  }
  return values
}

async function failureOf(work: () => Promise<unknown>): Promise<TidemarkError> {
  for (;;) {
    try {
      await work()
    } catch (caught) {
      if (caught instanceof TidemarkError) return caught
      throw caught
    }
  }
}

/** Milliseconds that the controller waits at least for a broker that is silent before it names other leaders. */
const TAKEN_OVER_MS = 3000

describe('faults under the log on Kafka', function () {
  this.timeout(120_000)
  withJava()
  const running = new Set<KafkaCluster>()
  const logs = new Set<Log>()
  const proxies = new Set<Proxy>()
  let told: string[]

  const start = async (options?: KafkaOptions): Promise<KafkaCluster> => {
    const cluster = await startKafka(options)
    running.add(cluster)
    return cluster
  }

  const open = async (brokers: readonly string[], more: Partial<KafkaLogOptions> = {}): Promise<Log> => {
    const telemetry = {
      trouble: (sentence: string) => told.push(`trouble: ${sentence}`),
      recovered: (sentence: string) => told.push(`recovered: ${sentence}`),
    }
    const log = await openKafkaLog({ brokers, clientId: 'test', dev: true, telemetry, ...more })
    logs.add(log)
    return log
  }

  const append = async (log: Log, topic: TopicDescription, ...values: string[]): Promise<number> => {
    const [appended] = await log.append(0, [
      { topic: topic.topic, partition: p0, records: values.map(record) },
    ])
    return must(appended, 'the result').firstOffset
  }

  beforeEach(() => {
    told = []
  })
  afterEach(async () => {
    for (const log of logs) await log.close()
    for (const proxy of proxies) proxy.close()
    for (const cluster of running) await cluster.stop()
    logs.clear()
    proxies.clear()
    running.clear()
  })

  it('waits for a broker that is down at the start, and says so once', async () => {
    const [port] = await freePorts(1)
    const brokers = [`127.0.0.1:${must(port, 'a port')}`]
    const opening = open(brokers)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await start({ port: must(port, 'a port') })
    const log = await opening
    expect(log.healthy).to.equal(true)
    expect(told).to.have.length(2)
    expect(told[0]).to.match(/^trouble: No Kafka broker answers at 127\.0\.0\.1:\d+; trying until one does\./)
    expect(told[0]).to.not.include('\n')
    expect(told[1]).to.match(/^recovered: The trouble with Kafka is over after \d+\.\d s\.$/)
  })

  it('gives up waiting when it is told to', async () => {
    const [port] = await freePorts(1)
    const abort = new AbortController()
    const opening = failureOf(() => open([`127.0.0.1:${must(port, 'a port')}`], { signal: abort.signal }))
    abort.abort()
    expect((await opening).reason).to.equal('CANCELLED')
  })

  it('refuses brokers that are not written as host:port', async () => {
    expect((await failureOf(() => open(['localhost']))).reason).to.equal('CONFIG_INVALID')
  })

  it('fails appends and proofs while the broker is gone, and reads on when it is back', async () => {
    const cluster = await start()
    const broker = must(cluster.brokers[0], 'the broker')
    const log = await open(cluster.bootstrap)
    const topic = await log.createTopic(freshName('gone'), SETTINGS)
    await append(log, topic, 'a', 'b')
    const reader = log.read(topic.topic, p0, offset(0), topic)
    expect(await readTo(reader, 0, 2)).to.deep.equal(['a', 'b'])

    await broker.stop('SIGKILL')
    const failure = await failureOf(() => append(log, topic, 'lost'))
    expect(failure.reason).to.equal('LOG_UNAVAILABLE')
    expect(failure.retriable).to.equal(true)
    expect((await failureOf(() => log.verifiedEnds(topic.topic, [p0]))).reason).to.equal('LOG_UNAVAILABLE')
    const idle = await reader.next()
    expect(idle.records).to.deep.equal([])
    expect(log.healthy).to.equal(false)

    await broker.start()
    const at = await append(log, topic, 'c')
    expect(at).to.equal(2)
    expect(await readTo(reader, 2, 3)).to.deep.equal(['c'])
    expect((await log.verifiedEnds(topic.topic, [p0])).get(p0)).to.equal(3)
    expect(log.healthy).to.equal(true)
    expect(told.filter((line) => line.startsWith('trouble'))).to.have.length(1)
    expect(told.filter((line) => line.startsWith('recovered'))).to.have.length(1)
  })

  /** One broker whose clients come through a proxy, and a second way around it. */
  const startBehindProxy = async (): Promise<{ cluster: KafkaCluster; proxy: Proxy; around: string[] }> => {
    const [port = 0, direct = 0, controller = 0] = await freePorts(3)
    const proxy = await startProxy(() => port)
    proxies.add(proxy)
    const cluster = await start({
      port,
      settings: {
        listeners: `PLAINTEXT://127.0.0.1:${port},DIRECT://127.0.0.1:${direct},CONTROLLER://127.0.0.1:${controller}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${proxy.port},DIRECT://127.0.0.1:${direct}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'inter.broker.listener.name': 'DIRECT',
        'controller.quorum.voters': `1@127.0.0.1:${controller}`,
      },
    })
    return { cluster, proxy, around: [`127.0.0.1:${direct}`] }
  }

  it('logs in with a password, and refuses to start with a wrong one', async () => {
    const [port = 0, direct = 0, controller = 0] = await freePorts(3)
    const jaas =
      'org.apache.kafka.common.security.plain.PlainLoginModule required username="tide" password="mark" user_tide="mark";'
    await start({
      port,
      settings: {
        listeners: `PLAINTEXT://127.0.0.1:${port},SAFE://127.0.0.1:${direct},CONTROLLER://127.0.0.1:${controller}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},SAFE://127.0.0.1:${direct}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,SAFE:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
        'controller.quorum.voters': `1@127.0.0.1:${controller}`,
        'sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.safe.plain.sasl.jaas.config': jaas,
      },
    })
    const brokers = [`127.0.0.1:${direct}`]
    const log = await open(brokers, { sasl: { mechanism: 'plain', username: 'tide', password: 'mark' } })
    const topic = await log.createTopic(freshName('safe'), SETTINGS)
    expect(await append(log, topic, 'a')).to.equal(0)
    const reader = log.read(topic.topic, p0, offset(0), topic)
    expect(await readTo(reader, 0, 1)).to.deep.equal(['a'])
    expect((await log.verifiedEnds(topic.topic, [p0])).get(p0)).to.equal(1)
    const sasl = { mechanism: 'plain', username: 'tide', password: 'wrong' } as const
    const failure = await failureOf(() => open(brokers, { sasl }))
    expect(failure.reason).to.equal('CONFIG_INVALID')
    expect(failure.message).to.include('refuses the credentials').and.not.include('wrong')
  })

  it('appends once when the answer to an append is lost', async () => {
    const { cluster, proxy } = await startBehindProxy()
    const log = await open(cluster.bootstrap)
    const topic = await log.createTopic(freshName('answer'), SETTINGS)
    await append(log, topic, 'a')
    for (let round = 0; round < 3; round++) {
      const lost = proxy.loseNextProduceAnswer()
      expect(await append(log, topic, `b${round}`, `c${round}`)).to.equal(1 + 2 * round)
      await lost
    }
    const reader = log.read(topic.topic, p0, offset(0), topic)
    expect(await readTo(reader, 0, 7)).to.deep.equal(['a', 'b0', 'c0', 'b1', 'c1', 'b2', 'c2'])
    expect((await log.offsets(topic.topic, p0)).end).to.equal(7)
  })

  /** Kills the broker and cuts its log off after the batch that holds `last`, as the loss of unsynced pages would. */
  const truncate = async (cluster: KafkaCluster, topic: TopicDescription, last: number): Promise<void> => {
    const broker = must(cluster.brokers[0], 'the broker')
    await broker.stop('SIGKILL')
    const file = join(cluster.dataDir, 'broker-1', 'log', `${topic.topic}-0`, '00000000000000000000.log')
    const bytes = await readFile(file)
    let size = 0
    while (walkBatches(bytes.subarray(0, size), 0).nextOffset <= last) size++
    truncateSync(file, size)
    await broker.start()
  }

  it('stops a reader when the log ends before what it has read', async () => {
    const cluster = await start()
    const log = await open(cluster.bootstrap)
    const topic = await log.createTopic(freshName('cut'), SETTINGS)
    for (const value of ['a', 'b', 'c', 'd']) await append(log, topic, value)
    const reader = log.read(topic.topic, p0, offset(0), topic)
    await readTo(reader, 0, 4)
    await truncate(cluster, topic, 1)
    const failure = await failureOf(() => reader.next())
    expect(failure.reason).to.equal('LOG_TRUNCATED')
    expect(failure.message).to.include('offset')
  })

  it('stops a reader when lost records were replaced by others before it came back', async () => {
    const { cluster, proxy, around } = await startBehindProxy()
    const log = await open(cluster.bootstrap)
    const topic = await log.createTopic(freshName('regrown'), SETTINGS)
    for (const value of ['a', 'b', 'c', 'd']) await append(log, topic, value)
    const reader = log.read(topic.topic, p0, offset(0), topic)
    await readTo(reader, 0, 4)
    proxy.refuse(true)
    await truncate(cluster, topic, 1)
    const other = await open(around)
    for (const value of ['C', 'D', 'E', 'F']) await append(other, topic, value)
    proxy.refuse(false)
    expect((await failureOf(() => reader.next())).reason).to.equal('LOG_TRUNCATED')
  })

  it('follows the leaders of three brokers, and proves no end while one of them cannot be asked', async () => {
    const cluster = await start({ brokers: 3 })
    const log = await open(cluster.bootstrap, { dev: false })
    const topic = await log.createTopic(freshName('three'), { ...SETTINGS, partitions: 3 })
    expect(topic.unsafe).to.deep.equal([])
    const places = [0, 1, 2].map(partition)
    const readers = places.map((place) => log.read(topic.topic, place, offset(0), topic))
    /** @returns whether all was acknowledged; what was not may be in the log all the same. */
    const appendAll = async (value: string): Promise<boolean> => {
      const appends = Array.from({ length: log.lanes }, async (_, lane) => {
        const here = places.filter((place) => place % log.lanes === lane)
        await log.append(
          lane,
          here.map((place) => ({ topic: topic.topic, partition: place, records: [record(value)] })),
        )
      })
      const failures = (await Promise.allSettled(appends)).filter((one) => one.status === 'rejected')
      for (const { reason } of failures) {
        expect(reason).to.be.instanceOf(TidemarkError).with.property('reason', 'LOG_UNAVAILABLE')
      }
      return failures.length === 0
    }
    expect(await appendAll('a')).to.equal(true)
    const ends = await log.verifiedEnds(topic.topic, places)
    expect([...ends.values()]).to.deep.equal([1, 1, 1])

    await must(cluster.brokers[1], 'a broker').stop('SIGKILL')
    const failure = await failureOf(() => log.verifiedEnds(topic.topic, places))
    expect(failure.reason).to.equal('LOG_UNAVAILABLE')
    // The controller takes some seconds to give up the dead broker; then others lead its partitions.
    while (!(await appendAll('b')));
    for (const [index, reader] of readers.entries()) {
      const end = (await log.offsets(topic.topic, must(places[index], 'a partition'))).end
      const values = await readTo(reader, 0, end)
      expect(values[0]).to.equal('a')
      expect(new Set(values.slice(1))).to.deep.equal(new Set(['b']))
    }
    await must(cluster.brokers[1], 'a broker').start()
    const proved = async (): Promise<boolean> =>
      log.verifiedEnds(topic.topic, places).then(
        () => true,
        () => false,
      )
    while (!(await proved()));
    for (const reader of readers) reader.close()
  })

  it('goes on appending to the leaders that live while one hangs', async () => {
    const cluster = await start({ brokers: 3 })
    const log = await open(cluster.bootstrap)
    const topic = await log.createTopic(freshName('hangs'), { ...SETTINGS, partitions: 6 })
    const places = [0, 1, 2, 3, 4, 5].map(partition).filter((place) => place % log.lanes === 0)
    const told: number[] = []
    const appendTo = async (here: readonly Partition[]): Promise<void> =>
      new Promise((resolve) => {
        const parts = here.map((place) => ({ topic: topic.topic, partition: place, records: [record('a')] }))
        const part = (at: number): void => void told.push(must(here[at], 'a partition'))
        log.append(0, parts, { part, free: resolve }).then(
          () => resolve(),
          () => resolve(),
        )
      })
    await appendTo(places)
    while (told.length < places.length) await new Promise((resolve) => setImmediate(resolve))

    const asleep = must(must(cluster.brokers[1], 'a broker').pid, 'its process')
    const since = performance.now()
    process.kill(asleep, 'SIGSTOP')
    told.length = 0
    await appendTo(places)
    while (told.length < 2) await new Promise((resolve) => setImmediate(resolve))
    // The three partitions of the lane have three leaders: one of them is asleep.
    const living = [...told]
    await appendTo(living.map(partition))
    // Later the others take over from the one that is asleep, and get what it holds on to.
    if (performance.now() - since < TAKEN_OVER_MS)
      expect(told.filter((place) => !living.includes(place))).to.deep.equal([])
    for (let round = 0; round < 20; round++) await appendTo(living.map(partition))
    process.kill(asleep, 'SIGCONT')
    while (new Set(told).size < places.length) await new Promise((resolve) => setImmediate(resolve))
  })
})
