/** What the comparison needs beside Node: Go programs (the load, etcd), built here from their modules, and Redis, a Debian package. */
import { execFile } from 'node:child_process'
import { access, constants, mkdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder, withLock } from '../../infra/kafka/jars.ts'
import { PROJECT_ROOT } from '../../infra/project-root.ts'

const run = promisify(execFile)

const SOURCES = join(PROJECT_ROOT, 'load-tests', 'compare', 'go')
const BUF = join(PROJECT_ROOT, 'node_modules', '.bin', 'buf')
/** Milliseconds; the first build, of etcd above all, takes two cores some minutes. */
const BUILD_MS_MAX = 30 * 60_000

/** Something that a peer needs is not on this machine. */
export class Missing extends Error {
  override readonly name = 'Missing'
}

export interface Programs {
  readonly load: string
  readonly etcd: string
}

/** Builds what has changed since the last time. @throws Missing without Go */
export async function goPrograms(): Promise<Programs> {
  const folder = join(cacheFolder(), 'compare')
  await mkdir(folder, { recursive: true })
  await withLock(`${folder}.lock`, async () => {
    await go(['version'])
    const proto = join(PROJECT_ROOT, 'proto')
    // Only our own: google.rpc is a module of Go already, and may be there once.
    const own = ['--path', join(proto, 'tidemark')]
    await run(BUF, ['generate', proto, '--template', 'buf.gen.yaml', '-o', '.', ...own], {
      cwd: SOURCES,
      timeout: BUILD_MS_MAX,
    })
    await go(['build', '-o', folder + '/', './cmd/load', './cmd/etcd'])
  })
  return { load: join(folder, 'load'), etcd: join(folder, 'etcd') }
}

async function go(args: readonly string[]): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: '0' }
  await run('go', args, { cwd: SOURCES, env, timeout: BUILD_MS_MAX }).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new Missing('go is not there: install Go', { cause: error })
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : String(error)
    throw new Error(`go ${args[0] ?? ''} failed: ${said.slice(-2000)}`, { cause: error })
  })
}

/** Installs it as root, where it is missing. @throws Missing */
export async function redisServer(): Promise<string> {
  const path = await findProgram('redis-server')
  if (path !== undefined) return path
  if (process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    const install = ['install', '-y', '--no-install-recommends', 'redis-server']
    await run('apt-get', install, { env })
      .catch(() => run('apt-get', ['update', '-q'], { env }).then(() => run('apt-get', install, { env })))
      .catch(() => undefined)
  }
  const installed = await findProgram('redis-server')
  if (installed === undefined)
    throw new Missing('redis-server is not there: install the Debian package redis-server')
  return installed
}

async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name)
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (found) return path
  }
  return undefined
}
