/** A node as a process of its own, as `tidemark serve` runs it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { must } from '../../streams/core/assert.ts'

const DIST = fileURLToPath(new URL('../..', import.meta.url))
const READY_MS_MAX = 300_000
const RSS_SAMPLE_MS = 100

export interface NodeProcess {
  readonly server: string
  readonly pid: number
  /** Milliseconds from the start of the process until all replicas were live. */
  readonly readyMs: number
  /** Resident memory now, MiB. */
  rssMiB(): Promise<number>
  /** The largest resident memory since the last call, sampled. */
  peakRssMiB(): number
  stop(): Promise<void>
}

export interface NodeOptions {
  /** The folder `dist` of the build that it runs. Default: of this one. */
  readonly dist?: string
  /** For Node.js itself. */
  readonly flags?: readonly string[]
}

export async function startNode(
  environment: Readonly<Record<string, string>>,
  { dist = DIST, flags = [] }: NodeOptions = {},
): Promise<NodeProcess> {
  const [grpc, http] = [await freePort(), await freePort()]
  const began = performance.now()
  const child = spawn(process.execPath, [...flags, join(dist, 'services/cli/main.js'), 'serve'], {
    env: {
      PATH: process.env['PATH'],
      TIDEMARK_GRPC_LISTEN: `127.0.0.1:${grpc}`,
      TIDEMARK_HTTP_LISTEN: `127.0.0.1:${http}`,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-8192)))
  }
  const kill = (): void => void child.kill('SIGKILL')
  process.on('exit', kill)
  const until = began + READY_MS_MAX
  while (!(await ready(http))) {
    if (child.exitCode !== null || performance.now() > until)
      throw new Error(`the node did not start:\n${said}`)
    await sleep(10)
  }
  const readyMs = performance.now() - began
  const rssMiB = (): Promise<number> => residentMiB(child.pid ?? 0)
  let peak = 0
  const sampler = setInterval(() => {
    rssMiB().then(
      (rss) => (peak = Math.max(peak, rss)),
      () => undefined,
    )
  }, RSS_SAMPLE_MS)
  return {
    server: `127.0.0.1:${grpc}`,
    pid: must(child.pid, 'the node runs'),
    readyMs,
    rssMiB,
    peakRssMiB: () => {
      const seen = peak
      peak = 0
      return seen
    },
    stop: async () => {
      clearInterval(sampler)
      const ended = once(child, 'exit')
      if (child.exitCode === null && child.kill('SIGTERM')) await ended
      process.off('exit', kill)
    },
  }
}

async function ready(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  } catch {
    return false
  }
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? NaN) / 1024
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
