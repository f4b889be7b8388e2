/**
 * The topics of the embedded log: their rows in the store, and their partitions in memory. A deleted topic leaves a row that
 * says so until its runs are gone too, so that an end of the process in between leaves nothing behind.
 */
import { randomUUID } from 'node:crypto'
import { assert } from '../../core/assert.ts'
import { partition, type Partition } from '../../core/types.ts'
import { failpoint } from '../../failpoint.ts'
import type { Entry, Store } from '../../store/store.ts'
import type { TopicDescription, TopicSettings } from '../log.ts'
import { EmbeddedPartition } from './partition.ts'
import { checkExisting, checkSettings, noSuchPartition, noSuchTopic } from './refusals.ts'
import {
  allOf,
  decodeNumber,
  decodeTopic,
  droppedKey,
  DROPS,
  encodeNumber,
  encodeTopic,
  NEXT_KEY,
  numberOfDropped,
  topicKey,
  topicOfKey,
  TOPICS,
  type KeyRange,
  type TopicRow,
} from './rows.ts'

export interface EmbeddedTopic {
  readonly description: TopicDescription
  readonly row: TopicRow
  readonly partitions: readonly EmbeddedPartition[]
  deleted: boolean
}

export class Topics {
  private readonly store: Store
  private readonly unsafe: readonly string[]
  private readonly byName = new Map<string, EmbeddedTopic>()
  private nextNumber: number

  /** @throws MALFORMED, STORE_CORRUPT */
  constructor(store: Store, unsafe: readonly string[]) {
    this.store = store
    this.unsafe = unsafe
    const [next] = store.getMany([NEXT_KEY])
    this.nextNumber = next === undefined ? 1 : decodeNumber(next)
    for (const row of rowsOf(store, TOPICS)) this.add(topicOfKey(row.key), decodeTopic(row.value))
  }

  create(name: string, settings: TopicSettings): TopicDescription {
    checkSettings(name, settings)
    const existing = this.byName.get(name)
    if (existing !== undefined) {
      checkExisting(name, existing.partitions.length, settings)
      return existing.description
    }
    const { partitions, valueBytesMax } = settings
    const row = { number: this.nextNumber, identity: randomUUID(), partitions, valueBytesMax }
    const batch = this.store.batch()
    batch.put(NEXT_KEY, encodeNumber(row.number + 1))
    batch.put(topicKey(name), encodeTopic(row))
    failpoint('log.create-topic', () => {
      this.store.write(batch)
    })
    this.nextNumber = row.number + 1
    return this.add(name, row).description
  }

  find(name: string): EmbeddedTopic | undefined {
    return this.byName.get(name)
  }

  /** @throws KEYSPACE_NOT_FOUND */
  get(name: string): EmbeddedTopic {
    const topic = this.byName.get(name)
    if (topic === undefined) throw noSuchTopic(name)
    return topic
  }

  /** @throws KEYSPACE_NOT_FOUND, PARTITIONS_CHANGED */
  partition(name: string, number: Partition): EmbeddedPartition {
    const { partitions } = this.get(name)
    const found = partitions[number]
    if (found === undefined) throw noSuchPartition(name, number, partitions.length)
    return found
  }

  names(prefix: string): readonly string[] {
    return [...this.byName.keys()].filter((name) => name.startsWith(prefix)).sort()
  }

  /** `durable` syncs what was written. */
  async delete(name: string, durable: () => Promise<void>): Promise<void> {
    const topic = this.byName.get(name)
    if (topic === undefined) return
    const batch = this.store.batch()
    batch.delete(topicKey(name))
    batch.put(droppedKey(topic.row.number), new Uint8Array(0))
    failpoint('log.delete-topic', () => {
      this.store.write(batch)
    })
    await durable()
    this.byName.delete(name)
    topic.deleted = true
    for (const one of topic.partitions) one.tell()
    await dropRuns(this.store, topic.row.number, durable)
  }

  /** Wakes every reader. */
  tellAll(): void {
    for (const topic of this.byName.values()) for (const one of topic.partitions) one.tell()
  }

  private add(name: string, row: TopicRow): EmbeddedTopic {
    assert(!this.byName.has(name), `the topic ${name} was added twice`)
    const { identity, partitions } = row
    const topic = {
      description: { topic: name, identity, partitions, unsafe: this.unsafe },
      row,
      partitions: Array.from(
        { length: partitions },
        (_, number) => new EmbeddedPartition(this.store, name, row.number, partition(number)),
      ),
      deleted: false,
    }
    this.byName.set(name, topic)
    return topic
  }
}

/** Removes what is left of topics that were deleted just before the process ended. */
export async function finishDeletes(store: Store, durable: () => Promise<void>): Promise<void> {
  for (const row of rowsOf(store, DROPS)) await dropRuns(store, numberOfDropped(row.key), durable)
}

async function dropRuns(store: Store, number: number, durable: () => Promise<void>): Promise<void> {
  for (const range of allOf(number)) {
    failpoint('log.drop-runs', () => {
      store.drop(range)
    })
    await durable()
  }
  const batch = store.batch()
  batch.delete(droppedKey(number))
  failpoint('log.deleted', () => {
    store.write(batch)
  })
  await durable()
}

function rowsOf(store: Store, range: KeyRange): readonly Entry[] {
  const cursor = store.cursor(range)
  const rows: Entry[] = []
  for (;;) {
    const more = cursor.next(1000)
    if (more.length === 0) break
    rows.push(...more)
  }
  cursor.close()
  return rows
}
