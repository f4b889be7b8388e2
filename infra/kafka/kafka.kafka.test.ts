/** The brokers and the strangers that all other Kafka tests stand on. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { Kafka, logLevel } from 'kafkajs'
import type { Admin } from 'kafkajs'
import { consoleConsumer, consoleProducer, startStranger } from './java-producer.ts'
import type { Stranger } from './java-producer.ts'
import { startKafka } from './start.ts'
import type { KafkaCluster } from './start.ts'
import { freshName, withJava, withKafka } from './with-kafka.ts'

interface Read {
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

const client = (bootstrap: string[]): Kafka =>
  new Kafka({
    brokers: bootstrap,
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 40 },
  })

async function createTopic(bootstrap: string[], topic: string, partitions = 1, copies = 1): Promise<void> {
  const admin = client(bootstrap).admin()
  await admin.connect()
  // Not waitForLeaders: it fails when it asks a broker that has not heard of the topic yet.
  await admin.createTopics({
    topics: [{ topic, numPartitions: partitions, replicationFactor: copies }],
    waitForLeaders: false,
  })
  await leaderOfFirst(admin, topic)
  await admin.disconnect()
}

/** The leader of partition 0, as soon as there is one that is not `but`. */
async function leaderOfFirst(admin: Admin, topic: string, but = -1): Promise<number> {
  for (let polls = 0; polls < 400; polls++) {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] }).catch(() => ({ topics: [] }))
    const leader = topics[0]?.partitions.find(({ partitionId }) => partitionId === 0)?.leader ?? -1
    if (leader !== -1 && leader !== but) return leader
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`partition 0 of ${topic} has no leader`)
}

/** The first `count` records of the topic as kafkajs reads them. */
async function read(bootstrap: string[], topic: string, count: number): Promise<Read[]> {
  const consumer = client(bootstrap).consumer({ groupId: freshName('readers'), maxWaitTimeInMs: 100 })
  const records: Read[] = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: ({ message }) => {
          records.push({
            offset: Number(message.offset),
            key: message.key?.toString() ?? null,
            value: message.value?.toString() ?? null,
            headers: Object.fromEntries(
              Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]),
            ),
          })
          if (records.length === count) resolve()
          return Promise.resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
  return records
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('a real Kafka', () => {
  const kafka = withKafka()

  it('answers, and makes no topic by accident', async () => {
    const admin = client(kafka.bootstrap).admin()
    await admin.connect()
    const topic = kafka.freshName('never-created')
    const { brokers } = await admin.describeCluster()
    const listed = await admin.listTopics()
    await admin.disconnect()
    expect(brokers).to.have.length.greaterThan(0)
    expect(listed).not.to.include(topic)
  })

  describe('strangers', () => {
    withJava()
    let stranger: Stranger
    let topic: string

    before(async function () {
      this.timeout(60_000)
      stranger = await startStranger(kafka.bootstrap)
    })
    beforeEach(async () => {
      topic = kafka.freshName('strangers')
      await createTopic(kafka.bootstrap, topic)
    })
    after(() => stranger.close())

    it('produce plain records, tombstones and headers, and learn the offsets', async () => {
      const first = await stranger.send({ topic, key: 'k', value: 'v', headers: [['tm-op', 'put']] })
      const second = await stranger.send({ topic, key: 'k', value: null })
      expect(first).to.deep.equal({ partition: 0, offset: 0 })
      expect(second).to.deep.equal({ partition: 0, offset: 1 })
      expect(await read(kafka.bootstrap, topic, 2)).to.deep.equal([
        { offset: 0, key: 'k', value: 'v', headers: { 'tm-op': 'put' } },
        { offset: 1, key: 'k', value: null, headers: {} },
      ])
    })

    it('compress with every codec of Kafka', async () => {
      for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
        const ack = await stranger.send({ topic, key: compression, value: 'a'.repeat(1000), compression })
        expect(ack.partition, compression).to.equal(0)
      }
      const lines = await consoleConsumer({ bootstrap: kafka.bootstrap, topic, records: 4 })
      expect(lines.map((line) => line.split('\t')[3])).to.deep.equal(['gzip', 'snappy', 'lz4', 'zstd'])
    })

    it('interleave transactions, commit one, abort one, leave one open', async () => {
      const [good, bad, open] = [kafka.freshName('good'), kafka.freshName('bad'), kafka.freshName('open')]
      for (const id of [good, bad, open]) await stranger.begin(id)
      await stranger.sendIn(bad, { topic, key: 'k', value: 'aborted 1' })
      await stranger.sendIn(good, { topic, key: 'k', value: 'committed 1' })
      await stranger.sendIn(bad, { topic, key: 'k', value: 'aborted 2' })
      await stranger.sendIn(good, { topic, key: 'k', value: 'committed 2' })
      await stranger.abort(bad)
      await stranger.commit(good)
      const left = await stranger.sendIn(open, { topic, key: 'k', value: 'open' })
      // The two control records land soon after commit and abort returned: before this record, or after it.
      expect(left.offset).to.be.within(4, 6)
      const committed = await consoleConsumer({
        bootstrap: kafka.bootstrap,
        topic,
        records: 2,
        committedOnly: true,
      })
      expect(committed.map((line) => line.split('\t')[4])).to.deep.equal(['committed 1', 'committed 2'])
      await stranger.abort(open)
    })

    it('get an error as an error, and go on', async () => {
      const problem = async (call: Promise<unknown>): Promise<string> => call.then(() => 'none', String)
      expect(await problem(stranger.commit('nobody'))).to.include(
        'no transaction was begun with the id nobody',
      )
      const tooLarge = stranger.send({ topic, key: 'k', value: Buffer.alloc(2 << 20) })
      expect(await problem(tooLarge)).to.include('RecordTooLargeException')
      expect(await stranger.send({ topic, key: 'k', value: 'v' })).to.deep.equal({ partition: 0, offset: 0 })
    })

    it('use the console producer', async () => {
      await consoleProducer({
        bootstrap: kafka.bootstrap,
        topic,
        key: true,
        headers: true,
        compression: 'lz4',
        lines: ['tm-op:put\tk1\tv1', 'tm-op:delete\tk2\t\\N'],
      })
      const lines = await consoleConsumer({ bootstrap: kafka.bootstrap, topic, records: 2 })
      expect(lines).to.deep.equal([
        'Partition:0\tOffset:0\ttm-op:put\tk1\tv1',
        'Partition:0\tOffset:1\ttm-op:delete\tk2\tnull',
      ])
    }).timeout(60_000)
  })
})

