/** k6 and ghz, built by Go from the modules that go/go.mod pins, once into the cache folder of the user: `npm run k6 -- run FILE`, `npm run ghz -- …`. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../../infra/kafka/jars.ts'
import { PROJECT_ROOT } from '../../infra/project-root.ts'

const run = promisify(execFile)

const SOURCES = join(PROJECT_ROOT, 'load-tests', 'k6', 'go')
const PACKAGES = { k6: 'go.k6.io/k6', ghz: 'github.com/bojand/ghz/cmd/ghz' }
/** Milliseconds; two idle cores take three minutes. */
const BUILD_MS_MAX = 30 * 60_000

export type LoadProgram = keyof typeof PACKAGES

/** Its path. @throws where there is no Go, or it cannot build */
export async function loadProgram(name: LoadProgram): Promise<string> {
  const hash = createHash('sha256')
  for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(SOURCES, file)))
  const folder = join(cacheFolder(), `load-programs-${hash.digest('hex').slice(0, 8)}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => build(folder))
  return join(folder, name)
}

async function build(folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  console.error(`building k6 and ghz into ${folder} (once, some minutes) …`)
  const args = [
    'build',
    '-p=2',
    '-trimpath',
    '-ldflags=-s -w',
    '-o',
    `${partial}/`,
    ...Object.values(PACKAGES),
  ]
  const env = { ...process.env, CGO_ENABLED: '0' }
  await run('go', args, { cwd: SOURCES, env, timeout: BUILD_MS_MAX, maxBuffer: 2 ** 26 }).catch(
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        throw new Error('go is not there: install Go 1.26 or newer', { cause: error })
      throw error
    },
  )
  await rename(partial, folder)
}

const [, file = '', name, ...args] = process.argv
if (file.endsWith('k6/programs.js') && (name === 'k6' || name === 'ghz')) {
  const child = spawn(await loadProgram(name), args, { stdio: 'inherit' })
  child.once('exit', (code) => (process.exitCode = code ?? 1))
}
