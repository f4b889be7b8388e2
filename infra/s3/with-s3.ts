/**
 * A real S3 server for the suites that need one: on loopback, with an empty bucket for each test that asks, and ended with the
 * suite. Where none can be had, the suite fails in CI (`CI` is set) and is skipped with a loud line elsewhere.
 *
 *     describe('…', () => {
 *       const s3 = withS3()
 *       it('…', async () => { const bucket = await s3.newBucket() … })
 *     })
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts, isFree } from '../kafka/ports.ts'
import { guard, guarded, unguard } from '../kafka/watchdog.ts'
import { NoS3, s3Server } from './binary.ts'

/** Milliseconds for the first need: building it is part of that. */
const ACQUIRE_MS_MAX = 12 * 60_000
const START_MS_MAX = 30_000
const POLL_MS = 25

export interface S3ForTests {
  /** Its URL. Only inside hooks and tests, as the rest. */
  readonly endpoint: string
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string }
  /** The name of a new, empty bucket. */
  newBucket(): Promise<string>
}

export interface RunningS3 {
  readonly endpoint: string
  /** Buckets are the folders of its folder `buckets`. */
  readonly folder: string
  stop(): Promise<void>
}

/** Of every server that this process starts. */
export const credentials = { accessKeyId: 'tidemark', secretAccessKey: randomBytes(16).toString('hex') }

/** Call it inside `describe`. */
export function withS3(): S3ForTests {
  let running: RunningS3 | undefined
  before('an S3 server', async function () {
    this.timeout(ACQUIRE_MS_MAX)
    try {
      running = await startS3(await s3Server())
    } catch (error) {
      if (!(error instanceof NoS3)) throw error
      skip(this, error.message)
    }
  })
  after('end the S3 server', async function () {
    this.timeout(START_MS_MAX)
    await running?.stop()
  })
  const server = (): RunningS3 => {
    if (running === undefined) throw new Error('use the S3 server inside a hook or a test')
    return running
  }
  return {
    get endpoint() {
      return server().endpoint
    },
    credentials,
    async newBucket() {
      const bucket = `bucket-${randomBytes(5).toString('hex')}`
      await mkdir(join(server().folder, 'buckets', bucket))
      return bucket
    },
  }
}

/** @param program - of `s3Server` */
export async function startS3(program: string): Promise<RunningS3> {
  const [port = 0] = await freePorts(1)
  const folder = await mkdtemp(join(tmpdir(), 'tidemark-s3-'))
  guard('dir', folder)
  for (const name of ['buckets', 'facts']) await mkdir(join(folder, name))
  // What S3 knows of an object beside its bytes goes into a folder of its own: not every file system has attributes.
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', 'posix', '--sidecar', join(folder, 'facts')]
  const child = guarded(
    spawn(program, [...args, join(folder, 'buckets')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey },
    }),
  )
  let said = ''
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const stop = async (): Promise<void> => {
    await ended(child)
    await rm(folder, { recursive: true, force: true })
    unguard('dir', folder)
  }
  const deadline = performance.now() + START_MS_MAX
  while (await isFree(port)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await stop()
      throw new Error(`the S3 server did not start:\n${said}`)
    }
    await sleep(POLL_MS)
  }
  return { endpoint: `http://127.0.0.1:${port}`, folder, stop }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

function skip(context: Mocha.Context, why: string): never {
  const ci = process.env['CI'] ?? ''
  if (ci !== '' && ci !== 'false')
    throw new Error(`${why} (in CI this fails; elsewhere the suite is skipped)`)
  const title = context.test?.parent?.fullTitle() ?? 'a suite'
  console.error(`\n!!! SKIPPED: "${title}" needs an S3 server: ${why}.\n`)
  return context.skip()
}
