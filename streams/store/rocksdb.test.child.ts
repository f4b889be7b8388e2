/**
 * A process of rocksdb.test.ts that writes batches until it is killed: `node rocksdb.test.child.js write <directory> <first>`.
 * Batch n holds ROWS rows and the row NEWEST, all with the value n. Tells its parent when the store is open.
 */
import process from 'node:process'
import { openStore } from './rocksdb.ts'

/** Rows of a batch: now and then one of several blocks of the write-ahead log. */
export const rowsOfBatch = (n: number): number => (n % 50 === 0 ? 2000 : 1 + (n % 7))
export const rowKey = (n: number, row: number): Uint8Array =>
  Buffer.from(`row-${String(n).padStart(8, '0')}-${String(row).padStart(4, '0')}`)
export const NEWEST: Uint8Array = Buffer.from('newest')
export const valueOf = (n: number): Uint8Array => Buffer.from(`value of ${n}, `.repeat(4))

const [, script = '', command, directory, first] = process.argv
if (script.endsWith('rocksdb.test.child.js') && command === 'write' && directory !== undefined) {
  const store = await openStore(directory, { memtableBytes: 1 << 20, cacheBytes: 1 << 20 })
  process.send?.('open')
  for (let n = Number(first); ; n += 1) {
    const batch = store.batch()
    for (let row = 0; row < rowsOfBatch(n); row += 1) batch.put(rowKey(n, row), valueOf(n))
    batch.put(NEWEST, Buffer.from(String(n)))
    store.write(batch)
    // Lets messages out, and the signal find the process at any place.
    if (n % 100 === 0) await new Promise(setImmediate)
  }
}
