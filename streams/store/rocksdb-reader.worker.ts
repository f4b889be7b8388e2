/** The thread of rocksdb-reader.ts. */
import { parentPort, workerData } from 'node:worker_threads'
import { must } from '../core/assert.ts'
import { rocksdb } from './rocksdb-binding.ts'
import { pack, transfer, unpack, type Answer, type Packed } from './rocksdb-reader.ts'

const port = must(parentPort, 'the port of the thread')
const database = rocksdb.db_init(workerData as bigint)

port.on('message', (keys: Packed) => {
  const answer = read(keys)
  port.postMessage(answer, answer.kind === 'values' ? transfer(answer.values) : [])
})

function read(keys: Packed): Answer {
  try {
    const values = rocksdb.db_get_many_sync(database, unpack(keys) as Uint8Array[], undefined)
    return { kind: 'values', values: pack(values) }
  } catch (caught) {
    const code = caught instanceof Error && 'code' in caught ? String(caught.code) : undefined
    return { kind: 'failed', message: caught instanceof Error ? caught.message : String(caught), code }
  }
}
