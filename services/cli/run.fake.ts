/** Runs the built command line as a user's shell does, for tests. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

export const CLI = fileURLToPath(new URL('main.js', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly out: string
  readonly bytes: Buffer
  readonly err: string
}

export interface Running {
  readonly child: ChildProcess
  /** Settles when it has ended. */
  readonly ended: Promise<Ran>
  /** Standard output so far. */
  seen(): string
}

export function start(server: string, args: readonly string[]): Running {
  const child = spawn(process.execPath, [CLI, ...args], {
    env: { PATH: process.env['PATH'], TIDEMARK_SERVER: server },
    stdio: 'pipe',
  })
  let seen = ''
  child.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  const ended = Promise.all([buffer(child.stdout), text(child.stderr), once(child, 'close')]).then(
    ([bytes, err]): Ran => ({ code: child.exitCode, out: bytes.toString(), bytes, err }),
  )
  return { child, ended, seen: () => seen }
}

export function run(server: string, args: readonly string[], input: string | Buffer = ''): Promise<Ran> {
  const { child, ended } = start(server, args)
  child.stdin?.on('error', () => undefined) // a command that reads nothing may end before it is written
  child.stdin?.end(input)
  return ended
}
