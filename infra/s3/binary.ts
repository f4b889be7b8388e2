/**
 * The S3 server of the tests: Versity's S3 Gateway, which serves a folder as S3 does (signatures, multipart uploads). Go builds it once from
 * its module into a cache folder of the user, which is named after the version.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../kafka/jars.ts'

const run = promisify(execFile)

const VERSION = 'v1.8.0'
const MODULE = 'github.com/versity/versitygw/cmd/versitygw'
/** Milliseconds; two cores take two minutes. */
const BUILD_MS_MAX = 10 * 60_000

/** Why there can be no S3 server on this machine. */
export class NoS3 extends Error {
  override readonly name = 'NoS3'
}

/** The path of the program. @throws NoS3 */
export async function s3Server(): Promise<string> {
  const folder = join(cacheFolder(), `versitygw-${VERSION}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => build(folder))
  return join(folder, 'versitygw')
}

async function build(folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  console.error(
    `building an S3 server for tests (versitygw ${VERSION}) into ${folder} (once, some minutes) …`,
  )
  const env = { ...process.env, GOBIN: partial, CGO_ENABLED: '0' }
  await run('go', ['install', '-ldflags=-s -w', `${MODULE}@${VERSION}`], {
    env,
    timeout: BUILD_MS_MAX,
  }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new NoS3('go is not there: install Go', { cause: error })
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error)
    throw new NoS3(`Go could not build versitygw: ${said.slice(-2000)}`, { cause: error })
  })
  await rename(partial, folder)
}
