/** The two logs that are compared: the simulated one, with all that it may do without breaking the port, and a real Kafka. */
import { randomBytes } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { Prng } from '../../streams/core/testing/prng.ts'
import { must } from '../../streams/core/assert.ts'
import type { Append, Log } from '../../streams/log/log.ts'
import { openKafkaLog } from '../../streams/log/kafka/log.ts'
import { appendTime } from '../../streams/sim/broker-partition.ts'
import { Connection, noFaults } from '../../streams/sim/connection.ts'
import { SimulatedKafka } from '../../streams/sim/kafka.ts'
import { openSimulatedLog } from '../../streams/sim/log.ts'
import { newLife, World } from '../../streams/sim/world.ts'
import type { LogSide } from './log-trace.ts'

/** Lets what a world began come to its end, in virtual time. */
export const settleIn =
  (world: World) =>
  async <T>(promise: Promise<T>): Promise<T> => {
    let done = false
    const end = (): void => void (done = true)
    promise.then(end, end)
    if (!(await world.run(() => done)))
      throw new Error('nothing is left to happen, and it has not come to its end')
    return promise
  }

/** Slow, with small reads and slow followers, by seed: nothing of it may show. */
export function simulatedLogSide(seed: number): LogSide {
  const world = new World({ seed })
  const random = new Prng(seed)
  const kafka = new SimulatedKafka(world)
  kafka.faults.replicationMs = random.pick([0, 2, 20])
  const faults = noFaults()
  faults.delayMs = [0.1, random.pick([0.2, 3, 30])]
  faults.readRecords = random.pick([Infinity, 1, 7])
  const log = openSimulatedLog(kafka, new Connection(world, newLife('n1'), faults))
  const topic = 'reality'
  return {
    log,
    topic,
    settle: settleIn(world),
    transaction(at, commits) {
      const partition = must(kafka.partition(at.topic, at.partition), 'the partition')
      const records = at.records.map((record) => (commits ? record : undefined))
      const first = must(
        partition.append([...records, undefined], appendTime(kafka.timeOf(partition))),
        'a place in the log',
      )
      kafka.stir(partition)
      return new Promise((resolve) => {
        partition.whenKept(first + records.length + 1, () => {
          resolve()
        })
      })
    },
    elect(number) {
      const partition = kafka.topic(topic)?.partitions[number]
      if (partition === undefined) return
      partition.loseLeader()
      const [next] = partition.inSync
      if (next !== undefined) partition.elect(next)
      kafka.stir(partition)
    },
  }
}

export interface RealKafka {
  /** With a topic of its own. */
  side(): LogSide
  readonly log: Log
  readonly bootstrap: readonly string[]
  close(): Promise<void>
}

export async function openRealKafka(bootstrap: readonly string[]): Promise<RealKafka> {
  const telemetry = { trouble: () => undefined, recovered: () => undefined }
  const log = await openKafkaLog({ brokers: bootstrap, clientId: 'reality', dev: true, telemetry })
  const client = new Kafka({ clientId: 'stranger', brokers: [...bootstrap], logLevel: logLevel.NOTHING })
  return {
    log,
    bootstrap,
    side: () => ({
      log,
      topic: named('reality'),
      settle: (promise) => promise,
      async transaction(at, commits) {
        const { end } = await log.offsets(at.topic, at.partition)
        // One for each: what the client remembers of a topic that was created again is of no use.
        const producer = client.producer({
          transactionalId: named('stranger'),
          idempotent: true,
          maxInFlightRequests: 1,
        })
        await producer.connect()
        try {
          const transaction = await producer.transaction()
          await transaction.send({ topic: at.topic, messages: messagesOf(at) })
          await (commits ? transaction.commit() : transaction.abort())
        } finally {
          await producer.disconnect()
        }
        // The control record stands a moment after Kafka has decided.
        while ((await log.offsets(at.topic, at.partition)).end < end + at.records.length + 1)
          await new Promise((resolve) => setTimeout(resolve, 2))
      },
      // One broker leads everything: with several, load-tests/chaos does it.
      elect: () => undefined,
    }),
    close: () => log.close(),
  }
}

const named = (prefix: string): string => `${prefix}-${randomBytes(6).toString('hex')}`

const messagesOf = ({ partition, records }: Append) =>
  records.map(({ key, value, headers }) => ({
    partition,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: Object.fromEntries([...headers].map(([name, one]) => [name, Buffer.from(one)])),
  }))
