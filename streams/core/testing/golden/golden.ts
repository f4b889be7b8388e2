/**
 * Golden logs: records as some release met them, and the hash of the chain of effects that it came to at every 1,000 offsets. Every later
 * build, on every version of Node and every machine, must come to the same: what a replica does with a record is fixed for ever.
 *
 *   NAME.jsonl.gz   first {"partition":0,"partitions":1}, then one record on a line, bytes as one character each
 *   NAME.hashes     offset and hash (hex) on a line: the hash over all records below the offset
 *
 * To add one at a release: `node dist/streams/core/testing/golden/make.js NAME SEED`, and commit both files. They are never changed after
 * that (a test looks into the history); a build that comes to other hashes is wrong, not the file.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { PROJECT_ROOT } from '../../../../infra/project-root.ts'
import { bytesToText, textToBytes } from '../../bytes.ts'
import type { LogRecord, LogTime, Offset } from '../../types.ts'
import { CoreDriver } from '../core-driver.ts'

export const GOLDEN_FOLDER = join(PROJECT_ROOT, 'streams', 'core', 'testing', 'golden')

const STEP = 1000

export interface GoldenLog {
  readonly partition: number
  readonly partitions: number
  readonly records: readonly LogRecord[]
}

export interface HashAt {
  readonly offset: number
  readonly hash: string
}

interface RecordLine {
  readonly offset: number
  readonly time: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, string])[]
}

export const goldenNames = (): readonly string[] =>
  readdirSync(GOLDEN_FOLDER)
    .filter((name) => name.endsWith('.jsonl.gz'))
    .map((name) => name.slice(0, -'.jsonl.gz'.length))
    .sort()

export function encodeGolden({ partition, partitions, records }: GoldenLog): Buffer {
  const lines = [JSON.stringify({ partition, partitions })]
  for (const { offset, time, key, value, headers } of records) {
    const line: RecordLine = {
      offset,
      time,
      key: key === null ? null : bytesToText(key),
      value: value === null ? null : bytesToText(value),
      headers: [...headers].map(([name, bytes]) => [name, bytesToText(bytes)] as const),
    }
    lines.push(JSON.stringify(line))
  }
  return gzipSync(`${lines.join('\n')}\n`, { level: 9 })
}

export function decodeGolden(bytes: Uint8Array): GoldenLog {
  const [first = '', ...lines] = gunzipSync(bytes).toString('utf8').trimEnd().split('\n')
  const { partition, partitions } = JSON.parse(first) as GoldenLog
  const records = lines.map((text): LogRecord => {
    const { offset, time, key, value, headers } = JSON.parse(text) as RecordLine
    return {
      offset: offset as Offset,
      time: time as LogTime,
      key: key === null ? null : textToBytes(key),
      value: value === null ? null : textToBytes(value),
      headers: new Map(headers.map(([name, bytes]) => [name, textToBytes(bytes)])),
    }
  })
  return { partition, partitions, records }
}

export const readGolden = (name: string): GoldenLog =>
  decodeGolden(readFileSync(join(GOLDEN_FOLDER, `${name}.jsonl.gz`)))

export const readHashes = (name: string): readonly HashAt[] =>
  readFileSync(join(GOLDEN_FOLDER, `${name}.hashes`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [offset, hash = ''] = line.split(' ')
      return { offset: Number(offset), hash }
    })

export const hashLines = (hashes: readonly HashAt[]): string =>
  hashes.map(({ offset, hash }) => `${offset} ${hash}\n`).join('')

/**
 * The hash before the first record at or past each multiple of 1,000, and at the end.
 * @param batch - records that are applied at once: it must not matter
 */
export function replayGolden(
  { partition, partitions, records }: GoldenLog,
  batch: number,
): readonly HashAt[] {
  const driver = new CoreDriver(partition, partitions)
  const hashes: HashAt[] = []
  const note = (offset: number): void => {
    hashes.push({ offset, hash: Buffer.from(driver.state.chain).toString('hex') })
  }
  let waiting: LogRecord[] = []
  let step = STEP
  const run = (): void => {
    if (waiting.length > 0 && driver.run(waiting).stop !== undefined) throw new Error('the log asks to stop')
    waiting = []
  }
  for (const record of records) {
    if (record.offset >= step) {
      run()
      for (; record.offset >= step; step += STEP) note(step)
    }
    waiting.push(record)
    if (waiting.length === batch) run()
  }
  run()
  note((records.at(-1)?.offset ?? -1) + 1)
  return hashes
}
