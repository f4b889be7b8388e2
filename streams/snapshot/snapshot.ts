/**
 * Snapshots of a cluster in a SnapshotStore: writing one, listing, reading back, dropping old ones. Order is what makes them safe:
 * copies first, each proved while it passes; the manifest last; and dropping begins with the manifest.
 */
import { createHash } from 'node:crypto'
import { TidemarkError } from '../core/errors.ts'
import { SNAPSHOT_MANIFEST_BYTES_MAX, SNAPSHOT_ORPHAN_MS } from '../core/limits.ts'
import type { Partition } from '../core/types.ts'
import type { CopyHeader } from './chunk.ts'
import { chunksFrom } from './chunk-stream.ts'
import { CopyReader } from './copy-reader.ts'
import {
  MANIFEST_VERSION,
  SNAPSHOT_NAME,
  begunAt,
  copyName,
  decodeManifest,
  encodeManifest,
  manifestName,
  snapshotOf,
} from './manifest.ts'
import type { Manifest, PartitionSnapshot } from './manifest.ts'
import type { SnapshotStore } from './snapshot-store.ts'

/** Told while something long is done: entries and bytes since the last time. */
export type OnProgress = (entries: number, bytes: number) => void

/** Which copy of which snapshot. */
export interface CopyPlace {
  readonly cluster: string
  readonly snapshot: string
  readonly topic: string
  readonly partition: Partition
}

/**
 * Writes the copy of one partition. It is no snapshot before `publishSnapshot` named it.
 * @throws SNAPSHOT_CORRUPT where the copy does not prove itself, SNAPSHOT_FOREIGN where it is of another replica
 */
export async function storeCopy(
  store: SnapshotStore,
  place: CopyPlace,
  chunks: AsyncIterable<Uint8Array>,
  onProgress?: OnProgress,
): Promise<PartitionSnapshot> {
  checkSnapshotName(place.snapshot)
  const reader = new CopyReader()
  const hash = createHash('sha256')
  let size = 0
  const passing = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      const before = reader.entries
      reader.accept(chunk)
      if (reader.header !== undefined) checkPlace(place, reader.header)
      hash.update(chunk)
      size += chunk.length
      yield chunk
      onProgress?.(reader.entries - before, chunk.length)
    }
    // Before the store shows it: what lacks its end never becomes an object.
    reader.finish()
  }
  const name = copyName(place.cluster, place.snapshot, place.topic, place.partition)
  await store.put(name, passing())
  const { topic, topicIdentity, partition, partitions, next, rows, chain } = reader.finish().header
  return {
    topic,
    topicIdentity,
    partition,
    partitions,
    next,
    chainHash: Buffer.from(chain).toString('hex'),
    rows,
    object: { name, size, sha256: hash.digest('hex') },
  }
}

function checkPlace(place: CopyPlace, header: CopyHeader): void {
  for (const name of ['cluster', 'topic', 'partition'] as const)
    if (header[name] !== place[name])
      throw new TidemarkError(
        'SNAPSHOT_FOREIGN',
        `the copy is of ${name} ${header[name]}, not of ${place[name]}`,
      )
}

function checkSnapshotName(snapshot: string): void {
  if (SNAPSHOT_NAME.test(snapshot)) return
  throw new TidemarkError(
    'FIELD_INVALID',
    `${JSON.stringify(snapshot.slice(0, 100))} is no name of a snapshot`,
    {
      metadata: { field: 'snapshot' },
    },
  )
}

export interface NewSnapshot {
  readonly cluster: string
  readonly snapshot: string
  readonly logIdentity: string
  /** Milliseconds since 1970. */
  readonly now: number
  readonly partitions: readonly PartitionSnapshot[]
}

/** From here on it is a snapshot. @throws SNAPSHOT_CORRUPT where a copy is missing or has another size */
export async function publishSnapshot(store: SnapshotStore, made: NewSnapshot): Promise<Manifest> {
  const { cluster, snapshot, logIdentity, now } = made
  checkSnapshotName(snapshot)
  if (made.partitions.length === 0)
    throw new TidemarkError('FIELD_INVALID', 'a snapshot has at least one partition', {
      metadata: { field: 'objects' },
    })
  const sizes = new Map((await store.list(`${cluster}/${snapshot}/`)).map(({ name, size }) => [name, size]))
  for (const { topic, partition, object } of made.partitions)
    if (
      object.name !== copyName(cluster, snapshot, topic, partition) ||
      sizes.get(object.name) !== object.size
    )
      throw damaged(
        object.name,
        `it has ${sizes.get(object.name) ?? 'no'} bytes, ${object.size} were written`,
      )
  const manifest: Manifest = {
    version: MANIFEST_VERSION,
    snapshot,
    cluster,
    logIdentity,
    createdAt: new Date(now).toISOString(),
    partitions: made.partitions.toSorted(
      (a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : 0) || a.partition - b.partition,
    ),
  }
  const bytes = encodeManifest(manifest)
  await store.put(
    manifestName(cluster, snapshot),
    (async function* () {
      yield await Promise.resolve(bytes)
    })(),
  )
  return manifest
}

export interface Snapshots {
  /** The complete ones, the newest first. */
  readonly complete: readonly Manifest[]
  /** Those whose manifest is no manifest of ours, the newest first. */
  readonly broken: readonly { readonly snapshot: string; readonly error: TidemarkError }[]
  /** Those without a manifest: being made, or never finished. */
  readonly unfinished: readonly string[]
}

