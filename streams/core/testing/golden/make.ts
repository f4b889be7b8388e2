/**
 * `node dist/streams/core/testing/golden/make.js NAME SEED [RECORDS] [PARTITIONS]`: adds a golden log, made of random records of all kinds; with
 * `bounds` as the seed, one of records that reach what random ones do not: the bound of values, and more request ids than are kept.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Prng } from '../prng.ts'
import { randomLog } from '../random-log.ts'
import { logged } from '../records.ts'
import { byId, format, put } from '../transcript.ts'
import type { LogRecord } from '../../types.ts'
import { GOLDEN_FOLDER, encodeGolden, hashLines, replayGolden } from './golden.ts'

const [name, seed = '1', records = '6000', partitions = '1'] = process.argv.slice(2)
if (name === undefined) throw new Error('usage: make.js NAME SEED [RECORDS] [PARTITIONS]')
const path = join(GOLDEN_FOLDER, `${name}.jsonl.gz`)
if (existsSync(path)) throw new Error(`${path} is there: golden logs are never changed`)

const keys = Array.from(
  { length: 24 },
  (_, at) => `${'abcdefgh'[at % 8] ?? ''}${at % 5 === 0 ? '/' : ''}${at}`,
)
const options = { records: Number(records), partition: 0, partitions: Number(partitions), keys, sessions: 5 }
const log = {
  partition: 0,
  partitions: Number(partitions),
  records: seed === 'bounds' ? bounds() : randomLog(new Prng(Number(seed)), options),
}
writeFileSync(path, encodeGolden(log))
writeFileSync(join(GOLDEN_FOLDER, `${name}.hashes`), hashLines(replayGolden(log, 1)))

function bounds(): readonly LogRecord[] {
  const session = Array.from({ length: 1300 }, (_, at) => put(`k${at % 9}`, String(at), byId(`s/${at}`)))
  return [
    format({ valueBytesMax: 64 }),
    ...[63, 64, 65].map((length) => put('a', 'v'.repeat(length))),
    ...session,
    ...[0, 100, 299, 1299, 2000].map((sequence) => put('b', 'again', byId(`s/${sequence}`))),
  ].map((record, offset) => logged(offset, 1000 + offset, record))
}
