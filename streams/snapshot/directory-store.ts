/**
 * Snapshots in a directory, which may be a network share. An object is written to a file beside its place, synced, and moved
 * there in one step; the directory is synced after. A file whose name begins with a dot is one that was never finished.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { TidemarkError } from '../core/errors.ts'
import { COPY_CHUNK_BYTES, SNAPSHOT_ORPHAN_MS } from '../core/limits.ts'
import { failpoint } from '../failpoint.ts'
import { checkName, notFound, unavailable } from './snapshot-store.ts'
import type { SnapshotStore, StoredObject } from './snapshot-store.ts'

/** @param directory - made with the first object */
export function openDirectoryStore(directory: string): SnapshotStore {
  const root = resolve(directory)
  const place = `file://${root}`
  const pathOf = (name: string): string => {
    checkName(name)
    return join(root, ...name.split('/'))
  }

  let swept: Promise<void> | undefined

  return {
    place,
    async put(name, content) {
      const path = pathOf(name)
      await (swept ??= sweep(root))
      const partial = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.partial`)
      try {
        const made = await failpoint('snapshot.folder', () =>
          mkdir(dirname(path), { recursive: true }),
        ).catch(told(place))
        await writeAll(partial, content, place)
        await failpoint('snapshot.rename', () => rename(partial, path)).catch(told(place))
        // A new folder is an entry of the one above it.
        for (let folder = dirname(path); ; folder = dirname(folder)) {
          await syncFolder(folder).catch(told(place))
          if (made === undefined || folder === dirname(made)) break
        }
      } catch (caught) {
        await failpoint('snapshot.undo', () => rm(partial, { force: true })).catch(() => undefined)
        throw caught
      }
    },

    async *get(name) {
      const path = pathOf(name)
      try {
        yield* createReadStream(path, { highWaterMark: COPY_CHUNK_BYTES }) as AsyncIterable<Buffer>
      } catch (caught) {
        throw codeOf(caught) === 'ENOENT' ? notFound(place, name) : storeFailure(place, caught)
      }
    },

    async list(prefix) {
      // The deepest folder that holds all of them.
      const folder = join(root, ...prefix.split('/').slice(0, -1))
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
        (caught: unknown) => {
          if (codeOf(caught) === 'ENOENT') return []
          throw storeFailure(place, caught)
        },
      )
      const found: StoredObject[] = []
      for (const entry of entries) {
        if (!entry.isFile() || entry.name.startsWith('.')) continue
        const path = join(entry.parentPath, entry.name)
        const name = relative(root, path).split(sep).join('/')
        if (!name.startsWith(prefix)) continue
        // One that is deleted meanwhile is none.
        const facts = await stat(path).catch(() => undefined)
        if (facts !== undefined) found.push({ name, size: facts.size })
      }
      return found.sort((a, b) => (a.name < b.name ? -1 : 1))
    },

    async delete(name) {
      const path = pathOf(name)
      await failpoint('snapshot.delete', () => rm(path, { force: true })).catch(told(place))
      // Folders that are empty now are no longer of use; one that is not refuses.
      for (let folder = dirname(path); folder.startsWith(root + sep); folder = dirname(folder)) {
        const refused = await failpoint('snapshot.delete-folder', () => rmdir(folder)).catch(
          (caught: unknown) => caught,
        )
        if (refused !== undefined) break
      }
    },
  }
}

/** Removes what processes that ended left half written, once in a while: it takes room, and nothing else would find it. */
async function sweep(root: string): Promise<void> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    if (!entry.isFile() || !/^\..*\.partial$/.test(entry.name)) continue
    const path = join(entry.parentPath, entry.name)
    const facts = await stat(path).catch(() => undefined)
    if (facts !== undefined && Date.now() - facts.mtimeMs > SNAPSHOT_ORPHAN_MS)
      await failpoint('snapshot.sweep', () => rm(path, { force: true })).catch(() => undefined)
  }
}

async function writeAll(path: string, content: AsyncIterable<Uint8Array>, place: string): Promise<void> {
  const file = await failpoint('snapshot.open', () => open(path, 'wx')).catch(told(place))
  try {
    for await (const piece of content)
      await failpoint('snapshot.write', () => file.writeFile(piece)).catch(told(place))
    await failpoint('snapshot.sync', () => file.sync()).catch(told(place))
  } finally {
    await file.close().catch(() => undefined)
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await failpoint('snapshot.open-folder', () => open(folder, 'r'))
  try {
    await failpoint('snapshot.sync-folder', () => handle.sync())
  } catch (caught) {
    // Some network shares cannot sync a folder.
    if (!['EINVAL', 'ENOTSUP', 'EISDIR', 'EPERM'].includes(codeOf(caught))) throw caught
  } finally {
    await handle.close()
  }
}

const codeOf = (caught: unknown): string =>
  caught instanceof Error && 'code' in caught ? String(caught.code) : ''

const told =
  (place: string) =>
  (caught: unknown): never => {
    throw storeFailure(place, caught)
  }

function storeFailure(place: string, caught: unknown): TidemarkError {
  if (caught instanceof TidemarkError) return caught
  if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(codeOf(caught)))
    return new TidemarkError('DISK_FULL', `the disk of ${place} has no room`, { cause: caught })
  return unavailable(place, caught)
}
