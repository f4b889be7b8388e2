/** Where keys lie is settled by the node that creates a keyspace, whatever strangers wrote into its topic before. */
import { expect } from 'chai'
import { encodeBarrier, encodeFormat, encodeLead } from '../core/encode.ts'
import { draft } from '../core/testing/records.ts'
import type { LogTime, NewRecord, Partition } from '../core/types.ts'
import type { TidemarkNode } from '../face.ts'
import type { Log } from '../log/log.ts'
import { openMemoryLog } from '../log/memory.ts'
import { singleMembership } from '../membership/single.ts'
import { openNode } from '../node.ts'
import { openMemoryStore } from '../store/memory.ts'
import { systemClock, systemRandom } from '../system.ts'
import { silent } from './replica.fake.ts'

async function nodeOn(log: Log): Promise<TidemarkNode> {
  const node = await openNode({
    cluster: 'test',
    zone: '',
    nodeId: 'n1',
    log,
    logKind: 'memory',
    store: openMemoryStore(),
    membership: singleMembership(),
    clock: systemClock,
    random: systemRandom,
    telemetry: silent,
    partitions: 2,
    replication: 1,
    dev: true,
  })
  node.join('127.0.0.1:7400')
  // Each replica knows where it stands: live, or stopped.
  while (node.replicas().length < 2 || node.replicas().some(({ state }) => state === 'restoring'))
    await systemClock.sleep(5)
  return node
}

/** A log whose topic `test.default` begins with these records in each partition. */
async function logWith(records: readonly NewRecord[]): Promise<Log> {
  const log = openMemoryLog({ clock: () => Date.now() as LogTime })
  await log.createTopic('test.default', { partitions: 2, valueBytesMax: 1024 * 1024, replication: 1 })
  for (const partition of [0, 1] as Partition[])
    await log.append(0, [{ topic: 'test.default', partition, records }])
  return log
}

describe('placement of keys', () => {
  const deadline = (): number => Date.now() + 5000
  const rubbish = {
    'a record without key': draft(null, 'x'),
    'an unknown operation': draft('k', 'v', { 'tm-op': 'merge' }),
    'a barrier': encodeBarrier(),
    'a lead record of another node': encodeLead('n9', 'i9'),
    'a delete of nothing': draft('k', null),
  }
  for (const [name, record] of Object.entries(rubbish))
    it(`is settled, and writes are taken, where ${name} came first`, async () => {
      const node = await nodeOn(await logWith([record]))
      try {
        const keys = node.keyspace('default')
        const { outcome } = await keys.write(
          { kind: 'put', key: Buffer.from('a'), value: Buffer.from('1') },
          { deadline: deadline() },
        )
        expect(outcome?.status).to.equal('applied')
      } finally {
        await node.close(deadline())
      }
    })

  it('is by the whole key where rows came first', async () => {
    const node = await nodeOn(
      await logWith([draft('a', '1'), draft('b', '1'), draft('c', '1'), draft('d', '1')]),
    )
    try {
      const { row } = await node.keyspace('default').get(Buffer.from('a'), { deadline: deadline() })
      expect(Buffer.from(row?.value ?? []).toString()).to.equal('1')
    } finally {
      await node.close(deadline())
    }
  })

  it('does not keep a node from opening where one partition has stopped', async () => {
    const log = await logWith([])
    const future = encodeFormat({
      version: 2,
      separator: Buffer.alloc(0),
      valueBytesMax: 0,
      packingDisabled: false,
    })
    await log.append(0, [{ topic: 'test.default', partition: 1 as Partition, records: [future] }])
    const node = await nodeOn(log)
    try {
      const states = node.replicas().map(({ partition, stopped }) => [partition as number, stopped?.reason])
      expect(states).to.deep.equal([
        [0, undefined],
        [1, 'FORMAT_TOO_NEW'],
      ])
      expect(node.ready).to.equal(false)
      const keys = node.keyspace('default')
      const key = ['a', 'b', 'c', 'd', 'e']
        .map((text) => Buffer.from(text))
        .find((text) => keys.partitionOf(text) === 0)
      const { outcome } = await keys.write(
        { kind: 'put', key: key ?? Buffer.from('a'), value: Buffer.from('1') },
        { deadline: deadline() },
      )
      expect(outcome?.status).to.equal('applied')
    } finally {
      await node.close(deadline())
    }
  })
})
