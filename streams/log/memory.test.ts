import { expect } from 'chai'
import { logTime, NO_HEADERS, offset, partition } from '../core/types.ts'
import { logContract } from './log.contract.ts'
import { openMemoryLog } from './memory.ts'

logContract('memory', async () => {
  const log = openMemoryLog({ clock: () => logTime(1_000) })
  return Promise.resolve({ log, dispose: async () => log.close() })
})

describe('memory log', () => {
  it('stamps the time of its clock, which never steps back in a partition', async () => {
    const times = [5, 3, 9].map(logTime)
    const log = openMemoryLog({ clock: () => times.shift() ?? logTime(0) })
    const topic = await log.createTopic('c.t', { partitions: 1, valueBytesMax: 100, replication: 1 })
    const record = { key: Uint8Array.of(1), value: null, headers: NO_HEADERS }
    for (let n = 0; n < 3; n += 1)
      await log.append(0, [{ topic: 'c.t', partition: partition(0), records: [record] }])
    const reader = log.read('c.t', partition(0), offset(0), topic)
    const batch = await reader.next()
    expect(batch.records.map((one) => one.time)).to.deep.equal([5, 5, 9])
    await log.close()
  })
})
