import { expect } from 'chai'
import kafkajs, { Kafka, logLevel, type Admin } from 'kafkajs'
import { freshName, withKafka } from '../../../infra/kafka/with-kafka.ts'
import { TidemarkError } from '../../core/errors.ts'
import { NO_HEADERS, offset, partition, type NewRecord } from '../../core/types.ts'
import type { Log } from '../log.ts'
import { openKafkaLog } from './log.ts'
import { maxMessageBytes } from './topics.ts'

const p0 = partition(0)
const SETTINGS = { partitions: 2, valueBytesMax: 1 << 20, replication: 1 }

const record = (bytes: number): NewRecord => ({
  key: Buffer.from('k'),
  value: Buffer.alloc(bytes),
  headers: NO_HEADERS,
})

async function failureOf(work: Promise<unknown>): Promise<TidemarkError> {
  const outcome: unknown = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (outcome instanceof TidemarkError) return outcome
  throw outcome ?? new Error('it succeeded')
}

describe('topics of the log on Kafka', function () {
  this.timeout(120_000)
  const kafka = withKafka()
  let log: Log
  let admin: Admin

  before(async () => {
    admin = new Kafka({ brokers: kafka.bootstrap, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    log = await openKafkaLog({
      brokers: kafka.bootstrap,
      clientId: 'test',
      dev: true,
      telemetry: { trouble: () => undefined, recovered: () => undefined },
    })
  })
  after(async () => {
    await admin.disconnect()
    await log.close()
  })

  it('finds nothing unsafe in a topic of its own but the single broker', async () => {
    const { unsafe } = await log.createTopic(freshName('own'), SETTINGS)
    expect(unsafe.map((sentence) => sentence.split(':')[0])).to.deep.equal([
      'the replication factor is 1',
      'min.insync.replicas is 1',
    ])
  })

  it('names each setting of a stranger that can lose writes, with the command that mends it', async () => {
    const topic = freshName('unsafe')
    const configEntries = Object.entries({
      'cleanup.policy': 'compact,delete',
      'retention.ms': '604800000',
      'retention.bytes': '1000000000',
      'message.timestamp.type': 'CreateTime',
      'unclean.leader.election.enable': 'true',
      'max.message.bytes': '1048588',
    }).map(([name, value]) => ({ name, value }))
    await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1, configEntries }] })
    const description = await log.describeTopic(topic)
    const unsafe = description?.unsafe ?? []
    for (const [name, value] of [
      ['cleanup.policy', 'delete'],
      ['retention.ms', '-1'],
      ['retention.bytes', '-1'],
      ['message.timestamp.type', 'LogAppendTime'],
      ['unclean.leader.election.enable', 'false'],
      ['min.insync.replicas', '2'],
      ['max.message.bytes', String(maxMessageBytes(1 << 20))],
    ]) {
      const command = `Run: kafka-configs.sh --bootstrap-server <broker> --alter --topic ${topic} --add-config ${name}=${value}`
      expect(
        unsafe.filter((sentence) => sentence.endsWith(command)),
        name,
      ).to.have.length(1)
    }
    expect(unsafe.at(-2)).to.include('kafka-reassign-partitions.sh')
    expect(unsafe).to.have.length(8)
  })

  it('refuses more replicas than there are brokers, and says what to do', async () => {
    const strict = await openKafkaLog({
      brokers: kafka.bootstrap,
      clientId: 'test',
      dev: false,
      telemetry: { trouble: () => undefined, recovered: () => undefined },
    })
    const failure = await failureOf(strict.createTopic(freshName('many'), { ...SETTINGS, replication: 7 }))
    await strict.close()
    expect(failure.reason).to.equal('TOPIC_UNSAFE')
    expect(failure.message).to.include('TIDEMARK_DEV=1')
  })

  it('stops a reader when the partition count is raised under it', async () => {
    const topic = await log.createTopic(freshName('raised'), SETTINGS)
    const reader = log.read(topic.topic, p0, offset(0), topic)
    await reader.next()
    await admin.createPartitions({ topicPartitions: [{ topic: topic.topic, count: 3 }] })
    let failure: TidemarkError | undefined
    while (failure === undefined) {
      await reader.next().catch((caught: unknown) => {
        if (!(caught instanceof TidemarkError)) throw caught
        failure = caught
      })
    }
    expect(failure.reason).to.equal('PARTITIONS_CHANGED')
    expect(failure.message).to.include('3 partitions where 2 were expected')
  })

  it('refuses a batch over the limit of the topic before it is sent, and appends the others', async () => {
    const topic = await log.createTopic(freshName('large'), { ...SETTINGS, partitions: 1 + log.lanes })
    const fits = { topic: topic.topic, partition: p0, records: [record(1 << 20)] }
    const tooLarge = {
      topic: topic.topic,
      partition: partition(log.lanes),
      records: [record(maxMessageBytes(1 << 20))],
    }
    const failure = await failureOf(log.append(0, [fits, tooLarge]))
    expect(failure.reason).to.equal('VALUE_TOO_LARGE')
    expect(failure.metadata['limit']).to.equal(String(maxMessageBytes(1 << 20)))
    expect((await log.offsets(topic.topic, tooLarge.partition)).end).to.equal(0)
    expect((await log.offsets(topic.topic, p0)).end).to.equal(1)
    await log.append(0, [fits])
    expect((await log.offsets(topic.topic, p0)).end).to.equal(2)
  })

  it('says so when the limit of the topic was lowered meanwhile', async () => {
    const topic = await log.createTopic(freshName('lowered'), SETTINGS)
    const fits = { topic: topic.topic, partition: p0, records: [record(1 << 20)] }
    await log.append(0, [fits])
    const configEntries = [{ name: 'max.message.bytes', value: '1000' }]
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic.topic, configEntries }],
    })
    // The broker learns of it in its own time.
    let failure: TidemarkError | undefined
    while (failure === undefined) {
      failure = await log.append(0, [fits]).then(
        () => undefined,
        (caught: unknown) => {
          if (caught instanceof TidemarkError) return caught
          throw caught
        },
      )
    }
    expect(failure.reason).to.equal('VALUE_TOO_LARGE')
  })

  it('fails an append to a topic that does not exist as retriable', async () => {
    const failure = await failureOf(
      log.append(0, [{ topic: freshName('nowhere'), partition: p0, records: [record(1)] }]),
    )
    expect(failure.reason).to.equal('LOG_UNAVAILABLE')
    const topic = await log.createTopic(freshName('somewhere'), SETTINGS)
    await log.append(0, [{ topic: topic.topic, partition: p0, records: [record(1)] }])
  })

  it('goes on reading while a topic of another reader is deleted', async () => {
    const gone = await log.createTopic(freshName('gone'), SETTINGS)
    const stays = await log.createTopic(freshName('stays'), SETTINGS)
    const lost = log.read(gone.topic, p0, offset(0), gone)
    const reader = log.read(stays.topic, p0, offset(0), stays)
    await Promise.all([lost.next(), reader.next()])
    await log.deleteTopic(gone.topic)
    await log.append(0, [{ topic: stays.topic, partition: p0, records: [record(1)] }])
    expect((await reader.next()).records).to.have.length(1)
    expect((await lost.next()).records).to.deep.equal([])
    lost.close()
    reader.close()
  })
})
