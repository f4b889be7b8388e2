/** A server as one process that can be ended and started again in its place, which is how a restart is measured. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../infra/kafka/ports.ts'
import { guarded } from '../../infra/kafka/watchdog.ts'
import { must } from '../../streams/core/assert.ts'

const READY_MS_MAX = 300_000
const LOOK_MS = 5

/** How a server is started again: after SIGKILL with all it has; with nothing but its log; with nothing but a snapshot and its log. */
export type Restart = 'killed' | 'emptied' | 'from a snapshot'

/** One run of the process. */
export interface Life {
  readonly address: string
  readonly pid: number
  /** SIGTERM; resolves when it has ended, also where it had before. */
  stop(): Promise<void>
}

export interface RunningPeer {
  readonly addresses: readonly string[]
  /** Of all processes that serve, a broker included. */
  readonly pids: readonly number[]
  readonly restarts: readonly Restart[]
  /** Resolves when it runs again, with the moment (`performance.now()`) of the kill, or else of the start. */
  restart(how: Restart): Promise<number>
  stop(): Promise<void>
}

export interface Place {
  start(): Promise<Life>
  /** Processes that serve too and are not restarted: a broker. */
  readonly beside?: readonly number[]
  /** Makes the place as the restart wants it, while nothing runs there. */
  readonly prepare?: Partial<Record<Exclude<Restart, 'killed'>, () => Promise<void>>>
  /** What else there is to end. */
  readonly close?: () => Promise<void>
}

export async function peerIn({ start, beside = [], prepare = {}, close }: Place): Promise<RunningPeer> {
  let life = await start()
  return {
    get addresses() {
      return [life.address]
    },
    get pids() {
      return [life.pid, ...beside]
    },
    restarts: ['killed', ...(['emptied', 'from a snapshot'] as const).filter((how) => how in prepare)],
    async restart(how) {
      let began = performance.now()
      if (how === 'killed') {
        process.kill(life.pid, 'SIGKILL')
        await life.stop()
      } else {
        await life.stop()
        await must(prepare[how], `a place for ${how}`)()
        began = performance.now()
      }
      life = await start()
      return began
    },
    async stop() {
      await life.stop()
      await close?.()
    },
  }
}

/** A program that serves on one port of loopback; it runs when the port answers. */
export async function startProgram(path: string, args: readonly string[], port: number): Promise<Life> {
  const child = guarded(spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-4096)))
  }
  const began = performance.now()
  while (!(await answers(port))) {
    if (hasEnded(child) || performance.now() - began > READY_MS_MAX) {
      child.kill('SIGKILL')
      throw new Error(`${path} did not start:\n${said}`)
    }
    await sleep(LOOK_MS)
  }
  return {
    address: `127.0.0.1:${port}`,
    pid: must(child.pid, 'a server runs'),
    async stop() {
      if (hasEnded(child)) return
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
    },
  }
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    const end = (good: boolean) => (): void => {
      socket.destroy()
      resolve(good)
    }
    socket.once('connect', end(true)).once('error', end(false))
  })

export async function twoPorts(): Promise<[number, number]> {
  const [first, second] = await freePorts(2)
  return [must(first, 'a port'), must(second, 'a port')]
}
