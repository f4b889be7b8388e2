/**
 * A Tidemark node as a process of its own, as `tidemark serve` runs it: it can be killed, stopped and started again with the
 * same data and the same ports. It ends with the process that started it, however that ended.
 */
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { launch } from '../../infra/kafka/watchdog.ts'

const COMMAND = fileURLToPath(new URL('../../services/cli/main.js', import.meta.url))
/** Milliseconds until all its replicas must be live; three nodes and three brokers may share two cores. */
const READY_MS_MAX = 120_000
const POLL_MS = 20
/** Characters of its output that the error of a failed start quotes. */
const QUOTED_CHARACTERS = 4000

export interface NodePlan {
  readonly id: string
  /** Its data and its output lie here. */
  readonly folder: string
  readonly port: number
  readonly httpPort: number
  /** Settings beside id, addresses and folder. */
  readonly settings: Readonly<Record<string, string>>
}

export interface StartChange {
  /** More for its environment. */
  readonly settings?: Readonly<Record<string, string>>
  /** The main.js of another build. */
  readonly command?: string
}

export interface NodeProcess {
  readonly id: string
  /** `host:port` of gRPC, the same after a restart. */
  readonly address: string
  readonly httpAddress: string
  readonly folder: string
  /** Undefined while it is down. */
  readonly pid: number | undefined
  /** Starts it with the data that it has, and waits until it is ready. @param change - for this life only */
  start(change?: StartChange): Promise<void>
  /** Waits until /readyz says so. */
  ready(): Promise<void>
  /** Sends the signal; resolves when the process has ended, or at once for SIGSTOP and SIGCONT. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** SIGTERM: finishes what was begun. Resolves with the exit code, null where it was down. */
  stop(): Promise<number | null>
  restart(change?: StartChange): Promise<void>
  /** Everything that it wrote so far, over all its lives. */
  output(): Promise<string>
}

export function nodeProcess(plan: NodePlan): NodeProcess {
  const { id, folder } = plan
  const address = `127.0.0.1:${plan.port}`
  const httpAddress = `127.0.0.1:${plan.httpPort}`
  const file = join(folder, 'node.out')
  let child: ChildProcess | undefined

  const output = (): Promise<string> => readFile(file, 'utf8').catch(() => '')

  const ready = async (): Promise<void> => {
    const began = performance.now()
    while (!(await isReady(httpAddress))) {
      const late = performance.now() - began > READY_MS_MAX
      if (child !== undefined && !late) {
        await sleep(POLL_MS)
        continue
      }
      const why = late ? `is not ready after ${READY_MS_MAX / 1000} s` : 'has ended'
      throw new Error(`node ${id} ${why}:\n${(await output()).slice(-QUOTED_CHARACTERS)}`)
    }
  }

  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    const running = child
    if (running === undefined) return null
    const ended = once(running, 'exit')
    // A stopped process takes no other signal than this one before it goes on.
    running.kill(signal)
    if (signal !== 'SIGKILL') running.kill('SIGCONT')
    await ended
    return running.exitCode
  }

  const node: NodeProcess = {
    id,
    address,
    httpAddress,
    folder,
    get pid() {
      return child?.pid
    },
    async start({ settings, command = COMMAND } = {}) {
      if (child !== undefined) throw new Error(`node ${id} runs already`)
      await mkdir(folder, { recursive: true })
      const started = launch(
        process.execPath,
        ['--enable-source-maps', command, 'serve'],
        {
          PATH: process.env['PATH'],
          ...plan.settings,
          ...settings,
          TIDEMARK_NODE_ID: id,
          TIDEMARK_DATA_DIR: join(folder, 'data'),
          TIDEMARK_GRPC_LISTEN: address,
          TIDEMARK_HTTP_LISTEN: httpAddress,
        },
        file,
      )
      child = started
      started.once('exit', () => {
        if (child === started) child = undefined
      })
      await ready()
    },
    ready,
    async kill(signal) {
      if (signal === 'SIGSTOP' || signal === 'SIGCONT') child?.kill(signal)
      else await end(signal)
    },
    stop: () => end('SIGTERM'),
    async restart(change) {
      await node.stop()
      await node.start(change)
    },
    output,
  }
  return node
}

const isReady = (httpAddress: string): Promise<boolean> =>
  fetch(`http://${httpAddress}/readyz`, { signal: AbortSignal.timeout(1000) }).then(
    ({ ok }) => ok,
    () => false,
  )
