import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { NO_HEADERS, logTime, offset, partition } from '../core/types.ts'
import { newMeters } from '../meters.ts'
import { logContract } from './log.contract.ts'
import { openMemoryLog } from './memory.ts'
import { meteredLog } from './metered.ts'

const memory = () => openMemoryLog({ clock: () => logTime(1) })

logContract('metered', () => {
  const log = meteredLog(memory(), newMeters())
  return Promise.resolve({ log, dispose: () => log.close() })
})

describe('a metered log', () => {
  it('counts what is appended and read, and what fails', async () => {
    const meters = newMeters()
    const inner = memory()
    const log = meteredLog(inner, meters)
    const { topic, identity, partitions } = await log.createTopic('c.t', {
      partitions: 1,
      replication: 1,
      valueBytesMax: 100,
    })
    const place = partition(0)
    const record = { key: Buffer.from('key'), value: Buffer.from('value'), headers: NO_HEADERS }
    await log.append(0, [{ topic, partition: place, records: [record, record] }])
    const reader = log.read(topic, place, offset(0), { identity, partitions })
    await reader.next()
    reader.close()
    await log.verifiedEnds(topic, [place])
    inner.append = () => Promise.reject(new TidemarkError('LOG_UNAVAILABLE', 'no broker answers'))
    await log.append(0, [{ topic, partition: place, records: [record] }]).catch(() => undefined)
    const { counts, tallies, durations, levels } = meters
    expect(counts['log.append.records']).to.equal(2)
    expect(counts['log.append.bytes']).to.equal(16)
    expect(counts['log.read.records']).to.equal(2)
    expect(tallies['log.append.errors'].totals.get('LOG_UNAVAILABLE')).to.equal(1)
    expect(durations['log.append.duration'].count.reduce((sum, count) => sum + count)).to.equal(2)
    expect(durations['log.read_index.duration'].count.reduce((sum, count) => sum + count)).to.equal(1)
    expect(levels['log.appends.in_flight']).to.equal(0)
    await log.close()
  })
})