/** Reads manifests only: whether the copies are good, `verifySnapshot` tells. @throws SNAPSHOT_STORE_UNAVAILABLE */
export async function listSnapshots(store: SnapshotStore, cluster: string): Promise<Snapshots> {
  const names = (await store.list(`${cluster}/`)).map(({ name }) => name)
  const snapshots = [...new Set(names.flatMap((name) => snapshotOf(cluster, name) ?? []))].sort().reverse()
  const present = new Set(names)
  const complete: Manifest[] = []
  const broken: { snapshot: string; error: TidemarkError }[] = []
  const unfinished: string[] = []
  for (const snapshot of snapshots) {
    if (!present.has(manifestName(cluster, snapshot))) {
      unfinished.push(snapshot)
      continue
    }
    try {
      complete.push(await readManifest(store, cluster, snapshot))
    } catch (caught) {
      const error = TidemarkError.from(caught)
      if (error.reason === 'SNAPSHOT_STORE_UNAVAILABLE') throw error
      broken.push({ snapshot, error })
    }
  }
  return { complete, broken, unfinished }
}

/** @throws SNAPSHOT_NOT_FOUND, SNAPSHOT_CORRUPT, SNAPSHOT_FOREIGN */
export async function readManifest(
  store: SnapshotStore,
  cluster: string,
  snapshot: string,
): Promise<Manifest> {
  checkSnapshotName(snapshot)
  const name = manifestName(cluster, snapshot)
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of store.get(name)) {
    bytes += piece.length
    if (bytes > SNAPSHOT_MANIFEST_BYTES_MAX)
      throw damaged(name, `it has over ${SNAPSHOT_MANIFEST_BYTES_MAX} bytes`)
    pieces.push(piece)
  }
  const manifest = decodeManifest(name, Buffer.concat(pieces))
  if (manifest.cluster !== cluster || manifest.snapshot !== snapshot)
    throw new TidemarkError(
      'SNAPSHOT_FOREIGN',
      `${name} is the manifest of snapshot ${manifest.snapshot} of cluster ${manifest.cluster}`,
    )
  return manifest
}

/** The chunks of one copy; ends with an error where they are not those that the manifest names. */
export async function* readCopy(store: SnapshotStore, partition: PartitionSnapshot): AsyncGenerator<Buffer> {
  const { object, next, rows, chainHash } = partition
  const hash = createHash('sha256')
  let size = 0
  const looking = new CopyReader()
  for await (const chunk of chunksFrom(store.get(object.name))) {
    if (size === 0) {
      looking.accept(chunk)
      const found = looking.header
      if (
        found?.next !== next ||
        found.rows !== rows ||
        Buffer.from(found.chain).toString('hex') !== chainHash
      )
        throw damaged(object.name, 'it is of another state than the manifest says')
    }
    hash.update(chunk)
    size += chunk.length
    yield chunk
  }
  if (size !== object.size || hash.digest('hex') !== object.sha256)
    throw damaged(object.name, 'size or hash are not those of the manifest')
}

export interface Damage {
  readonly topic: string
  readonly partition: Partition
  readonly error: TidemarkError
}

/** Reads all of it back. @returns what is wrong; nothing where it is good. @throws SNAPSHOT_STORE_UNAVAILABLE */
export async function verifySnapshot(
  store: SnapshotStore,
  manifest: Manifest,
  onProgress?: OnProgress,
): Promise<readonly Damage[]> {
  const damages: Damage[] = []
  for (const entry of manifest.partitions) {
    const { cluster, logIdentity } = manifest
    const { topic, topicIdentity, partition, partitions } = entry
    const reader = new CopyReader()
    try {
      for await (const chunk of readCopy(store, entry)) {
        const before = reader.entries
        reader.accept(chunk)
        onProgress?.(reader.entries - before, chunk.length)
      }
      const { header } = reader.finish()
      const wanted = { cluster, logIdentity, topic, topicIdentity, partition, partitions }
      for (const name of [
        'cluster',
        'logIdentity',
        'topic',
        'topicIdentity',
        'partition',
        'partitions',
      ] as const)
        if (header[name] !== wanted[name])
          throw new TidemarkError('SNAPSHOT_FOREIGN', `${entry.object.name} is of ${name} ${header[name]}`)
    } catch (caught) {
      const error = TidemarkError.from(caught)
      if (error.reason === 'SNAPSHOT_STORE_UNAVAILABLE') throw error
      damages.push({ topic, partition, error })
    }
  }
  return damages
}

/**
 * Keeps the `keep` newest complete snapshots and drops the others, and what unfinished ones left that were begun long ago.
 * @returns the names of those dropped
 */
export async function dropOldSnapshots(
  store: SnapshotStore,
  cluster: string,
  keep: number,
  now: number,
): Promise<readonly string[]> {
  const { complete, broken, unfinished } = await listSnapshots(store, cluster)
  const oldest = complete[keep - 1]
  const abandoned = unfinished.filter((snapshot) => begunAt(snapshot) < now - SNAPSHOT_ORPHAN_MS)
  const old =
    oldest === undefined
      ? []
      : [...complete.slice(keep), ...broken]
          .map(({ snapshot }) => snapshot)
          .filter((name) => name < oldest.snapshot)
  const dropped = [...old, ...abandoned].sort()
  for (const snapshot of dropped) {
    await store.delete(manifestName(cluster, snapshot))
    for (const { name } of await store.list(`${cluster}/${snapshot}/`)) await store.delete(name)
  }
  return dropped
}

const damaged = (name: string, why: string): TidemarkError =>
  new TidemarkError('SNAPSHOT_CORRUPT', `${name} is damaged: ${why}`, { metadata: { object: name } })
