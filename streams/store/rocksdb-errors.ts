/**
 * What RocksDB and the file system report about a data directory, as reasons of the catalogue. RocksDB gives a code only
 * for corruption and for the lock; the rest stands in the text of its message, which ends with the words of errno.
 */
import { TidemarkError, type Reason } from '../core/errors.ts'

/** Codes of Node, and the words of the same errors in RocksDB's messages. */
const BY_ERRNO: readonly (readonly [code: string, words: string, reason: Reason])[] = [
  ['ENOSPC', 'No space left on device', 'DISK_FULL'],
  ['EDQUOT', 'Disk quota exceeded', 'DISK_FULL'],
  ['EFBIG', 'File too large', 'DISK_FULL'],
  ['EACCES', 'Permission denied', 'STORE_UNWRITABLE'],
  ['EPERM', 'Operation not permitted', 'STORE_UNWRITABLE'],
  ['EROFS', 'Read-only file system', 'STORE_UNWRITABLE'],
  ['ENOTDIR', 'Not a directory', 'STORE_UNWRITABLE'],
  ['EEXIST', 'File exists', 'STORE_UNWRITABLE'],
  ['EMFILE', 'Too many open files', 'STORE_UNWRITABLE'],
  ['ENFILE', 'Too many open files in system', 'STORE_UNWRITABLE'],
]

const SENTENCES: Partial<Record<Reason, string>> = {
  STORE_CORRUPT: 'is damaged',
  STORE_LOCKED: 'is open in another process',
  STORE_UNWRITABLE: 'cannot be written',
  DISK_FULL: 'is on a disk that has no room',
}

export function storeError(caught: unknown, directory: string): TidemarkError {
  if (caught instanceof TidemarkError) return caught
  const message = caught instanceof Error ? caught.message : String(caught)
  const code = caught instanceof Error && 'code' in caught ? String(caught.code) : ''
  return refuse(reasonOf(code, message), directory, message, caught)
}

export function refuse(reason: Reason, directory: string, detail: string, cause?: unknown): TidemarkError {
  const sentence = SENTENCES[reason] ?? 'failed'
  return new TidemarkError(reason, `the data directory ${directory} ${sentence}: ${detail}`, {
    metadata: { directory },
    ...(cause === undefined ? {} : { cause }),
  })
}

function reasonOf(code: string, message: string): Reason {
  if (code === 'LEVEL_LOCKED') return 'STORE_LOCKED'
  const known = BY_ERRNO.find(([errno, words]) => code === errno || message.includes(words))
  // Checked before the code for corruption: RocksDB wraps a file that it may not open at start as a corruption.
  if (known !== undefined) return known[2]
  // A file that is not there, a read error of the disk, a version that RocksDB does not know: all make the data unreadable.
  return 'STORE_CORRUPT'
}
