/**
 * The SnapshotStore port: objects by name, for snapshots. Implementations: `directory`, `s3`. Both pass snapshot-store.contract.ts.
 *
 * Names are parts of [A-Za-z0-9._-] joined by slashes; a part does not begin with a dot. An object is there whole or not at all, and does not
 * change once it is there, but by being put again. Every failure is a TidemarkError: SNAPSHOT_STORE_UNAVAILABLE with what the
 * place said, SNAPSHOT_NOT_FOUND, DISK_FULL.
 */
import { TidemarkError } from '../core/errors.ts'

export interface StoredObject {
  readonly name: string
  /** Bytes. */
  readonly size: number
}

export interface SnapshotStore {
  /** Where it is, for people. */
  readonly place: string
  /**
   * Stores all of `content` under the name, and replaces what was there. It is seen, whole and durable, when the call
   * has resolved, and not before; never where `content` throws, whose error comes through as it is.
   */
  put(name: string, content: AsyncIterable<Uint8Array>): Promise<void>
  /** The bytes of the object, in pieces as they come. Fails at the first piece with SNAPSHOT_NOT_FOUND where there is none. */
  get(name: string): AsyncIterable<Uint8Array>
  /** All objects whose names begin with `prefix`, by name. */
  list(prefix: string): Promise<readonly StoredObject[]>
  /** Fine where there is none. */
  delete(name: string): Promise<void>
}

/** Object stores take 1,024 bytes for a name and the prefix that the URL gives. */
const NAME_MAX = 900
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/

/** @throws FIELD_INVALID */
export function checkName(name: string): void {
  if (NAME.test(name) && name.length <= NAME_MAX) return
  throw new TidemarkError(
    'FIELD_INVALID',
    `${JSON.stringify(name.slice(0, 200))} is no name of an object of a snapshot`,
    {
      metadata: { field: 'name' },
    },
  )
}

export const notFound = (place: string, name: string): TidemarkError =>
  new TidemarkError('SNAPSHOT_NOT_FOUND', `${place} has no object ${name}`, { metadata: { object: name } })

export function unavailable(place: string, cause: unknown): TidemarkError {
  const why = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  return new TidemarkError(
    'SNAPSHOT_STORE_UNAVAILABLE',
    `the snapshots at ${place} cannot be reached: ${why}`,
    {
      cause,
    },
  )
}
