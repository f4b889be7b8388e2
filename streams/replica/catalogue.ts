/**
 * What a data directory says of itself: whose it is, and which prefix each replica has. Lies under prefix 0, which no replica gets.
 *
 *   0 'i'                        → JSON: layout, cluster, node id, identity of the log
 *   0 'p' topic '\0' partition:u32 → prefix:u32
 *   0 'n'                        → the last prefix given, u32
 *   0 'b' prefix:u32             → topic '\0' partition:u32: what lies under the prefix is no replica (yet, or any more) and is
 *                                  dropped at the next start. A replica that is built from a copy becomes one in the batch that
 *                                  points 'p' to its prefix and takes its 'b' away.
 *   0 'q' topic '\0' partition:u32 → a sentence: the replica was found wrong and is served no more, after a restart neither
 */
import { TidemarkError } from '../core/errors.ts'
import { replicaPrefix, replicaSpan } from '../core/keys.ts'
import type { Prefix } from '../core/keys.ts'
import type { Partition } from '../core/types.ts'
import { failpoint } from '../failpoint.ts'
import type { Batch, Store } from '../store/store.ts'

/** Also that of what lies under the prefixes: keys.ts, state.ts, row.ts. */
const LAYOUT = 2

export interface Owner {
  readonly cluster: string
  readonly nodeId: string
  readonly logIdentity: string
}

const ownKey = (letter: string, rest: Uint8Array = new Uint8Array(0)): Buffer =>
  Buffer.concat([Buffer.alloc(4), Buffer.from(letter, 'latin1'), rest])

/** Marks a fresh store as the owner's, or refuses a store that is another's. @throws STORE_FOREIGN, STORE_CORRUPT */
export function claimStore(store: Store, owner: Owner): void {
  const known = store.getMany([ownKey('i')])[0]
  if (known === undefined) {
    const batch = store.batch()
    batch.put(ownKey('i'), Buffer.from(JSON.stringify({ layout: LAYOUT, ...owner })))
    failpoint('catalogue.claim', () => {
      store.write(batch, { sync: true })
    })
    return
  }
  const written = readOwner(known)
  if (written.layout !== LAYOUT)
    throw new TidemarkError(
      'STORE_FOREIGN',
      `the data directory has layout ${written.layout}, this node reads layout ${LAYOUT}: delete the folder \`replicas\` in it ` +
        'to build the replicas anew from the log, or start the version of Tidemark that made it',
      { metadata: { field: 'layout', found: String(written.layout), wanted: String(LAYOUT) } },
    )
  const differing = (['cluster', 'nodeId', 'logIdentity'] as const).find(
    (name) => written[name] !== owner[name],
  )
  if (differing === undefined) return
  throw new TidemarkError(
    'STORE_FOREIGN',
    `the data directory belongs to ${differing} "${written[differing]}", this node is of "${owner[differing]}": ` +
      'give this node its own TIDEMARK_DATA_DIR, or delete the folder `replicas` in it to build them anew from the log',
    { metadata: { field: differing, found: written[differing], wanted: owner[differing] } },
  )
}

function readOwner(bytes: Uint8Array): Owner & { readonly layout: number } {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof parsed === 'object' && parsed !== null && 'layout' in parsed) {
      const text = (name: string): string => {
        const value: unknown = Reflect.get(parsed, name)
        return typeof value === 'string' ? value : ''
      }
      return {
        layout: Number(parsed.layout),
        cluster: text('cluster'),
        nodeId: text('nodeId'),
        logIdentity: text('logIdentity'),
      }
    }
  } catch {
    // Told below: a mark that is no JSON is as damaged as one that lacks its fields.
  }
  throw new TidemarkError('STORE_CORRUPT', 'the mark of the data directory is damaged')
}

const placeOf = (topic: string, partition: Partition): Buffer => {
  const number = Buffer.alloc(4)
  number.writeUInt32BE(partition)
  return Buffer.concat([Buffer.from(`${topic}\0`, 'utf8'), number])
}

/** A prefix that was never given before; the batch makes it so. */
function newPrefix(store: Store, batch: Batch): Prefix {
  const last = store.getMany([ownKey('n')])[0]
  const prefix = replicaPrefix(last === undefined ? 1 : Buffer.from(last).readUInt32BE(0) + 1)
  batch.put(ownKey('n'), prefix)
  return prefix
}

/** The prefix of a replica; undefined where it has none yet. */
export function knownPrefix(store: Store, topic: string, partition: Partition): Prefix | undefined {
  const known = store.getMany([ownKey('p', placeOf(topic, partition))])[0]
  return known === undefined ? undefined : Buffer.from(known)
}

