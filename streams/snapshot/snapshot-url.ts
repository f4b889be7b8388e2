/** Opens the place of the snapshots that a URL names: `file:///path`, or `s3://bucket/prefix`. */
import { fileURLToPath } from 'node:url'
import { TidemarkError } from '../core/errors.ts'
import { openDirectoryStore } from './directory-store.ts'
import type { SnapshotStore } from './snapshot-store.ts'

export interface SnapshotPlace {
  readonly url: string
  /** For s3: URL of a server that is not Amazon's. */
  readonly s3Endpoint?: string | undefined
}

/** @throws CONFIG_INVALID */
export async function openSnapshotStore({ url, s3Endpoint }: SnapshotPlace): Promise<SnapshotStore> {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (parsed?.protocol === 'file:' && parsed.host === '') return openDirectoryStore(fileURLToPath(parsed))
  if (parsed?.protocol === 's3:' && parsed.hostname !== '') {
    // Who keeps snapshots in a directory carries no S3 client.
    const { openS3Store } = await import('./s3-store.ts')
    const prefix = decodeURIComponent(parsed.pathname).replace(/^\/+|\/+$/g, '')
    return openS3Store({ bucket: parsed.hostname, prefix, endpoint: s3Endpoint })
  }
  throw new TidemarkError(
    'CONFIG_INVALID',
    `TIDEMARK_SNAPSHOT_URL is ${JSON.stringify(url)}: it must be file:///path or s3://bucket/prefix`,
  )
}
