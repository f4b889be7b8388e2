import { expect } from 'chai'
import type { MapSettings } from '../core/cluster-map.ts'
import { encodeBarrier, encodeFormat, encodeMutation, encodePack } from '../core/encode.ts'
import { PackWriter } from '../core/messages.ts'
import { draft } from '../core/testing/records.ts'
import type { LogTime, NewRecord, Partition } from '../core/types.ts'
import { DEFAULT_SETTINGS } from '../keyspace-settings.ts'
import type { Log, TopicDescription } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { type Head, readHead, setUpKeyspace } from './keyspace-setup.ts'

const first = 0 as Partition
const byPrefix = (separator: string): MapSettings => ({
  ...DEFAULT_SETTINGS,
  partitionBy: { kind: 'prefix', separator: Buffer.from(separator) },
})
const format = (separator: string, version = 1): NewRecord =>
  encodeFormat({ version, separator: Buffer.from(separator), valueBytesMax: 0, packingDisabled: false })
const pack = (...keys: string[]): NewRecord => {
  const writer = new PackWriter()
  for (const key of keys)
    writer.add({ kind: 'put', key: Buffer.from(key), value: Buffer.from('v'), requestId: `s/${key.length}` })
  return encodePack(writer.finish(), 's/1')
}

async function logWith(
  partitions: number,
  records: readonly NewRecord[],
): Promise<{ readonly log: Log; readonly topic: TopicDescription }> {
  const log = openMemoryLog({ clock: () => 5 as LogTime })
  const topic = await log.createTopic('test.orders', { partitions, valueBytesMax: 1024, replication: 1 })
  if (records.length > 0) await log.append(0, [{ topic: topic.topic, partition: first, records }])
  return { log, topic }
}

const shown = (head: Head): string =>
  typeof head === 'string'
    ? head
    : head.partitionBy.kind === 'prefix'
      ? Buffer.from(head.partitionBy.separator).toString()
      : 'key'

describe('the head of a partition', () => {
  // Of two partitions, `b` lies in the first and `d` in the other.
  const cases: readonly [string, readonly NewRecord[], string][] = [
    ['is nothing where nothing stands', [], 'nothing'],
    ['is what the first format says', [format('/'), format('#')], '/'],
    ['is found behind rubbish', [draft('k', 'v', { 'tm-op': 'merge' }), encodeBarrier(), format('/')], '/'],
    ['is the default where a row came first', [draft('b', '1'), format('/')], 'rows'],
    ['is the default where a pack with a row came first', [pack('d', 'b'), format('/')], 'rows'],
    ['is not settled by a row that lies elsewhere', [draft('d', '1'), format('/')], '/'],
    ['is not settled by what changes nothing', [draft('b', null), format('/')], '/'],
    [
      'is not settled by a condition that cannot hold',
      [
        encodeMutation({
          kind: 'put',
          key: Buffer.from('b'),
          value: Buffer.from('1'),
          ifVersion: 3 as never,
        }),
        format('/'),
      ],
      '/',
    ],
    ['is unknown where this version cannot read it', [format('/', 2)], 'unknown'],
    ['is unknown past what is read', Array.from({ length: 1001 }, () => encodeBarrier()), 'unknown'],
  ]
  for (const [name, records, expected] of cases)
    it(name, async () => {
      const { log, topic } = await logWith(2, records)
      expect(shown(await readHead(log, topic, first))).to.equal(expected)
    })

  it('is unknown where the log was trimmed', async () => {
    const { log, topic } = await logWith(1, [format('/'), encodeBarrier()])
    await log.trim(topic.topic, first, 1 as never)
    expect(await readHead(log, topic, first)).to.equal('unknown')
  })
})

describe('setting up a keyspace', () => {
  const heads = (log: Log, topic: TopicDescription): Promise<string[]> =>
    Promise.all(
      Array.from({ length: topic.partitions }, async (_, at) =>
        shown(await readHead(log, topic, at as Partition)),
      ),
    )
  const settled = (settings: MapSettings | undefined): string | undefined => settings && shown(settings)

  it('writes one record into each partition, and none a second time', async () => {
    const { log, topic } = await logWith(3, [])
    const through = { log, appender: log }
    expect(settled(await setUpKeyspace(through, topic, byPrefix('/')))).to.equal('/')
    expect(settled(await setUpKeyspace(through, topic, byPrefix('#')))).to.equal('/')
    expect(await heads(log, topic)).to.deep.equal(['/', '/', '/'])
    for (const at of [0, 1, 2]) expect((await log.offsets(topic.topic, at as Partition)).end).to.equal(1)
  })

  it('goes on where its creator died halfway: partition 0 decides', async () => {
    const { log, topic } = await logWith(3, [format('/')])
    expect(settled(await setUpKeyspace({ log, appender: log }, topic, byPrefix('#')))).to.equal('/')
    expect(await heads(log, topic)).to.deep.equal(['/', '/', '/'])
  })

  it('makes all partitions agree where several do it at once', async () => {
    const { log, topic } = await logWith(8, [])
    const through = { log, appender: log }
    const all = await Promise.all(['/', '#', '|'].map((one) => setUpKeyspace(through, topic, byPrefix(one))))
    const [winner] = await heads(log, topic)
    expect(all.map(settled)).to.deep.equal([winner, winner, winner])
    expect(new Set(await heads(log, topic)).size).to.equal(1)
  })

  it('takes the default where a row came first', async () => {
    const { log, topic } = await logWith(2, [draft('b', '1')])
    expect(settled(await setUpKeyspace({ log, appender: log }, topic, byPrefix('#')))).to.equal('key')
    expect(await heads(log, topic)).to.deep.equal(['rows', 'key'])
  })

  it('leaves alone what it cannot read', async () => {
    const { log, topic } = await logWith(2, [format('/', 2)])
    expect(await setUpKeyspace({ log, appender: log }, topic, DEFAULT_SETTINGS)).to.equal(undefined)
    expect((await log.offsets(topic.topic, first)).end).to.equal(1)
  })
})
