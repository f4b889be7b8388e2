/** One life of a process of the product, with a failpoint armed or places traced: it is known whether the failpoint killed it. */
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { guarded } from '../../infra/kafka/watchdog.ts'

const COMMAND = fileURLToPath(new URL('../../services/cli/main.js', import.meta.url))
const POLL_MS = 15
/** Milliseconds until a node must be ready, on a machine that is shared. */
const READY_MS_MAX = 60_000
const QUOTED_CHARACTERS = 3000

export interface Life {
  /** Resolves when it has ended: with true where SIGKILL that nobody here sent ended it. */
  readonly ended: Promise<boolean>
  readonly over: boolean
  /** Exit code; null where a signal ended it, or it lives. */
  readonly code: number | null
  /** What `trace` told: how often each place was come to at least. */
  readonly places: ReadonlyMap<string, number>
  output(): string
  /** Sends the signal and waits for the end; kills after a while what does not end. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** @param failpoint - for TIDEMARK_FAILPOINT; '' for none */
export function begin(
  args: readonly string[],
  settings: Readonly<Record<string, string>>,
  failpoint: string,
): Life {
  const child = guarded(
    spawn(process.execPath, [COMMAND, ...args], {
      env: {
        PATH: process.env['PATH'],
        ...settings,
        TIDEMARK_DEV: '1',
        ...(failpoint === '' ? {} : { TIDEMARK_FAILPOINT: failpoint }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  )
  const places = new Map<string, number>()
  let output = ''
  let pending = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const lines = (pending + text).split('\n')
    pending = lines.pop() ?? ''
    for (const line of lines) {
      const [, place, time] = /^failpoint (\S+):(\d+)$/.exec(line) ?? []
      if (place === undefined) output += `${line}\n`
      else places.set(place, Number(time))
    }
  })
  let sent = false
  const ended = new Promise<boolean>((resolve) => {
    child.once('close', () => {
      resolve(child.signalCode === 'SIGKILL' && !sent)
    })
  })
  return {
    ended,
    places,
    get over() {
      return child.exitCode !== null || child.signalCode !== null
    },
    get code() {
      return child.exitCode
    },
    output: () => output.slice(-QUOTED_CHARACTERS),
    async stop(signal) {
      sent = signal === 'SIGKILL'
      child.kill(signal)
      const late = setTimeout(() => {
        sent = true
        child.kill('SIGKILL')
      }, READY_MS_MAX)
      await ended
      clearTimeout(late)
    },
  }
}

/** @returns false where the life ended before it was ready by the kill that was asked for. @throws where it ended otherwise, or is late */
export async function ready(life: Life, httpAddress: string): Promise<boolean> {
  const began = performance.now()
  while (!life.over) {
    const ok = await fetch(`http://${httpAddress}/readyz`, { signal: AbortSignal.timeout(1000) }).then(
      (answer) => answer.ok,
      () => false,
    )
    if (ok) return true
    if (performance.now() - began > READY_MS_MAX) {
      await life.stop('SIGKILL')
      throw new Error(`the node is not ready after ${READY_MS_MAX / 1000} s:\n${life.output()}`)
    }
    await sleep(POLL_MS)
  }
  if (await life.ended) return false
  throw new Error(`the node ended before it was ready, code ${life.code}:\n${life.output()}`)
}
