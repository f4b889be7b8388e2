import { expect } from 'chai'
import { TidemarkError } from '../core/errors.ts'
import { emptyDisk, openMemoryStore } from '../store/memory.ts'
import { storeContract } from '../store/store.contract.ts'
import { guardedStore } from './guarded-store.ts'

const whole = (error: TidemarkError): TidemarkError => error

storeContract('guarded', { open: async () => guardedStore(openMemoryStore(), whole) })

describe('a guarded store', () => {
  const key = Uint8Array.of(1)

  it('tells of damage that any read finds, and the reader hears what came of it', async () => {
    const disk = emptyDisk()
    const told: string[] = []
    const store = guardedStore(openMemoryStore(disk), ({ reason }) => {
      told.push(reason)
      return new TidemarkError('PARTITION_STOPPED', 'stopped')
    })
    const batch = store.batch()
    batch.put(key, key)
    store.write(batch)
    for (const chunk of disk.chunks) for (const entry of chunk) disk.damaged.add(entry)
    const stopped = (act: () => unknown): void => {
      expect(act).to.throw(TidemarkError).with.property('reason', 'PARTITION_STOPPED')
    }
    stopped(() => store.getMany([key]))
    stopped(() => store.cursor({ gte: key, lt: Uint8Array.of(2) }).next(1))
    const later = await store.getManyAsync([key]).catch((caught: unknown) => caught)
    expect(later).to.be.instanceOf(TidemarkError).with.property('reason', 'PARTITION_STOPPED')
    expect(told).to.deep.equal(['STORE_CORRUPT', 'STORE_CORRUPT', 'STORE_CORRUPT'])
  })

  it('hands on other failures as they are', async () => {
    const store = guardedStore(openMemoryStore(), () => {
      throw new Error('told')
    })
    await store.close()
    expect(() => store.getMany([key]))
      .to.throw(TidemarkError)
      .with.property('reason', 'NODE_DRAINING')
  })
})
