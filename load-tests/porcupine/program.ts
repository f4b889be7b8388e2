/** The search program of this folder, built by Go once into a cache folder of the user, which is named after its sources. */
import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../../infra/kafka/jars.ts'
import { PROJECT_ROOT } from '../../infra/project-root.ts'
import type { Group } from './groups.ts'

const run = promisify(execFile)

const SOURCES = join(PROJECT_ROOT, 'load-tests', 'porcupine')
/** Milliseconds; a slow line fetches the module for a while. */
const BUILD_MS_MAX = 5 * 60_000

/** Why nothing can be searched on this machine. */
export class NoGo extends Error {
  override readonly name = 'NoGo'
}

export interface Verdict {
  readonly keys: readonly string[]
  readonly operations: number
  /** `unknown`: the time was over first, which is not a pass. */
  readonly result: 'ok' | 'illegal' | 'unknown'
  /** Entries of calls that the longest explanation leaves out. */
  readonly left: readonly number[]
}

/** The path of the program. @throws NoGo */
export async function searchProgram(): Promise<string> {
  const names = (await readdir(SOURCES)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort()
  const digest = createHash('sha256')
  for (const name of names) digest.update(name).update(await readFile(join(SOURCES, name)))
  const folder = join(cacheFolder(), `porcupine-${digest.digest('hex').slice(0, 12)}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => build(folder))
  return join(folder, 'search')
}

async function build(folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  const options = { cwd: SOURCES, env: { ...process.env, CGO_ENABLED: '0' }, timeout: BUILD_MS_MAX }
  const flags = ['-buildvcs=false', '-mod=readonly', '-ldflags=-s -w']
  await run('go', ['build', ...flags, '-o', join(partial, 'search'), '.'], options).catch(
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
        throw new NoGo('go is not there: install Go', { cause: error })
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error)
      throw new NoGo(`Go could not build load-tests/porcupine: ${said.slice(-2000)}`, { cause: error })
    },
  )
  await rename(partial, folder)
}

/** One verdict for each group, in that order. @param secondsMax - of each search */
export async function search(groups: Iterable<Group>, secondsMax = 20): Promise<readonly Verdict[]> {
  const child = spawn(await searchProgram(), ['-seconds', String(secondsMax)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const verdicts: Verdict[] = []
  const reading = (async () => {
    for await (const line of createInterface(child.stdout)) verdicts.push(JSON.parse(line) as Verdict)
  })()
  child.stdin.on('error', () => undefined) // it has ended: its exit code says why
  for (const group of groups)
    if (!child.stdin.write(`${JSON.stringify(group)}\n`))
      await Promise.race([new Promise((resolve) => child.stdin.once('drain', resolve)), ended])
  child.stdin.end()
  const code = await ended
  await reading
  if (code !== 0) throw new Error(`the search ended with code ${String(code)}`)
  return verdicts
}
