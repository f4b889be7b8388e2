/** The name of a node that was given none: a random one that is made once and kept in its data directory. */
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Reason, TidemarkError } from '../../streams/core/errors.ts'
import { failpoint } from '../../streams/failpoint.ts'
import { codeOf, makeDirectory } from '../../streams/store/directory.ts'

const FILE = 'node-id'

/** @throws STORE_UNWRITABLE, DISK_FULL */
export async function keptNodeId(dataDirectory: string): Promise<string> {
  const file = join(dataDirectory, FILE)
  try {
    await makeDirectory(dataDirectory)
    return (await kept(file)) ?? (await make(file))
  } catch (caught) {
    return refuse(codeOf(caught) === 'ENOSPC' ? 'DISK_FULL' : 'STORE_UNWRITABLE', dataDirectory, caught)
  }
}

async function kept(file: string): Promise<string | undefined> {
  try {
    const text = (await readFile(file, 'utf8')).trim()
    return text === '' ? undefined : text
  } catch (caught) {
    if (codeOf(caught) === 'ENOENT') return undefined
    throw caught
  }
}

async function make(file: string): Promise<string> {
  const made = `node-${randomBytes(4).toString('hex')}`
  await failpoint('node-id.write', () => writeFile(file, `${made}\n`, { flush: true }))
  return made
}

function refuse(reason: Reason, directory: string, cause: unknown): never {
  const why = cause instanceof Error ? cause.message : String(cause)
  throw new TidemarkError(reason, `cannot write into the data directory ${directory}: ${why}`, {
    metadata: { directory },
    cause,
  })
}
