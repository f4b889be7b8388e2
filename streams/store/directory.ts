/**
 * Makes a folder, and those above it, one at a time. Node's recursive mkdir never returns where the file system says that a folder
 * is not there although the one above it is, as /proc does.
 */
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { failpoint } from '../failpoint.ts'

/** @throws what the file system said; ENOENT only where it takes no folders */
export async function makeDirectory(path: string): Promise<void> {
  const found = await stat(path).catch((caught: unknown) => missing(caught))
  if (found?.isDirectory() === true) return
  const above = dirname(path)
  if (found === undefined && above !== path) await makeDirectory(above)
  try {
    await failpoint('folder.make', () => mkdir(path))
  } catch (caught) {
    // Another process made it meanwhile.
    if ((await stat(path).catch((later: unknown) => missing(later)))?.isDirectory() !== true) throw caught
  }
}

function missing(caught: unknown): undefined {
  if (codeOf(caught) === 'ENOENT') return undefined
  throw caught
}

/** The errno of a failure of the file system; empty when it is another one. */
export const codeOf = (caught: unknown): string =>
  caught instanceof Error && 'code' in caught ? String(caught.code) : ''