/** The prefix of a replica; a new one where it has none yet. */
export function prefixOf(store: Store, topic: string, partition: Partition): Prefix {
  const known = knownPrefix(store, topic, partition)
  if (known !== undefined) return known
  const batch = store.batch()
  const prefix = newPrefix(store, batch)
  batch.put(ownKey('p', placeOf(topic, partition)), prefix)
  failpoint('catalogue.prefix', () => {
    store.write(batch)
  })
  return prefix
}

// ---- replicas in the making ----

/** A prefix for a replica that is not there before `adoptBuild`. One at a time for each replica. @throws DISK_FULL */
export function beginBuild(store: Store, topic: string, partition: Partition): Prefix {
  const place = placeOf(topic, partition)
  for (const { prefix, of } of builds(store)) if (of.equals(place)) dropBuild(store, prefix)
  const batch = store.batch()
  const prefix = newPrefix(store, batch)
  batch.put(ownKey('b', prefix), place)
  failpoint('catalogue.begin', () => {
    store.write(batch)
  })
  return prefix
}

/** What was built is the replica from here on, in one step; the one that it replaces is dropped. @throws DISK_FULL */
export function adoptBuild(store: Store, topic: string, partition: Partition, prefix: Prefix): void {
  const place = placeOf(topic, partition)
  const before = knownPrefix(store, topic, partition)
  const batch = store.batch()
  batch.put(ownKey('p', place), prefix)
  batch.delete(ownKey('b', prefix))
  batch.delete(ownKey('q', place))
  if (before !== undefined) batch.put(ownKey('b', before), place)
  failpoint('catalogue.adopt', () => {
    store.write(batch)
  })
  if (before !== undefined) dropBuild(store, before)
}

/** Drops what an install wrote, or a replica that was replaced. @throws DISK_FULL: the next start does it then */
export function dropBuild(store: Store, prefix: Prefix): void {
  failpoint('catalogue.drop', () => {
    store.drop(replicaSpan(prefix))
  })
  const batch = store.batch()
  batch.delete(ownKey('b', prefix))
  failpoint('catalogue.dropped', () => {
    store.write(batch)
  })
}

/** At start: drops what earlier runs left unfinished. Returns how many. */
export function sweepBuilds(store: Store): number {
  const left = builds(store)
  for (const { prefix } of left) dropBuild(store, prefix)
  return left.length
}

function builds(store: Store): readonly { readonly prefix: Prefix; readonly of: Buffer }[] {
  const cursor = store.cursor({ gte: ownKey('b'), lt: ownKey('c') })
  const found = []
  for (let entries = cursor.next(100); entries.length > 0; entries = cursor.next(100))
    for (const { key, value } of entries)
      found.push({ prefix: Buffer.from(key.subarray(5)), of: Buffer.from(value) })
  cursor.close()
  return found
}

// ---- replicas that are wrong ----

/** The replica is not served any more, whatever happens to the process, until another is in its place. @throws DISK_FULL */
export function quarantine(store: Store, topic: string, partition: Partition, why: string): void {
  const batch = store.batch()
  batch.put(ownKey('q', placeOf(topic, partition)), Buffer.from(why, 'utf8'))
  failpoint('catalogue.quarantine', () => {
    store.write(batch, { sync: true })
  })
}

/** Why the replica is not served; undefined where it is. */
export function quarantined(store: Store, topic: string, partition: Partition): string | undefined {
  const why = store.getMany([ownKey('q', placeOf(topic, partition))])[0]
  return why === undefined ? undefined : Buffer.from(why).toString('utf8')
}

// ---- replicas that are given up ----

export interface StoredReplica {
  readonly topic: string
  readonly partition: Partition
  readonly prefix: Prefix
}

/** All replicas of the store, by topic and partition. */
export function storedReplicas(store: Store): readonly StoredReplica[] {
  const cursor = store.cursor({ gte: ownKey('p'), lt: ownKey('q') })
  const found: StoredReplica[] = []
  for (let entries = cursor.next(500); entries.length > 0; entries = cursor.next(500))
    for (const { key, value } of entries) {
      const place = Buffer.from(key.subarray(5))
      const end = place.length - 5
      found.push({
        topic: place.toString('utf8', 0, end),
        partition: place.readUInt32BE(end + 1) as Partition,
        prefix: Buffer.from(value),
      })
    }
  cursor.close()
  return found
}

/**
 * Gives up a replica, if there is one: in one step its rows belong to nobody, then they are dropped. Ended in between, the next
 * start drops them. @throws DISK_FULL
 */
export function releaseReplica(store: Store, topic: string, partition: Partition): void {
  const prefix = knownPrefix(store, topic, partition)
  if (prefix === undefined) return
  const place = placeOf(topic, partition)
  const batch = store.batch()
  batch.delete(ownKey('p', place))
  batch.delete(ownKey('q', place))
  batch.put(ownKey('b', prefix), place)
  failpoint('catalogue.release', () => {
    store.write(batch)
  })
  dropBuild(store, prefix)
}
