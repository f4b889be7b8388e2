/**
 * What the comparison needs beside Node: Go programs (the load, etcd) and a Java program (Kafka Streams behind gRPC), built here with what
 * their modules and Maven bring, and Redis, a Debian package.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, constants, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { NoJava, cacheFolder, kafkaJars, withLock } from '../../infra/kafka/jars.ts'
import { PROJECT_ROOT } from '../../infra/project-root.ts'

const run = promisify(execFile)

const JAVA_SOURCES = join(PROJECT_ROOT, 'load-tests', 'compare', 'java')
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

export interface JavaProgram {
  readonly java: string
  readonly classPath: string
}

/** Built by Maven for each state of its sources, the protocol among them. @throws Missing without Java and Maven */
export async function streamsFront(): Promise<JavaProgram> {
  const { java } = await kafkaJars().catch((error: unknown) => {
    throw error instanceof NoJava ? new Missing(error.message, { cause: error }) : error
  })
  const protocol = join(PROJECT_ROOT, 'proto', 'tidemark', 'v1')
  const hash = createHash('sha256')
  for (const file of [
    ...['pom.xml', 'Front.java'].map((name) => join(JAVA_SOURCES, name)),
    ...['key_value_service.proto', 'types.proto'].map((name) => join(protocol, name)),
  ])
    hash.update(await readFile(file))
  const folder = join(cacheFolder(), `compare-streams-${hash.digest('hex').slice(0, 8)}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => buildFront(folder))
  return { java, classPath: [join(folder, 'classes'), join(folder, 'jars', '*')].join(delimiter) }
}

async function buildFront(folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  const goals = ['compile', 'dependency:copy-dependencies', '-DincludeScope=runtime']
  const out = [`-Dout=${partial}`, `-DoutputDirectory=${join(partial, 'jars')}`]
  await run('mvn', ['-B', '-q', '-f', join(JAVA_SOURCES, 'pom.xml'), ...goals, ...out], {
    timeout: BUILD_MS_MAX,
  }).catch((error: unknown) => {
    const said = error instanceof Error && 'stdout' in error ? String(error.stdout).trim() : String(error)
    throw new Missing(`Maven could not build the front of Kafka Streams: ${said.slice(-2000)}`, {
      cause: error,
    })
  })
  await rename(partial, folder)
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
