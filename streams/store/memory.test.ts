import { expect } from 'chai'
import { openMemoryStore } from './memory.ts'
import { storeContract } from './store.contract.ts'

storeContract('memory', { open: async () => Promise.resolve(openMemoryStore()) })

describe('memory store', () => {
  it('stays right over many chunks, filled in any order', () => {
    const store = openMemoryStore()
    const numbers = Array.from({ length: 5000 }, (_, n) => (n * 2711) % 5000)
    const keyOf = (n: number): Uint8Array => Uint8Array.of(n >> 8, n & 255)
    for (let at = 0; at < numbers.length; at += 50) {
      const batch = store.batch()
      for (const n of numbers.slice(at, at + 50)) batch.put(keyOf(n), Uint8Array.of(n & 255))
      store.write(batch)
    }
    const cursor = store.cursor({ gte: keyOf(0), lt: keyOf(5000) })
    const keys = cursor.next(10_000).map((entry) => ((entry.key[0] ?? 0) << 8) | (entry.key[1] ?? 0))
    expect(keys).to.deep.equal(Array.from({ length: 5000 }, (_, n) => n))
    expect(store.approximateBytes()).to.equal(15_000)
    store.drop({ gte: keyOf(10), lt: keyOf(4990) })
    expect(store.approximateBytes()).to.equal(60)
  })
})
