/**
 * A process of embedded-log.test.ts that appends until it is killed: `node embedded-log.test.child.js append <directory>`.
 * The value of each record is the offset that it must get. Tells its parent the ends that were acknowledged.
 */
import process from 'node:process'
import { logTime, NO_HEADERS, partition } from '../../core/types.ts'
import { openEmbeddedLog } from './embedded-log.ts'

export const TOPIC = 'kill.t'
export const PARTITIONS = 4
export const SETTINGS = { partitions: PARTITIONS, valueBytesMax: 1 << 20, replication: 1 }
/** The end of each partition, by its number. */
export type Ends = number[]

const [, script = '', command, directory] = process.argv
if (script.endsWith('embedded-log.test.child.js') && command === 'append' && directory !== undefined) {
  const log = await openEmbeddedLog({ directory, clock: () => logTime(Date.now()) })
  await log.createTopic(TOPIC, SETTINGS)
  const places = Array.from({ length: PARTITIONS }, (_, place) => partition(place))
  const ends: Ends = await Promise.all(places.map(async (place) => (await log.offsets(TOPIC, place)).end))
  process.send?.(ends)
  for (let round = 0; ; round += 1) {
    // Every so often an append of several blocks of the write-ahead log, and more than one run.
    const count = round % 20 === 0 ? 2000 : 1 + (round % 5)
    const parts = places
      .filter((place) => (round + place) % 3 !== 0)
      .map((place) => ({
        topic: TOPIC,
        partition: place,
        records: Array.from({ length: count }, (_, n) => ({
          key: Buffer.from('key'.repeat(1 + (n % 50))),
          value: Buffer.from(String((ends[place] ?? 0) + n)),
          headers: NO_HEADERS,
        })),
      }))
    await log.append(0, parts)
    for (const part of parts) ends[part.partition] = (ends[part.partition] ?? 0) + count
    process.send?.(ends)
  }
}
