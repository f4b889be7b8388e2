/**
 * What every implementation of the Log port must do, as mocha tests: the kafka, embedded and memory logs call `logContract`.
 * Nothing in here looks at a clock or at one implementation; a test that needs a broker stands beside the kafka log.
 */
import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { FETCH_AHEAD_BYTES_MAX } from '../core/limits.ts'
import { TidemarkError, type Reason } from '../core/errors.ts'
import {
  NO_HEADERS,
  offset,
  partition,
  type LogRecord,
  type NewRecord,
  type Offset,
  type Partition,
} from '../core/types.ts'
import type { Log, LogBatch, PartitionReader, TopicDescription, TopicSettings } from './log.ts'

export interface LogUnderTest {
  readonly log: Log
  /** Closes the log and opens the same one again. Absent where a log does not outlive its process. */
  restart?(): Promise<Log>
  dispose(): Promise<void>
}

const SETTINGS: TopicSettings = { partitions: 3, valueBytesMax: 1 << 20, replication: 1 }

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const put = (key: string, value: string): NewRecord => ({
  key: bytes(key),
  value: bytes(value),
  headers: NO_HEADERS,
})

const numbered = (count: number, from = 0): NewRecord[] =>
  Array.from({ length: count }, (_, n) => put(`key-${from + n}`, `value-${from + n}`))

const text = (value: Uint8Array | null): string | null =>
  value === null ? null : new TextDecoder().decode(value)

const keysOf = (records: readonly LogRecord[]): (string | null)[] => records.map((record) => text(record.key))

async function reasonOf(promise: Promise<unknown>): Promise<Reason> {
  try {
    await promise
  } catch (caught) {
    if (caught instanceof TidemarkError) return caught.reason
    throw caught
  }
  throw new Error('it succeeded, where a TidemarkError was expected')
}

/** Reads until the reader has covered `end`; checks on the way what each batch must keep. */
async function readTo(reader: PartitionReader, from: number, end: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  let position = from
  while (position < end) {
    const batch = await reader.next()
    checkBatch(batch, position)
    records.push(...batch.records)
    position = batch.nextOffset
  }
  return records
}

function checkBatch(batch: LogBatch, position: number): void {
  let least = position
  for (const record of batch.records) {
    expect(record.offset).to.be.at.least(least)
    expect(record.time).to.satisfy(Number.isSafeInteger)
    least = record.offset + 1
  }
  expect(batch.nextOffset, 'nextOffset covers its records').to.be.at.least(least)
  expect(batch.logEnd, 'logEnd covers what was read').to.be.at.least(batch.nextOffset)
  expect(batch.bytes).to.be.at.least(0)
}

/** Calls next() until it fails. */
async function readToFailure(reader: PartitionReader): Promise<Reason> {
  for (;;) {
    const outcome = await reader.next().then(
      () => undefined,
      (caught: unknown) => caught,
    )
    if (outcome instanceof TidemarkError) return outcome.reason
    if (outcome !== undefined) throw outcome
  }
}

