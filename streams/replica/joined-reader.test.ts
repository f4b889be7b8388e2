import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { logTime, NO_HEADERS, offset, partition, type LogTime } from '../core/types.ts'
import { openMemoryLog } from '../log/memory.ts'
import type { Log, PartitionReader, TopicDescription } from '../log/log.ts'
import { joinedReader } from './joined-reader.ts'

describe('a reader of a log that a replica has read before', () => {
  const p0 = partition(0)
  let now: LogTime
  let log: Log
  let topic: TopicDescription
  let opened: number[]

  beforeEach(async () => {
    now = logTime(1000)
    log = openMemoryLog({ clock: () => now })
    topic = await log.createTopic('t', { partitions: 1, valueBytesMax: 1000, replication: 1 })
    opened = []
  })
  afterEach(() => log.close())

  const append = async (count: number): Promise<void> => {
    const record = { key: Buffer.from('k'), value: Buffer.from('v'), headers: NO_HEADERS }
    for (let n = 0; n < count; n++) {
      await log.append(0, [{ topic: 't', partition: p0, records: [record] }])
      now = logTime(now + 10)
    }
  }
  const join = (next: number, time: number): PartitionReader =>
    joinedReader(
      (from) => {
        opened.push(from)
        return log.read('t', p0, from, topic)
      },
      'partition 0 of t',
      { next: offset(next), time: logTime(time) },
    )
  const offsetsOf = async (reader: PartitionReader): Promise<readonly number[]> =>
    (await reader.next()).records.map((record) => record.offset)
  const reasonOf = (reader: PartitionReader): Promise<string> =>
    reader.next().then(
      () => 'none',
      (caught: unknown) => TidemarkError.from(caught).reason,
    )

  it('gives what comes after, and fetches it once', async () => {
    await append(5)
    expect(await offsetsOf(join(3, 1020))).to.deep.equal([3, 4])
    expect(await offsetsOf(join(0, 0))).to.deep.equal([0, 1, 2, 3, 4])
    expect(opened).to.deep.equal([2, 0])
  })

  it('takes a record whose time is before the time of the partition: a clock of a broker stepped back', async () => {
    await append(5)
    expect(await offsetsOf(join(3, 5000))).to.deep.equal([3, 4])
  })

  it('refuses a log that has another record there', async () => {
    // The replica had applied 0 to 2 by 1005; the log lost them, and these came later.
    await append(5)
    expect(await reasonOf(join(3, 1005))).to.equal('LOG_TRUNCATED')
  })

  it('goes on where all that was applied is trimmed, and refuses where more is', async () => {
    await append(5)
    await log.trim('t', p0, offset(3))
    expect(await offsetsOf(join(3, 1020))).to.deep.equal([3, 4])
    expect(await reasonOf(join(2, 1010))).to.equal('LOG_TRIMMED')
  })

  it('refuses a log that ends before it', async () => {
    await append(2)
    expect(await reasonOf(join(3, 1020))).to.equal('LOG_TRUNCATED')
    expect(await reasonOf(join(7, 1060))).to.equal('LOG_TRUNCATED')
  })

  it('ends when it is closed', async () => {
    await append(1)
    const reader = join(1, 1000)
    reader.close()
    expect(await reasonOf(reader)).to.equal('CANCELLED')
  })
})
