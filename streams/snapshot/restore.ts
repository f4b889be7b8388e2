/**
 * Replicas from snapshots: all of a cluster's into a fresh store, or one that a node lacks. Each partition takes the newest copy that is
 * good, because each goes on from its own offset of the log: a damaged copy costs its partition a longer replay, and nothing else.
 */
import { TidemarkError } from '../core/errors.ts'
import type { Offset, Partition } from '../core/types.ts'
import type { CopyOffer } from '../ports.ts'
import type { Store } from '../store/store.ts'
import { installCopy } from './install.ts'
import type { Manifest, PartitionSnapshot } from './manifest.ts'
import { listSnapshots, readCopy } from './snapshot.ts'
import type { OnProgress } from './snapshot.ts'
import type { SnapshotStore } from './snapshot-store.ts'

/** The copies of one partition in the cluster's snapshots, the newest first. */
export async function* snapshotOffers(
  store: SnapshotStore,
  cluster: string,
  topic: string,
  partition: Partition,
): AsyncGenerator<CopyOffer> {
  const { complete } = await listSnapshots(store, cluster)
  for (const { snapshot, partitions } of complete) {
    const entry = partitions.find((one) => one.topic === topic && one.partition === partition)
    if (entry !== undefined) yield { from: `snapshot ${snapshot}`, open: () => readCopy(store, entry) }
  }
}

export interface RestoreOptions {
  readonly snapshots: SnapshotStore
  readonly cluster: string
  /** The newest that is taken; undefined = the newest there is. */
  readonly snapshot?: string | undefined
  /** Has no replicas. */
  readonly store: Store
  readonly onProgress?: OnProgress
  /** Called for each copy that was no good, before an older one is tried. */
  readonly onTrouble: (sentence: string) => void
}

export interface Restored extends PartitionSnapshot {
  /** Where it came from. */
  readonly snapshot: string
}

/** Which snapshots a restore takes copies from, the first before the others. @throws SNAPSHOT_NOT_FOUND */
export async function restorable(
  snapshots: SnapshotStore,
  cluster: string,
  snapshot: string | undefined,
  onTrouble: (sentence: string) => void,
): Promise<readonly Manifest[]> {
  const { complete, broken } = await listSnapshots(snapshots, cluster)
  const usable = complete.filter((one) => snapshot === undefined || one.snapshot <= snapshot)
  for (const one of broken)
    if (snapshot === undefined || one.snapshot <= snapshot)
      onTrouble(`snapshot ${one.snapshot} cannot be read, older ones are used: ${one.error.message}`)
  const newest = usable[0]
  if (
    newest === undefined ||
    (snapshot !== undefined &&
      newest.snapshot !== snapshot &&
      !broken.some((one) => one.snapshot === snapshot))
  )
    throw new TidemarkError(
      'SNAPSHOT_NOT_FOUND',
      `${snapshots.place} has no complete snapshot ${snapshot === undefined ? '' : `${snapshot} `}of cluster ${cluster}`,
    )
  // One log has one past: snapshots of another log are no older versions of these.
  return usable.filter(({ logIdentity }) => logIdentity === newest.logIdentity)
}

/** @throws SNAPSHOT_CORRUPT where a partition has no good copy at all; what was restored before stays */
export async function restoreReplicas(
  manifests: readonly Manifest[],
  options: Omit<RestoreOptions, 'cluster' | 'snapshot'>,
): Promise<readonly Restored[]> {
  const [newest] = manifests
  const restored: Restored[] = []
  for (const { topic, topicIdentity, partition } of newest?.partitions ?? []) {
    const entries = manifests.flatMap((manifest) =>
      manifest.partitions
        .filter(
          (one) => one.topic === topic && one.partition === partition && one.topicIdentity === topicIdentity,
        )
        .map((entry) => ({ manifest, entry })),
    )
    restored.push(await restoreOne(entries, options))
  }
  return restored
}

async function restoreOne(
  entries: readonly { readonly manifest: Manifest; readonly entry: PartitionSnapshot }[],
  { snapshots, store, onProgress, onTrouble }: Omit<RestoreOptions, 'cluster' | 'snapshot'>,
): Promise<Restored> {
  let last: TidemarkError | undefined
  for (const { manifest, entry } of entries) {
    const { cluster, logIdentity, snapshot } = manifest
    const { topic, topicIdentity, partition, partitions } = entry
    const wanted = {
      cluster,
      logIdentity,
      topic,
      topicIdentity,
      partition,
      partitions,
      notBefore: 0 as Offset,
    }
    let [entriesBefore, bytesBefore] = [0, 0]
    try {
      await installCopy({
        store,
        wanted,
        copy: readCopy(snapshots, entry),
        onProgress(all, bytes) {
          onProgress?.(all - entriesBefore, bytes - bytesBefore)
          ;[entriesBefore, bytesBefore] = [all, bytes]
        },
      })
      return { ...entry, snapshot }
    } catch (caught) {
      last = TidemarkError.from(caught)
      if (!['SNAPSHOT_CORRUPT', 'SNAPSHOT_FOREIGN', 'SNAPSHOT_NOT_FOUND'].includes(last.reason)) throw last
      onTrouble(
        `the copy of ${topic}/${partition} in snapshot ${snapshot} is no good, the one before is used: ${last.message}`,
      )
    }
  }
  throw last ?? new TidemarkError('SNAPSHOT_NOT_FOUND', 'the snapshot names no partition')
}