/** Declares the tests. `makeLog` is called once; each test has topics of its own. */
export function logContract(name: string, makeLog: () => Promise<LogUnderTest>): void {
  describe(`log contract: ${name}`, () => {
    const run = randomBytes(4).toString('hex')
    const p0 = partition(0)
    const p1 = partition(1)
    const p2 = partition(2)
    let topics = 0
    let made: LogUnderTest
    let log: Log

    before(async function () {
      this.timeout(60_000)
      made = await makeLog()
      log = made.log
    })

    after(async () => {
      await made.dispose()
    })

    const newName = (): string => `contract-${run}.t${topics++}`

    const create = async (settings: Partial<TopicSettings> = {}): Promise<TopicDescription> =>
      log.createTopic(newName(), { ...SETTINGS, ...settings })

    const append = async (topic: string, place: number, records: readonly NewRecord[]): Promise<Offset> => {
      const results = await log.append(place % log.lanes, [{ topic, partition: partition(place), records }])
      expect(results).to.have.length(1)
      const [first] = results
      if (first === undefined) throw new Error('no result')
      return first.firstOffset
    }

    const open = (topic: TopicDescription, place: number, from: number): PartitionReader =>
      log.read(topic.topic, partition(place), offset(from), topic)

    describe('topics', () => {
      it('creates a topic that describes itself', async () => {
        const topic = newName()
        const made = await log.createTopic(topic, SETTINGS)
        expect(made.topic).to.equal(topic)
        expect(made.partitions).to.equal(3)
        expect(made.identity).to.be.a('string').that.is.not.empty
        expect(await log.describeTopic(topic)).to.deep.equal(made)
      })

      it('gives a second creator the same topic', async () => {
        const first = await create()
        expect((await log.createTopic(first.topic, SETTINGS)).identity).to.equal(first.identity)
      })

      it('lets two create at once', async () => {
        const topic = newName()
        const both = await Promise.all([log.createTopic(topic, SETTINGS), log.createTopic(topic, SETTINGS)])
        expect(both[0].identity).to.equal(both[1].identity)
      })

      it('refuses another partition count with KEYSPACE_EXISTS', async () => {
        const { topic } = await create()
        expect(await reasonOf(log.createTopic(topic, { ...SETTINGS, partitions: 4 }))).to.equal(
          'KEYSPACE_EXISTS',
        )
      })

      it('describes no topic where there is none', async () => {
        expect(await log.describeTopic(newName())).to.equal(undefined)
      })

      it('lists the topics of a prefix', async () => {
        const prefix = newName()
        await log.createTopic(`${prefix}.a`, SETTINGS)
        await log.createTopic(`${prefix}.b`, SETTINGS)
        expect([...(await log.listTopics(`${prefix}.`))].sort()).to.deep.equal([`${prefix}.a`, `${prefix}.b`])
        expect(await log.listTopics(newName())).to.deep.equal([])
      })

      it('deletes a topic, and a new one of its name has another identity and is empty', async () => {
        const first = await create()
        await append(first.topic, 0, numbered(3))
        await log.deleteTopic(first.topic)
        expect(await log.describeTopic(first.topic)).to.equal(undefined)
        const second = await log.createTopic(first.topic, SETTINGS)
        expect(second.identity).to.not.equal(first.identity)
        expect(await log.offsets(first.topic, p0)).to.deep.equal({ start: 0, end: 0 })
      })
    })

    describe('append', () => {
      it('gives rising offsets from 0', async () => {
        const { topic } = await create()
        expect(await append(topic, 0, numbered(3))).to.equal(0)
        expect(await append(topic, 0, numbered(1))).to.equal(3)
        expect(await append(topic, 1, numbered(1))).to.equal(0)
        expect(await log.offsets(topic, p0)).to.deep.equal({ start: 0, end: 4 })
      })

      it('appends to many partitions and topics at once', async () => {
        const one = await create({ partitions: 2 * log.lanes })
        const two = await create({ partitions: 2 * log.lanes })
        const places = [0, log.lanes]
        const parts = [one, two].flatMap(({ topic }) =>
          places.map((place) => ({ topic, partition: partition(place), records: numbered(2, place) })),
        )
        const results = await log.append(0, parts)
        expect(results.map((result) => result.firstOffset)).to.deep.equal([0, 0, 0, 0])
        for (const place of places) {
          const records = await readTo(open(two, place, 0), 0, 2)
          expect(keysOf(records)).to.deep.equal([`key-${place}`, `key-${place + 1}`])
        }
      })

      it('tells a listener what the promise tells, or nothing', async () => {
        const { topic } = await create({ partitions: 3 * log.lanes })
        const parts = [0, 1, 2].map((n) => ({
          topic,
          partition: partition(n * log.lanes),
          records: numbered(2),
        }))
        for (const first of [0, 2]) {
          const told: [number, unknown][] = []
          const listener = { part: (at: number, result: unknown) => told.push([at, result]), free() {} }
          const places = await log.append(0, parts, listener)
          expect(places).to.deep.equal(parts.map(() => ({ firstOffset: first })))
          if (told.length > 0)
            expect(told.sort(([a], [b]) => a - b)).to.deep.equal(places.map((place, at) => [at, place]))
        }
      })

      it('takes the next append of a lane when the listener is told that it is free', async () => {
        const { topic } = await create({ partitions: 2 * log.lanes })
        const [one, other] = [0, log.lanes].map((place) => ({
          topic,
          partition: partition(place),
          records: numbered(1),
        }))
        if (one === undefined || other === undefined) throw new Error('two parts')
        const appends: Promise<unknown>[] = []
        await new Promise<void>((free) => {
          const append = log.append(0, [one], { part() {}, free })
          appends.push(append)
          append.then(() => {
            free()
          }, free)
        })
        appends.push(log.append(0, [other]))
        await Promise.all(appends)
        for (const part of [one, other]) expect((await log.offsets(topic, part.partition)).end).to.equal(1)
      })

      it('appends nothing when there is nothing', async () => {
        expect(await log.append(0, [])).to.deep.equal([])
      })

      it('keeps nulls, empty values and headers apart, byte for byte', async () => {
        const topic = await create()
        const all = Uint8Array.from({ length: 256 }, (_, n) => n)
        const sent: NewRecord[] = [
          { key: bytes('a'), value: null, headers: NO_HEADERS },
          { key: bytes('b'), value: new Uint8Array(0), headers: NO_HEADERS },
          { key: null, value: all, headers: NO_HEADERS },
          {
            key: all,
            value: all,
            headers: new Map([
              ['tm-op', bytes('put')],
              ['x-ü', all],
              ['', new Uint8Array(0)],
            ]),
          },
        ]
        await append(topic.topic, 2, sent)
        const reader = open(topic, 2, 0)
        const got = await readTo(reader, 0, 4)
        reader.close()
        const plain = (record: NewRecord): unknown => ({
          key: record.key && [...record.key],
          value: record.value && [...record.value],
          headers: [...record.headers].map(([name, value]) => [name, [...value]]),
        })
        expect(got.map(plain)).to.deep.equal(sent.map(plain))
      })

      it('carries the largest value that the topic promises', async () => {
        const topic = await create({ valueBytesMax: 3 << 20 })
        const value = new Uint8Array(3 << 20).fill(7)
        await append(topic.topic, 0, [{ key: new Uint8Array(4096).fill(1), value, headers: NO_HEADERS }])
        const reader = open(topic, 0, 0)
        const [record] = await readTo(reader, 0, 1)
        reader.close()
        expect(record?.value?.length).to.equal(value.length)
      })

      it('keeps the order of each partition while all lanes append', async () => {
        const topic = await create({ partitions: 4 })
        const rounds = 20
        await Promise.all(
          Array.from({ length: log.lanes }, async (_, lane) => {
            for (let round = 0; round < rounds; round++) {
              const places = [0, 1, 2, 3].filter((place) => place % log.lanes === lane)
              await log.append(
                lane,
                places.map((place) => ({
                  topic: topic.topic,
                  partition: partition(place),
                  records: numbered(5, round * 5),
                })),
              )
            }
          }),
        )
        for (let place = 0; place < 4; place++) {
          const reader = open(topic, place, 0)
          const records = await readTo(reader, 0, rounds * 5)
          reader.close()
          expect(keysOf(records)).to.deep.equal(Array.from({ length: rounds * 5 }, (_, n) => `key-${n}`))
        }
      })
    })

    describe('read', () => {
      it('reads from any offset', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(10))
        for (const from of [0, 4, 9]) {
          const reader = open(topic, 0, from)
          const records = await readTo(reader, from, 10)
          reader.close()
          expect(records.map((record) => record.offset)).to.deep.equal(
            Array.from({ length: 10 - from }, (_, n) => from + n),
          )
        }
      })

      it('waits at the end for what comes', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(2))
        const reader = open(topic, 0, 2)
        const waiting = readTo(reader, 2, 3)
        await append(topic.topic, 0, numbered(1, 2))
        expect(keysOf(await waiting)).to.deep.equal(['key-2'])
        reader.close()
      })

      it('answers an idle reader with an empty batch and the end of the log', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(2))
        const reader = open(topic, 0, 2)
        const batch = await reader.next()
        expect(batch.records).to.deep.equal([])
        expect(batch.nextOffset).to.equal(2)
        expect(batch.logEnd).to.equal(2)
        reader.close()
      })

      it('lets many read the same partition, each in its own time', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(100))
        const stalled = open(topic, 0, 0)
        const readers = [0, 50, 99].map((from) => ({ from, reader: open(topic, 0, from) }))
        const got = await Promise.all(readers.map(({ from, reader }) => readTo(reader, from, 100)))
        expect(got.map((records) => records.length)).to.deep.equal([100, 50, 1])
        expect(await readTo(stalled, 0, 100)).to.have.length(100)
        for (const { reader } of readers) reader.close()
        stalled.close()
      })

      it('loses and repeats nothing when the reader is slower than the log', async () => {
        const topic = await create()
        const value = new Uint8Array(64 * 1024).fill(42)
        const count = Math.ceil((1.5 * FETCH_AHEAD_BYTES_MAX) / value.length)
        const reader = open(topic, 0, 0)
        const first = reader.next()
        for (let sent = 0; sent < count; sent += 16) {
          const records = Array.from({ length: Math.min(16, count - sent) }, (_, n) => ({
            key: bytes(`key-${sent + n}`),
            value,
            headers: NO_HEADERS,
          }))
          await append(topic.topic, 0, records)
        }
        const head = await first
        const rest = await readTo(reader, head.nextOffset, count)
        reader.close()
        expect(keysOf([...head.records, ...rest])).to.deep.equal(
          Array.from({ length: count }, (_, n) => `key-${n}`),
        )
      })

      it('ends with CANCELLED when closed, also while it waits', async () => {
        const topic = await create()
        const reader = open(topic, 0, 0)
        const waiting = readToFailure(reader)
        reader.close()
        reader.close()
        expect(await waiting).to.equal('CANCELLED')
        expect(await readToFailure(reader)).to.equal('CANCELLED')
      })
    })

    describe('never skips (I5)', () => {
      it('refuses an offset that was trimmed with LOG_TRIMMED', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(10))
        await log.trim(topic.topic, p0, offset(5))
        expect(await log.offsets(topic.topic, p0)).to.deep.equal({ start: 5, end: 10 })
        expect(await readToFailure(open(topic, 0, 4))).to.equal('LOG_TRIMMED')
        const reader = open(topic, 0, 5)
        expect(await readTo(reader, 5, 10)).to.have.length(5)
        reader.close()
      })

      it('refuses to trim past the end with TOKEN_BEYOND_LOG', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(3))
        expect(await reasonOf(log.trim(topic.topic, p0, offset(4)))).to.equal('TOKEN_BEYOND_LOG')
        expect(await log.offsets(topic.topic, p0)).to.deep.equal({ start: 0, end: 3 })
      })

      it('refuses an offset past the end with LOG_TRUNCATED', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(3))
        expect(await readToFailure(open(topic, 0, 4))).to.equal('LOG_TRUNCATED')
      })

      it('refuses another incarnation of the topic with TOPIC_RECREATED', async () => {
        const topic = await create()
        const reader = log.read(topic.topic, p0, offset(0), { identity: 'another', partitions: 3 })
        expect(await readToFailure(reader)).to.equal('TOPIC_RECREATED')
      })

      it('notices under way that the topic was recreated', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(2))
        const reader = open(topic, 0, 0)
        await readTo(reader, 0, 2)
        await log.deleteTopic(topic.topic)
        await log.createTopic(topic.topic, SETTINGS)
        await append(topic.topic, 0, numbered(5))
        expect(await readToFailure(reader)).to.equal('TOPIC_RECREATED')
      })

      it('refuses another number of partitions with PARTITIONS_CHANGED', async () => {
        const topic = await create()
        const reader = log.read(topic.topic, p0, offset(0), { identity: topic.identity, partitions: 2 })
        expect(await readToFailure(reader)).to.equal('PARTITIONS_CHANGED')
      })
    })

    describe('verified ends', () => {
      it('are the ends of a quiet log', async () => {
        const topic = await create()
        await append(topic.topic, 0, numbered(4))
        await append(topic.topic, 2, numbered(1))
        const ends = await log.verifiedEnds(topic.topic, [p0, p1, p2])
        expect([...ends].sort(([a], [b]) => a - b)).to.deep.equal([
          [0, 4],
          [1, 0],
          [2, 1],
        ])
      })

      it('cover every append that was acknowledged before the call, under load', async () => {
        const topic = await create()
        const places = [p0, p1, p2].slice(0, log.lanes)
        const acknowledged = new Map<Partition, number>()
        let stop = false
        const writing = places.map(async (place) => {
          while (!stop) acknowledged.set(place, (await append(topic.topic, place, numbered(2))) + 2)
        })
        try {
          for (let round = 0; round < 50; round++) {
            const before = new Map(acknowledged)
            const rounds = Array.from({ length: 5 }, () => log.verifiedEnds(topic.topic, places))
            for (const ends of await Promise.all(rounds)) {
              for (const place of places) expect(ends.get(place)).to.be.at.least(before.get(place) ?? 0)
            }
          }
        } finally {
          stop = true
          await Promise.all(writing)
        }
        const own = await append(topic.topic, 0, numbered(1))
        expect((await log.verifiedEnds(topic.topic, [p0])).get(p0)).to.equal(own + 1)
      })

      it('are reached by a reader', async () => {
        const topic = await create()
        await append(topic.topic, 1, numbered(7))
        const end = (await log.verifiedEnds(topic.topic, [p1])).get(p1)
        const reader = open(topic, 1, 0)
        expect(await readTo(reader, 0, end ?? -1)).to.have.length(7)
        reader.close()
      })
    })

    describe('life', () => {
      it('has an identity, at least one lane, and is healthy', () => {
        expect(log.identity).to.be.a('string').that.is.not.empty
        expect(log.lanes).to.be.at.least(1)
        expect(log.healthy).to.equal(true)
      })

      it('keeps everything over a restart', async function () {
        const { restart } = made
        if (restart === undefined) this.skip()
        const topic = await create()
        await append(topic.topic, 0, numbered(5))
        await log.trim(topic.topic, p0, offset(2))
        const { identity } = log
        log = await restart()
        expect(log.identity).to.equal(identity)
        expect(await log.describeTopic(topic.topic)).to.deep.equal(topic)
        expect(await log.offsets(topic.topic, p0)).to.deep.equal({ start: 2, end: 5 })
        expect(await append(topic.topic, 0, numbered(1, 5))).to.equal(5)
        const reader = open(topic, 0, 2)
        expect(keysOf(await readTo(reader, 2, 6))).to.deep.equal(['key-2', 'key-3', 'key-4', 'key-5'])
        reader.close()
      })
    })
  })
}
