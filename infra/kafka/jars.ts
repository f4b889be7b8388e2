/**
 * The jars of Apache Kafka, as pom.xml lists them: copied once by Maven into a cache folder of the user
 * (`$TIDEMARK_CACHE_DIR`, else `$XDG_CACHE_HOME/tidemark`, else `~/.cache/tidemark`), in a folder that is named after the version and the
 * content of pom.xml. Only a complete folder has that name: it is filled under another one and renamed. A lock file makes a
 * second starter wait, because Maven's own repository does not bear two Mavens at once.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { PROJECT_ROOT } from '../project-root.ts'

const run = promisify(execFile)

export const KAFKA_SOURCES = join(PROJECT_ROOT, 'infra', 'kafka')
/** Brokers of Kafka 4 need it, and so does running a single Java source that uses records. */
const JAVA_MAJOR_MIN = 17
/** Milliseconds; a slow line takes minutes for 45 MB. */
const FETCH_MS_MAX = 10 * 60_000
const LOCK_POLL_MS = 200

export interface KafkaJars {
  /** The `java` command. */
  readonly java: string
  readonly version: string
  /** For `java -cp`. */
  readonly classPath: string
  /** Where class-archive.ts puts its file. */
  readonly classArchive: string
}

/** Why there can be no Kafka from Maven on this machine. */
export class NoJava extends Error {
  override readonly name = 'NoJava'
}

let found: Promise<KafkaJars> | undefined

/** @throws NoJava where Java or Maven is missing or too old, and the jars are not in the cache. */
export function kafkaJars(): Promise<KafkaJars> {
  found ??= findJars().catch((error: unknown) => {
    found = undefined
    throw error
  })
  return found
}

async function findJars(): Promise<KafkaJars> {
  const { java, major } = await findJava()
  const pom = join(KAFKA_SOURCES, 'pom.xml')
  const text = await readFile(pom)
  const version = /<kafka\.version>([^<]+)</.exec(text.toString())?.[1]
  if (version === undefined) throw new Error(`${pom} names no <kafka.version>`)
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 8)
  const folder = join(cacheFolder(), `kafka-${version}-${digest}`)
  if (!existsSync(folder)) await withLock(`${folder}.lock`, () => fetchJars(pom, folder))
  // By name, not `*`: a class archive is good only for the same jars in the same order.
  const names = (await readdir(folder)).filter((name) => name.endsWith('.jar')).sort()
  return {
    java,
    version,
    classPath: names.map((name) => join(folder, name)).join(delimiter),
    classArchive: join(folder, `java-${major}.jsa`),
  }
}

export const cacheFolder = (): string =>
  process.env['TIDEMARK_CACHE_DIR'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'tidemark')

async function findJava(): Promise<{ java: string; major: number }> {
  const home = process.env['JAVA_HOME']
  const java = home === undefined ? 'java' : join(home, 'bin', 'java')
  const { stderr } = await run(java, ['-version']).catch((error: unknown) => {
    throw new NoJava(`${java} does not run: install Java ${JAVA_MAJOR_MIN} or newer`, { cause: error })
  })
  const major = Number(/version "(\d+)/.exec(stderr)?.[1])
  if (!(major >= JAVA_MAJOR_MIN)) {
    throw new NoJava(`${java} is version ${major}; Kafka needs ${JAVA_MAJOR_MIN} or newer`)
  }
  return { java, major }
}

async function fetchJars(pom: string, folder: string): Promise<void> {
  // Another starter may have filled it while this one waited for the lock.
  if (existsSync(folder)) return
  const partial = `${folder}.partial`
  await rm(partial, { recursive: true, force: true })
  console.error(`fetching the jars of Apache Kafka into ${folder} (once, 45 MB) …`)
  const args = ['-B', '-q', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime']
  await run('mvn', [...args, `-DoutputDirectory=${partial}`], { timeout: FETCH_MS_MAX }).catch(
    (error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') {
        throw new NoJava('mvn is not there: install Maven', { cause: error })
      }
      const said = error instanceof Error && 'stdout' in error ? String(error.stdout).trim() : String(error)
      throw new NoJava(`Maven could not fetch Kafka: ${said.slice(0, 2000)}`, { cause: error })
    },
  )
  if ((await readdir(partial)).length === 0) throw new NoJava('Maven fetched no jars')
  await rename(partial, folder)
}

/** Runs `action` while this process alone holds the lock. A lock whose holder is gone, or that is too old, is broken. */
export async function withLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  await mkdir(join(path, '..'), { recursive: true })
  for (;;) {
    const handle = await open(path, 'wx').catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return undefined
      throw error
    })
    if (handle !== undefined) {
      try {
        await handle.writeFile(String(process.pid))
        await handle.close()
        return await action()
      } finally {
        await rm(path, { force: true })
      }
    }
    if (await isAbandoned(path)) await rm(path, { force: true })
    else await sleep(LOCK_POLL_MS)
  }
}

async function isAbandoned(path: string): Promise<boolean> {
  const [text, facts] = await Promise.all([readFile(path, 'utf8'), stat(path)]).catch(() => [])
  if (text === undefined || facts === undefined) return false
  const age = Date.now() - facts.mtimeMs
  if (age > FETCH_MS_MAX) return true
  const pid = Number(text)
  // The holder writes its number right after it made the file.
  if (!(pid > 0)) return age > 5000
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}
