import { expect } from 'chai'
import { freshName, withKafka } from '../../../infra/kafka/with-kafka.ts'
import { TidemarkError } from '../../core/errors.ts'
import { NO_HEADERS, offset, partition } from '../../core/types.ts'
import type { Log } from '../log.ts'
import { logContract } from '../log.contract.ts'
import { openKafkaLog } from './log.ts'

const SILENT = { trouble: () => undefined, recovered: () => undefined }

const record = (
  key: string,
  bytes = 8,
): { key: Uint8Array; value: Uint8Array; headers: typeof NO_HEADERS } => ({
  key: Buffer.from(key),
  value: Buffer.alloc(bytes, key),
  headers: NO_HEADERS,
})

describe('the log on Kafka', () => {
  const kafka = withKafka()
  const open = (): Promise<Log> =>
    openKafkaLog({ brokers: kafka.bootstrap, clientId: 'test', dev: true, telemetry: SILENT })

  logContract('kafka', async () => {
    let log = await open()
    return {
      log,
      async restart() {
        await log.close()
        log = await open()
        return log
      },
      dispose: () => log.close(),
    }
  })

  it('proves no end to a reader whose topic was recreated', async () => {
    const log = await open()
    const settings = { partitions: 1, valueBytesMax: 1024, replication: 1 }
    const topic = await log.createTopic(freshName('renewed'), settings)
    const reader = log.read(topic.topic, partition(0), offset(0), topic)
    await log.append(0, [{ topic: topic.topic, partition: partition(0), records: [record('a')] }])
    await reader.next()
    // Another client does it, so that this one has to find out.
    const other = await open()
    await other.deleteTopic(topic.topic)
    await other.createTopic(topic.topic, settings)
    const proof: unknown = await log
      .verifiedEnds(topic.topic, [partition(0)])
      .catch((caught: unknown) => caught)
    // Unless the reader had been stopped before: then there is no replica left that could serve by the proof.
    const failure: unknown =
      proof instanceof TidemarkError ? proof : await reader.next().catch((caught: unknown) => caught)
    expect(failure).to.be.instanceOf(TidemarkError)
    expect(failure).to.have.property('reason').that.is.oneOf(['LOG_UNAVAILABLE', 'TOPIC_RECREATED'])
    reader.close()
    await other.close()
    await log.close()
  })

  describe('readers beside each other', () => {
    let log: Log
    before(async () => {
      log = await open()
    })
    after(() => log.close())

    const p0 = partition(0)

    it('does not let a new reader wait for the long poll of idle ones', async () => {
      const topic = await log.createTopic(freshName('join'), {
        partitions: 8,
        valueBytesMax: 1024,
        replication: 1,
      })
      await log.append(0, [{ topic: topic.topic, partition: p0, records: [record('a')] }])
      const idle = Array.from({ length: 7 }, (_, n) =>
        log.read(topic.topic, partition(n + 1), offset(0), topic),
      )
      for (const reader of idle) reader.next().catch(() => undefined)
      const times: number[] = []
      for (let round = 0; round < 30; round++) {
        const start = performance.now()
        const reader = log.read(topic.topic, p0, offset(0), topic)
        expect((await reader.next()).records).to.have.length(1)
        times.push(performance.now() - start)
        reader.close()
      }
      for (const reader of idle) reader.close()
      // FETCH_WAIT_MS is 250: a reader that joined the long poll would wait for about half of it on average.
      expect(times.toSorted((a, b) => a - b)[15]).to.be.below(60)
    })

    it('goes on at once when a full buffer has room again, while others idle', async () => {
      const topic = await log.createTopic(freshName('room'), {
        partitions: 4,
        valueBytesMax: 1 << 20,
        replication: 1,
      })
      const value = 256 * 1024
      const count = 80
      for (let n = 0; n < count; n++) {
        await log.append(0, [{ topic: topic.topic, partition: p0, records: [record(`k${n}`, value)] }])
      }
      const idle = [1, 2, 3].map((n) => log.read(topic.topic, partition(n), offset(0), topic))
      for (const one of idle) one.next().catch(() => undefined)
      const times: number[] = []
      for (let turn = 0; turn < 3; turn++) {
        const reader = log.read(topic.topic, p0, offset(0), topic)
        const keys: string[] = []
        const start = performance.now()
        while (keys.length < count) {
          const batch = await reader.next()
          for (const { key } of batch.records) keys.push(Buffer.from(key ?? []).toString())
          // Slower than the fetches, so that the buffer fills up again and again.
          await new Promise((resolve) => setImmediate(resolve))
        }
        times.push(performance.now() - start)
        reader.close()
        expect(keys).to.deep.equal(Array.from({ length: count }, (_, n) => `k${n}`))
      }
      // 20 MB through a buffer of 4 MB: were each refill to wait for the others' long poll, each turn would take over a second.
      expect(Math.min(...times)).to.be.below(1000)
      for (const one of idle) one.close()
    })

    it('reads one partition twice at the same time without polling short', async () => {
      const topic = await log.createTopic(freshName('twice'), {
        partitions: 1,
        valueBytesMax: 1024,
        replication: 1,
      })
      const readers = [0, 1, 2].map(() => log.read(topic.topic, p0, offset(0), topic))
      const waiting = readers.map((reader) => reader.next())
      await log.append(0, [{ topic: topic.topic, partition: p0, records: [record('a')] }])
      for (const batch of await Promise.all(waiting)) expect(batch.records).to.have.length(1)
      for (const reader of readers) reader.close()
    })
  })
})
