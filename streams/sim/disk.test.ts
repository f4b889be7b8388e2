import { expect } from 'chai'
import { Prng } from '../core/testing/prng.ts'
import { TidemarkError } from '../core/errors.ts'
import { storeContract } from '../store/store.contract.ts'
import type { Store } from '../store/store.ts'
import { SimulatedDisk } from './disk.ts'
import { newLife } from './world.ts'

const disks = new WeakMap<Store, SimulatedDisk>()
const openOn = (disk: SimulatedDisk): Store => {
  const store = disk.open(newLife('n1'))
  disks.set(store, disk)
  return store
}

storeContract('simulated', {
  open: async () => openOn(new SimulatedDisk()),
  async reopen(store) {
    await store.close()
    return openOn(disks.get(store) ?? new SimulatedDisk())
  },
})

describe('a simulated disk', () => {
  const key = (n: number): Uint8Array => Uint8Array.of(n)
  const write = (store: Store, n: number, sync = false): void => {
    const batch = store.batch()
    batch.put(key(n), key(n))
    store.write(batch, { sync })
  }
  const standing = (store: Store): number[] => {
    const cursor = store.cursor({ gte: key(0), lt: key(255) })
    return cursor.next(1000).map((entry) => entry.key[0] ?? -1)
  }
  const first = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

  it('loses with the power some end of what was not synced, never a batch before one that stands', () => {
    const seen = new Set<number>()
    for (let seed = 0; seed < 200; seed++) {
      const disk = new SimulatedDisk()
      const store = disk.open(newLife('n1'))
      for (let n = 0; n < 10; n++) write(store, n, n === 3)
      disk.losePower(new Prng(seed))
      const left = standing(disk.open(newLife('n1')))
      expect(left).to.deep.equal(first(left.length))
      seen.add(left.length)
    }
    expect([...seen].sort((a, b) => a - b)).to.deep.equal([4, 5, 6, 7, 8, 9, 10])
  })

  it('takes nothing of a dead process', () => {
    const disk = new SimulatedDisk()
    const life = newLife('n1')
    const store = disk.open(life)
    write(store, 0)
    let crashes = 0
    disk.crashAtWrite(2, () => {
      crashes += 1
      life.alive = false
    })
    for (const n of [1, 2, 3]) write(store, n)
    expect(crashes).to.equal(1)
    expect(standing(disk.open(newLife('n1')))).to.deep.equal([0, 1])
  })

  it('tells of damage when it is read, until it is written over', () => {
    const disk = new SimulatedDisk()
    const store = disk.open(newLife('n1'))
    write(store, 7)
    expect(disk.damage(new Prng(1))).to.equal(1)
    const corrupt = (act: () => unknown): void => {
      expect(act).to.throw(TidemarkError).with.property('reason', 'STORE_CORRUPT')
    }
    corrupt(() => store.getMany([key(7)]))
    corrupt(() => standing(disk.open(newLife('n1'))))
    write(store, 7)
    expect(standing(store)).to.deep.equal([7])
  })

  it('refuses writes while it is full, as a whole', () => {
    const disk = new SimulatedDisk()
    const store = disk.open(newLife('n1'))
    disk.full = true
    expect(() => {
      write(store, 1)
    }).to.throw(TidemarkError)
    disk.full = false
    expect(standing(store)).to.deep.equal([])
  })
})