describe('brokers of our own', function () {
  withJava()
  this.timeout(120_000)
  const running = new Set<KafkaCluster>()
  const start = async (options: Parameters<typeof startKafka>[0]): Promise<KafkaCluster> => {
    const cluster = await startKafka(options)
    running.add(cluster)
    return cluster
  }
  afterEach(async () => {
    for (const cluster of running) await cluster.stop()
    running.clear()
  })

  it('keep port and data through a kill, and the data through another start on the folder', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'tidemark-kafka-test-'))
    try {
      const first = await start({ dataDir })
      const topic = freshName('kept')
      await createTopic(first.bootstrap, topic)
      const producer = client(first.bootstrap).producer()
      await producer.connect()
      await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'v' }] })

      const [only] = first.brokers
      await only?.stop('SIGKILL')
      expect(only?.pid).to.equal(undefined)
      await only?.start()
      await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'after the kill' }] })
      await producer.disconnect()
      await first.stop()
      expect(only?.pid).to.equal(undefined)

      const second = await start({ dataDir })
      expect((await read(second.bootstrap, topic, 2)).map(({ value }) => value)).to.deep.equal([
        'v',
        'after the kill',
      ])
      await second.stop()
      const refusal = await startKafka({ dataDir, brokers: 3 }).catch((error: unknown) => String(error))
      expect(refusal).to.include('holds a Kafka of 1 broker(s), not of 3')
    } finally {
      await rm(dataDir, { recursive: true, force: true })
    }
  })

  it('form a cluster of three that keeps what it acknowledged when one dies', async () => {
    const cluster = await start({ brokers: 3 })
    const topic = freshName('three')
    await createTopic(cluster.bootstrap, topic, 3, 3)
    const admin = client(cluster.bootstrap).admin()
    await admin.connect()
    expect((await admin.describeCluster()).brokers).to.have.length(3)
    const leader = await leaderOfFirst(admin, topic)
    const producer = client(cluster.bootstrap).producer()
    await producer.connect()
    await producer.send({ topic, acks: -1, messages: [{ partition: 0, key: 'k', value: 'before' }] })
    const victim = cluster.brokers.find(({ id }) => id === leader)
    await victim?.stop('SIGKILL')
    await producer.send({ topic, acks: -1, messages: [{ partition: 0, key: 'k', value: 'after' }] })
    await leaderOfFirst(admin, topic, leader)
    expect((await read(cluster.bootstrap, topic, 2)).map(({ value }) => value)).to.deep.equal([
      'before',
      'after',
    ])
    await producer.disconnect()
    await admin.disconnect()
  })

  it('leave no process and no folder behind, even when their starter is killed', async () => {
    const starter = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { startKafka } from ${JSON.stringify(new URL('start.js', import.meta.url).href)}
         const cluster = await startKafka()
         console.log(JSON.stringify({ pid: cluster.brokers[0].pid, dataDir: cluster.dataDir }))
         setInterval(() => undefined, 1000)`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const [line] = (await once(createInterface({ input: starter.stdout }), 'line')) as [string]
    const { pid, dataDir } = JSON.parse(line) as { pid: number; dataDir: string }
    expect(isAlive(pid)).to.equal(true)
    starter.kill('SIGKILL')
    await once(starter, 'close')
    // tail --pid returns when the process is gone; it is no child of ours whose end we could await.
    execFileSync('tail', [`--pid=${pid}`, '-s', '0.05', '-f', '/dev/null'], { timeout: 10_000 })
    for (let polls = 0; existsSync(dataDir) && polls < 200; polls++) {
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    expect(existsSync(dataDir)).to.equal(false)
  })
})
