/** The place of the snapshots that the settings name. */
import { openSnapshotStore } from '../../streams/snapshot/snapshot-url.ts'
import type { SnapshotStore } from '../../streams/snapshot/snapshot-store.ts'
import type { Config } from './config.ts'

/** @returns undefined where none is set. @throws CONFIG_INVALID */
export async function openSnapshots({
  snapshotUrl,
  snapshotS3Endpoint,
}: Pick<Config, 'snapshotUrl' | 'snapshotS3Endpoint'>): Promise<SnapshotStore | undefined> {
  if (snapshotUrl === undefined) return undefined
  return openSnapshotStore({ url: snapshotUrl, s3Endpoint: snapshotS3Endpoint })
}
